"""What was planted into a recording is what is measured: outages, losses, repetitions, orders, clocks that are off."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaosctl.recording.model import Mark, Outcome
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.judge import judge
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, adds_and_read, make

ELEMENTS = 40
HISTORIES = [name for name, checker in checkers().items() if "history" in checker.kind.needs]


def findings(truth: Truth) -> dict[str, Finding]:
    with tempfile.TemporaryDirectory() as folder:
        return {finding.name: finding for finding in judge(make(Path(folder) / "run", truth)).objectives}


@settings(max_examples=60, deadline=None)
@given(
    outage_ms=st.one_of(st.integers(10, 1_000), st.integers(10, 100_000)),
    begin_us=st.integers(0, 400_000),
    every_ms=st.sampled_from([20, 50, 200]),
    healed=st.one_of(st.none(), st.floats(0, 1)),
    ahead_ms=st.integers(-300, 300),
)
def test_recovery_is_within_a_probe_interval_and_the_clock_error_of_the_truth(
    outage_ms: int, begin_us: int, every_ms: int, healed: float | None, ahead_ms: int
) -> None:
    """For any outage from 10 ms to 100 s, wherever it falls between two probes, also of one that is healed within."""
    inject = TIMELINE_START + begin_us * 1_000
    end = inject + outage_ms * MS
    heal = None if healed is None else inject + int(healed * outage_ms * MS)
    kind = {"id": "f1-p", "kind": "partition", "on": "a-b", "acts_on": "link"} if heal is not None else {}
    truth = Truth(
        objectives={"recovery": {"serviceable": "3m", "steady": "3m"}},
        faults=[TrueFault(**kind, inject=inject, heal=heal, ready=None if heal else end)],  # type: ignore[arg-type]
        outages=[(inject, end)],
        end=end + 10 * S,
        every=every_ms * MS,
        rate_per_s=1,
        clock_error=abs(ahead_ms) * MS,
        probe_ahead=ahead_ms * MS,
    )
    true_ns = end - (inject if heal is None else heal)
    for finding in findings(truth).values():
        assert finding.uncertainty == (every_ms + abs(ahead_ms)) * MS
        assert finding.status is Status.PASS, finding
        assert finding.measured.value is not None and not finding.measured.censored
        assert abs(finding.measured.value - true_ns) <= finding.uncertainty, finding


PLANTED = st.sets(st.integers(1, ELEMENTS))


@settings(max_examples=40, deadline=None)
@given(lost=PLANTED, twice=PLANTED, extra=st.sets(st.integers(ELEMENTS + 1, ELEMENTS + 9)))
def test_what_was_planted_is_what_is_counted(lost: set[int], twice: set[int], extra: set[int]) -> None:
    twice -= lost

    def history(writer: HistoryWriter) -> None:
        adds_and_read(writer, elements=ELEMENTS, lost=sorted(lost), extra=sorted(extra), twice=sorted(twice))

    counted = findings(
        Truth(
            objectives={"lost_acks": 0, "exactly_once": 0, "read_your_writes": 0}, faults=(), history=history, **QUICK
        )
    )
    planted = {
        "lost_acks": lost,
        "lost_acks.phantoms": extra,
        "exactly_once": twice,
        "read_your_writes": lost,
    }
    for name, elements in planted.items():
        nothing = name == "exactly_once" and len(lost) == ELEMENTS and not extra
        assert counted[name].measured.value == (None if nothing else len(elements)), name
        expected = Status.FAIL if elements else Status.INCONCLUSIVE if nothing else Status.PASS
        assert counted[name].status is expected, name


QUICK: Mapping[str, Any] = {"end": LOAD_START + 8 * S, "rate_per_s": 1, "every": 500 * MS}


def anything(chance: random.Random) -> Callable[[HistoryWriter], None]:
    """Return a history of four bots on shared keys, with answers that are mostly right: each at a time of its own."""
    asked = [
        ("add", "s"),
        ("read", "s"),
        ("write", "r"),
        ("get", "r"),
        ("send", "t"),
        ("enqueue", "q"),
        ("dequeue", "q"),
    ]
    told = [("receive", "t"), ("session", "x"), ("event", "m1"), ("event", "m2"), ("version", "world")]
    says = {
        "session": ["open", "cut", "resumed", "lost", "closed"],
        "event": ["started", "settled", "rolled_back", "open", "absent"],
        "version": ["good", "bad"],
        "receive": ["1", "2", "3", "4"],
        "get": ["1", "2", None],
        "dequeue": ["1", "2", None],
        "read": ["", "1-2", "1-4", "2,1,1"],
    }

    def history(writer: HistoryWriter) -> None:
        at, number = LOAD_START, 0
        open_ones: dict[str, tuple[int, str, str, str | None]] = {}
        for _ in range(chance.randint(10, 120)):
            at += chance.randint(1, 150) * MS
            bot, number = f"b{chance.randrange(4)}", number + 1
            if bot in open_ones:
                id, f, key, value = open_ones.pop(bot)
                end = chance.choice([Mark.OK, Mark.OK, Mark.OK, Mark.FAIL, Mark.INFO])
                answer = chance.choice(says[f]) if f in says and end is Mark.OK else value
                writer.write(at, end, id, bot, f, key, answer)
            elif chance.random() < 0.3:
                f, key = chance.choice(told)
                writer.write(at, Mark.OK, number, bot, f, key, chance.choice(says[f]))
            else:
                f, key = chance.choice(asked)
                open_ones[bot] = (number, f, key, None if f in says else str(number))
                writer.write(at, Mark.INVOKE, number, *(bot, f, key), open_ones[bot][3])

    return history


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), order=st.integers(0, 2**32))
def test_the_order_in_which_bots_of_different_workers_were_written_changes_nothing(
    name: str, seed: int, order: int
) -> None:
    objective = YAML(typ="safe").load(checkers()[name].kind.example)
    plain, mixed = (
        findings(
            Truth(
                objectives=objective,
                faults=[TrueFault(inject=LOAD_START + 5 * S, ready=LOAD_START + 6 * S)],
                history=anything(random.Random(seed)),
                shuffled=shuffled,
                **QUICK,
            )
        )
        for shuffled in (None, order)
    )
    assert plain.keys() == mixed.keys()
    for finding in plain:
        for what in ("status", "measured", "uncertainty", "why"):
            assert getattr(mixed[finding], what) == getattr(plain[finding], what), finding
        assert "crashed" not in plain[finding].why


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_journal_without_completions_proves_nothing(name: str, seed: int, tmp_path: Path) -> None:
    objective = YAML(typ="safe").load(checkers()[name].kind.example)
    recording = make(tmp_path, Truth(objectives=objective, history=anything(random.Random(seed)), **QUICK))
    lines = (tmp_path / "history.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_text("".join(line for line in lines if '"invoke"' in line))
    params = checkers()[name].kind.params.model_validate(recording.plan.objectives[name])
    for finding in checkers()[name].check(Recording.open(tmp_path), params).findings:
        assert finding.status is Status.INCONCLUSIVE, finding


LOADED: Mapping[str, Any] = {
    "objectives": {
        "latency": {"p99": "50ms", "max": "2s", "during": "steady"},
        "errors": "5%",
        "throughput": {"at_least": "5/s"},
    },
    "faults": [TrueFault(ready=TIMELINE_START + S)],
    "outages": [(TIMELINE_START, TIMELINE_START + S)],
    "end": LOAD_START + 15 * S,
    "every": 500 * MS,
    "rate_per_s": 30,
    "workers": 3,
}


def offset(worker: int, ahead_ns: int, uncertainty_ns: int) -> tuple[int, str, dict[str, int]]:
    fields = {"worker": worker, "workers": 3, "offset_ns": ahead_ns, "uncertainty_ns": uncertainty_ns}
    return LOAD_START, "clock_offset", fields


@settings(max_examples=15, deadline=None)
@given(ahead_ms=st.integers(-20_000, 20_000), worker=st.integers(0, 2))
def test_a_worker_whose_clock_is_known_to_be_off_changes_nothing(ahead_ms: int, worker: int) -> None:
    straight = findings(Truth(**LOADED))
    known = {"workers_ahead": {worker: ahead_ms * MS}, "events": [offset(worker, ahead_ms * MS, 0)]}
    assert findings(Truth(**{**LOADED, **known})) == straight


def test_what_is_not_known_of_a_clock_is_added_to_the_uncertainty() -> None:
    straight = findings(Truth(**LOADED))
    unsure = findings(Truth(**{**LOADED, "events": [offset(1, 0, 7 * MS)]}))
    for name in ("latency.p99", "latency.max"):
        assert unsure[name].uncertainty == straight[name].uncertainty + 7 * MS
    recovery = {**LOADED, "objectives": {"recovery": {"serviceable": "3s"}}, "events": [offset(1, 0, 7 * MS)]}
    assert findings(Truth(**recovery))["recovery.serviceable"].uncertainty == 507 * MS


@pytest.mark.parametrize(("unsure_ms", "linearizable", "lost"), [(1, "fail", "fail"), (400, "pass", "inconclusive")])
def test_what_clocks_cannot_put_in_order_counts_as_at_the_same_time(
    unsure_ms: int, linearizable: str, lost: str
) -> None:
    """Bots of two workers: the second one looks 200 ms after the first one's write, and sees nothing of it."""

    def history(writer: HistoryWriter) -> None:
        for n, (bot, f, key, asked, answered) in enumerate(
            [
                ("b0", "write", "r", "1", "1"),
                ("b1", "get", "r", None, None),
                ("b0", "add", "s", "1", "1"),
                ("b1", "read", "s", None, ""),
            ]
        ):
            at, id = LOAD_START + n // 2 * 3 * S + n % 2 * 200 * MS, 3 * n + n % 2
            writer.write(at, Mark.INVOKE, id, bot, f, key, asked)
            writer.write(at + MS, Mark.OK, id, bot, f, key, answered)

    objectives = {"linearizable": True, "lost_acks": 0}
    truth = Truth(objectives=objectives, faults=(), history=history, events=[offset(1, 0, unsure_ms * MS)], **QUICK)
    found = findings(truth)
    assert (found["linearizable"].status, found["lost_acks"].status) == (linearizable, lost)


