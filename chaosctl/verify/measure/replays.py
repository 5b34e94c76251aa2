"""Replays beside the live run: a row each, with the first tick at which they part and what differs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from chaosctl.recording.digests import DigestRun, Divergence, field_diff, first_divergence
from chaosctl.recording.factors import PLAIN_FOR, Factor, factor_of
from chaosctl.verify.measure.comparable import input_ticks, made_otherwise, why_not
from chaosctl.verify.measure.context import inputs_of, values_before

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

_FIELDS_SHOWN = 50


@dataclass(frozen=True)
class Compared:
    """All replays (JSON-able rows, as in verdict.json) against the live run, or else against the first replay.

    Perturbed ones (`perturbed`, rows with a factor) are compared with the first plain replay: what differs between
    it and the live run is not the perturbation. `plain_parted`: plain replays part from each other.
    """

    rows: tuple[dict[str, Any], ...]
    perturbed: tuple[dict[str, Any], ...]
    live: DigestRun | None
    against: DigestRun | None
    plain_parted: bool


def compare(recording: Recording) -> Compared:
    """Compare every replay that ran or should have."""
    runs = recording.digest_runs()
    replays = [run for name, run in runs.items() if name != "live"]
    plain = [run for run in replays if factor_of(run.name) is None and run.lines]
    live = runs.get("live")
    live = live if live and live.lines else None
    first = plain[0] if plain else None
    against = live or first
    ends = {str(event.fields.get("run")): event.fields for event in recording.events_named("replay_finished")}
    names = {run.name for run in replays} | {name for name in ends if not name.startswith("states-")}
    inputs = input_ticks(recording)
    of_plain: list[dict[str, Any]] = []
    of_perturbed: list[dict[str, Any]] = []
    for name in sorted(names, key=_place):
        perturbed = factor_of(name) is not None
        run, beside = runs.get(name), first if perturbed else against
        reason = made_otherwise(run, beside) or why_not(run, beside, first, ends.get(name), inputs)
        row = _row(recording, name, run, beside, ends.get(name, {}), reason)
        (of_perturbed if perturbed else of_plain).append(row)
    parted = any(one.what == "digest" for run in plain[1:] if (one := first_divergence(plain[0], run)))
    return Compared(tuple(of_plain), tuple(of_perturbed), live, against, parted)


def same_digests(recording: Recording, one: str, other: str) -> bool:
    """Return whether two runs have the same ticks with the same digests, and have any."""
    runs = recording.digest_runs()
    left, right = runs.get(one), runs.get(other)
    return left is not None and right is not None and bool(left.lines) and first_divergence(left, right) is None


def _place(name: str) -> tuple[int, int, str]:
    factor = factor_of(name)
    return -1 if factor is None else list(Factor).index(factor), len(name), name  # replay-2 before replay-10


def _row(
    recording: Recording,
    name: str,
    run: DigestRun | None,
    against: DigestRun | None,
    end: Mapping[str, Any],
    reason: str | None,
) -> dict[str, Any]:
    """One replay: JSON-able, as in verdict.json. `why_not` says why it shows nothing; None if it was compared."""
    comparable = against and run and run is not against and not made_otherwise(run, against)
    parted = first_divergence(against, run) if comparable and against and run else None
    differs = _at_its_tick(recording, parted, name) if parted and parted.what == "digest" else None
    diff = _diff(recording, differs, name) if differs else []
    return {
        "run": name,
        "factor": factor_of(name),
        "against": against.name if against else None,
        "code": end.get("code"),
        "ticks": len(run.lines) if run else 0,
        "compared": len(against.lines.keys() & run.lines.keys()) if against and run else 0,
        "why_not": None if differs else reason,
        "said": end.get("said"),
        "first_divergence": differs.tick if differs else None,
        "digests": [differs.left, differs.right] if differs else [],
        "parts": list(differs.parts) if differs else [],
        "inputs": inputs_of(recording, differs.tick, (one["path"] for one in diff)) if differs else [],
        "diff": diff,
    }


def _at_its_tick(recording: Recording, parted: Divergence, name: str) -> Divergence:
    """Return the divergence at the very tick, where digests come at intervals and were printed for each tick since."""
    printed = [run for one in _with_states(recording, name) if (run := recording.states(one)).lines]
    earlier = (
        one
        for left, right in combinations(printed, 2)
        if (one := first_divergence(left, right)) is not None and one.what == "digest"
        if (parted.after is None or one.tick > parted.after) and one.tick < parted.tick
    )
    return min(earlier, key=lambda one: one.tick, default=parted)


def _diff(recording: Recording, parted: Divergence, name: str) -> list[dict[str, Any]]:
    """Return what differs in the first two states printed for that tick that are not equal, field by field.

    `before`: what the field was at the tick before, where that state was printed, too.
    """
    runs = _with_states(recording, name)
    states = _states_at(recording, runs, parted.tick)
    for left in states:
        for right in states:
            if left < right and (fields := field_diff(states[left], states[right])):
                earlier = next(iter(_states_at(recording, runs, parted.tick - 1).values()), None)
                before = {} if earlier is None else values_before(earlier, states[left], states[right])
                return [
                    {"path": path, "left": ours, "right": theirs, "left_run": left, "right_run": right}
                    | ({"before": before[path]} if path in before else {})
                    for path, ours, theirs in fields[:_FIELDS_SHOWN]
                ]
    return []


def _states_at(recording: Recording, runs: Sequence[str], tick: int) -> dict[str, Any]:
    """Return the states that were printed for a tick, by run."""
    lines = {run: recording.states(run).lines.get(tick) for run in runs}
    return {run: line.state for run, line in lines.items() if line is not None and line.state is not None}


def _with_states(recording: Recording, name: str) -> list[str]:
    """Return the runs whose states explain where `name` parted; a perturbed one is explained by its own two."""
    if factor_of(name) is not None:
        return [name, f"{PLAIN_FOR}{name}"]
    others = (path.stem[7:] for path in sorted(recording.folder.glob("digests/states-replay-*.jsonl")))
    return ["live", name, *others]
