"""The `linearizable` objective: every answer about an object fits one order of the operations in real time.

Objects are registers (`write`, `get`, `cas`; absent at first), sets (`add`, `remove`, `contains`, `read`; empty at
first; those that only grow and are only read as a whole have objectives of their own) and queues (`enqueue`, `dequeue`;
empty at first): see the vocabulary in `recording/model.py`. Operations of unknown outcome may take effect at any time
after they were asked for, or never; failed ones never did. Objects are judged one by one (linearizability is local).
The search can take exponentially long, so it has a budget; what is not decided within it is inconclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from chaosctl.clock import MonotonicClock
from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.search import Judged, Op

_SHOWN = 20


class LinearizableParams(Params):
    """`linearizable: true` is short for `linearizable: {}`."""

    budget_ns: DurationNs = Field(5_000_000_000, alias="budget", description="The search may take so long in all")
    states: int = Field(500_000, ge=1, le=10_000_000, description="The search may look at so many states of one object")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if given is True:
            return {}
        if not isinstance(given, dict):
            raise ValueError(f"'{str(given).lower()}' is not how it is asked for; write true, or leave it out")
        return given


class LinearizableChecker:
    """One finding: how many objects gave answers that no order explains."""

    kind = ObjectiveKind(
        name="linearizable",
        params=LinearizableParams,
        summary="Every answer about a register, set or queue fits one order of all operations on it in real time.",
        example="linearizable: { budget: 5s }",
        needs=frozenset({"history"}),
        shorthand={"const": True},
    )

    def check(self, recording: Recording, params: LinearizableParams) -> Checked:
        """Return `linearizable`; inconclusive when nothing was answered, or the budget did not suffice."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.objects import answers, judge_object, objects
        from chaosctl.verify.measure.search import Budget

        history = recording.history()
        now_ns = MonotonicClock().now_ns
        budget = Budget(params.states, now_ns() + params.budget_ns, now_ns)
        found = objects(history)
        judged = [(one.kind, one.key, judge_object(history, one, budget)) for one in found]
        seen = sum(answers(history, one) for one in found)
        return Checked((despite_clock(_finding(judged, seen), history),))


def _finding(judged: list[tuple[str, str, Judged]], seen: int) -> Finding:
    answers = [one.answer.value for _, _, one in judged]
    wrong, unknown = answers.count("no"), answers.count("unknown")
    status = Status.FAIL if wrong else Status.INCONCLUSIVE if unknown or not seen else Status.PASS
    kinds = " and ".join(f"{kind}s" for kind in dict.fromkeys(kind for kind, _, _ in judged))
    why = f"{wrong} of {len(judged)} {kinds} gave an answer that no order of the operations explains"
    if not seen:
        why = "no register, set or queue was read, so nothing can be said about the order"
    if unknown:
        why += f"; {unknown} could not be decided within the budget"
    return Finding(
        name="linearizable",
        checker="linearizable",
        status=status,
        op="<=",
        expected=Quantity(0, "count"),
        measured=Quantity(wrong if seen else None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(line for _, key, one in judged for line in _stretch(key, one))[:_SHOWN],
    )


def _stretch(key: str, judged: Judged) -> list[Evidence]:
    """Return the first answer that does not fit, and then everything else that was going on, as evidence."""
    if judged.stuck is None:
        return []
    first = Evidence(
        "history.jsonl",
        f"id {judged.stuck.id}",
        f"{_said(key, judged.stuck)}; {_about(key, judged.stuck)} can only be {' or '.join(judged.possible)}",
    )
    others = sorted(judged.among, key=lambda op: (op.asked_ns, op.id))
    return [first, *(Evidence("history.jsonl", f"id {op.id}", f"meanwhile {_said(key, op)}") for op in others)]


def _about(key: str, op: Op) -> str:
    return f"{op.old} in {key}" if op.f in ("add", "remove", "contains") else key


def _said(key: str, op: Op) -> str:
    new = "nothing" if op.new is None else op.new
    what = {
        "write": f"wrote {new} to {key}",
        "get": f"found {new} in {key}",
        "cas": f"swapped {op.old} for {new} in {key}",
        "add": f"added {new} to {key}",
        "remove": f"removed {new} from {key}",
        "contains": f"was told {new} when asked for {op.old} in {key}",
        "read": f"found {{{op.new or ''}}} in {key}",
        "enqueue": f"put {new} into {key}",
        "dequeue": f"took {new} from {key}",
    }
    end = "outcome unknown" if op.done_ns is None else f"answered at {format_duration(op.done_ns)}"
    return f"{op.bot} {what[op.f]}, asked for at {format_duration(op.asked_ns)}, {end}"


CHECKER = LinearizableChecker()