def test_a_clock_that_went_back_takes_every_pass() -> None:
    """Unknown to anybody, the clock of a worker went back while one operation was under way."""

    def latency(at: int) -> int:
        return -300 * MS if 0 <= at - LOAD_START - 10 * S < S // 30 else 5 * MS

    found = findings(Truth(**{**LOADED, "latency": latency}))
    assert {finding.status for finding in found.values()} == {Status.INCONCLUSIVE}
    assert "1 operations in samples/swarm ended before they were sent: a clock went back" in found["errors"].why
    wrong = findings(Truth(**{**LOADED, "latency": latency, "outcome": lambda at: Outcome.FAIL}))
    assert wrong["errors"].status is Status.FAIL, "what fails stays so"


@settings(max_examples=40, deadline=None)
@given(
    fates=st.lists(st.sampled_from(["got", "got", "lost", "twice", "swapped", "unsent"]), min_size=2, max_size=25),
    shuffled=st.one_of(st.none(), st.integers(0, 99)),
)
@example(fates=["got", "got", "swapped"], shuffled=0)
def test_what_was_planted_into_a_stream_is_what_is_counted(fates: list[str], shuffled: int | None) -> None:
    """One bot sends 1, 2, 3 ...; one receives them as they were sent, another as was planted, a stretch for each."""
    got: list[int] = [1]
    for stretch, fate in enumerate(fates):
        one, two = 2 * stretch + 2, 2 * stretch + 3
        planted = {"lost": [two], "twice": [one, one, two], "swapped": [two, one], "unsent": [one, 1000 + stretch, two]}
        got += planted.get(fate, [one, two])
    last = 2 * len(fates) + 2
    got.append(last)

    def history(writer: HistoryWriter) -> None:
        for element in range(1, last + 1):
            at = LOAD_START + element * 10 * MS
            writer.write(at, Mark.INVOKE, element, "b0", "send", "t", str(element))
            writer.write(at + MS, Mark.OK, element, "b0", "send", "t", str(element))
            writer.write(at + 2 * MS, Mark.OK, 2_000 + element, "b1", "receive", "t", str(element))
        for turn, element in enumerate(got):
            writer.write(LOAD_START + 3 * S + turn * MS, Mark.OK, 4_000 + turn, "b2", "receive", "t", str(element))

    found = findings(Truth(objectives={"total_order": 0}, faults=(), history=history, shuffled=shuffled, **QUICK))
    planted_as = {"lost": "lost", "duplicated": "twice", "reordered": "swapped", "phantoms": "unsent"}
    for name, fate in planted_as.items():
        finding = found[f"total_order.{name}"]
        assert finding.measured.value == fates.count(fate), finding
        assert finding.status is (Status.FAIL if fate in fates else Status.PASS), finding
