from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify import convergence, inconsistency
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure import freshness
from tests.fixtures.generator import MS, TIMELINE_START, S, TrueFault, Truth, make
from tests.verify.test_session_guarantees import Op, write
from tests.verify.test_write_order import OPS, elements, history_of

OK, INFO = Mark.OK, Mark.INFO
HEALED = TIMELINE_START + S


def check(
    folder: Path, objective: Any, ops: Sequence[Op], given: str, faults: Sequence[TrueFault] | None = None
) -> Finding:
    def history(writer: HistoryWriter) -> None:
        write(writer, ops)

    known = (TrueFault(ready=HEALED),) if faults is None else faults
    recording = make(folder, Truth(faults=known, history=history))
    params = objective.CHECKER.kind.params.model_validate(given)
    (finding,) = objective.CHECKER.check(recording, params).findings
    assert finding.name == objective.CHECKER.kind.name
    return finding


def adds(count: int) -> list[Op]:
    return [("a", "add", str(n), n * MS, n * MS + 1, OK) for n in range(1, count + 1)]


def read(content: str, asked: int, bot: str = "b") -> Op:
    return bot, "read", content, asked, asked + MS, OK


def test_reads_that_are_complete_soon_after_the_heal_pass_with_their_time(tmp_path: Path) -> None:
    ops = [*adds(9), read("1-5", HEALED + 2 * S), read("1-9", HEALED + 3 * S), read("1-9", HEALED + 9 * S)]
    finding = check(tmp_path, convergence, ops, "5s")
    assert finding.status is Status.PASS and finding.measured.value == 3 * S and finding.uncertainty == S
    assert finding.evidence[0].where == "id 9" and "lacks 6" in finding.evidence[0].text
    assert check(tmp_path / "tight", convergence, ops, "1s").status is Status.FAIL
    assert check(tmp_path / "between", convergence, ops, "2500ms").status is Status.INCONCLUSIVE


def test_a_replica_that_stays_behind_never_converges(tmp_path: Path) -> None:
    ops = [*adds(9), *(read("1-9" if n % 2 else "1-8", HEALED + n * S) for n in range(1, 9))]
    ops.append(read("1-8", HEALED + 9 * S))
    finding = check(tmp_path, convergence, ops, "5s")
    assert finding.status is Status.FAIL and finding.measured.censored and finding.measured.value == 9 * S


def test_an_add_of_unknown_outcome_counts_once_it_was_shown(tmp_path: Path) -> None:
    ops = [*adds(2), ("a", "add", "3", 3 * MS, 4 * MS, INFO)]
    seen = [read("1-3" if n % 2 else "1-2", HEALED + n * S) for n in range(1, 9)]
    assert check(tmp_path / "both", convergence, [*ops, *seen], "2s").status is Status.FAIL
    never = [read("1-2", HEALED + n * S) for n in range(1, 9)]
    assert check(tmp_path / "never", convergence, [*ops, *never], "2s").status is Status.PASS
    before = [read("1-3", 5 * MS), *never]
    assert check(tmp_path / "rolled back", convergence, [*ops, *before], "2s").status is Status.PASS


def test_without_a_fault_it_is_from_the_last_acknowledgement_on(tmp_path: Path) -> None:
    finding = check(tmp_path, convergence, [*adds(9), read("1-8", 2 * S), read("1-9", 3 * S)], "4s", faults=())
    assert finding.status is Status.PASS and finding.measured.value == 3 * S - 9 * MS - 1


@pytest.mark.parametrize(
    ("ops", "faults"),
    [
        ([], None),
        (adds(3), None),
        ([*adds(3), read("1-3", 2 * S)], None),
        ([*adds(3), read("1-3", HEALED + 9 * S)], None),
        (
            [*adds(3), read("1-3", HEALED + S), read("1-3", HEALED + 2 * S)],
            [TrueFault(kind="partition", acts_on="link", heal=HEALED, healed=False)],
        ),
    ],
    ids=["nothing", "no read", "only before", "too late to tell", "never healed"],
)
def test_what_was_not_read_in_time_is_inconclusive(
    tmp_path: Path, ops: list[Op], faults: Sequence[TrueFault] | None
) -> None:
    assert check(tmp_path, convergence, ops, "5s", faults).status is Status.INCONCLUSIVE


def every(step: int, until: int, content: dict[int, str]) -> list[Op]:
    """A read each `step` ns, of the content that is the last one set by then."""
    return [read(content[max(at for at in content if at <= now)], now) for now in range(20 * MS, until, step)]


def test_a_stale_read_is_measured_to_when_it_is_there_again(tmp_path: Path) -> None:
    ops = [*adds(9), *every(100 * MS, 3 * S, {0: "1-9", S: "1-7", 2 * S: "1-9"})]
    finding = check(tmp_path, inconsistency, ops, "2s")
    assert finding.status is Status.PASS
    assert finding.measured.value == 1100 * MS and finding.uncertainty == 200 * MS
    assert [one.where for one in finding.evidence] == ["id 19", "id 28", "id 29"]
    assert check(tmp_path / "tight", inconsistency, ops, "500ms").status is Status.FAIL
    assert check(tmp_path / "between", inconsistency, ops, "1s").status is Status.INCONCLUSIVE


def test_a_stale_replica_is_not_hidden_by_a_fresh_one(tmp_path: Path) -> None:
    fresh = [read("1-9", now, "c") for now in range(70 * MS, 3 * S, 100 * MS)]
    ops = [*adds(9), *every(100 * MS, 3 * S, {0: "1-9", S: "1-7", 2 * S: "1-9"}), *fresh]
    assert check(tmp_path, inconsistency, ops, "500ms").status is Status.FAIL


def test_what_never_comes_again_may_be_lost_or_late(tmp_path: Path) -> None:
    ops = [*adds(9), *every(100 * MS, 3 * S, {0: "1-9", S: "1-7"})]
    finding = check(tmp_path, inconsistency, ops, "200ms")
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value == 0
    assert "whether it was late or is lost nobody knows" in finding.why
    # It had been missing for less than the limit when it was last looked for: that much is allowed.
    assert check(tmp_path / "allowed", inconsistency, ops, "2s").status is Status.PASS
    never = [*adds(9), *every(100 * MS, 3 * S, {0: "1-8"})]
    assert check(tmp_path / "never", inconsistency, never, "2s").status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    "ops",
    [[], adds(9), [*adds(9), read("1-9", 5 * S)], [read("", 1)]],
    ids=["nothing", "no read", "one late read", "nothing added"],
)
def test_where_nobody_read_nobody_can_tell(tmp_path: Path, ops: list[Op]) -> None:
    finding = check(tmp_path, inconsistency, ops, "2s")
    assert finding.status is Status.INCONCLUSIVE


@pytest.mark.parametrize(("objective", "given"), [(convergence, "5s"), (inconsistency, "2s")])
def test_a_clock_that_went_back_lets_nothing_pass(tmp_path: Path, objective: Any, given: str) -> None:
    ops = [*adds(9), *every(100 * MS, HEALED + 2 * S, {0: "1-9"})]
    assert check(tmp_path / "forward", objective, ops, given).status is Status.PASS
    finding = check(tmp_path / "back", objective, [*ops, read("1-9", HEALED + S)], given)
    assert finding.status is Status.INCONCLUSIVE and "went back" in finding.why


@settings(max_examples=200, deadline=None)
@given(OPS)
def test_they_find_what_plain_sets_find(drawn: list[tuple[str, set[int] | None, int, int, bool]]) -> None:
    ops, history = history_of(drawn)
    acked = {op[2]: op[4] for op in ops if op[1] == "add" and op[5] is OK}
    reads = sorted((op for op in ops if op[1] == "read"), key=lambda op: op[3])
    lengths = []
    for element, since in acked.items():
        shown = [n for n, op in enumerate(reads) if element in elements(op)]
        lacks = [n for n, op in enumerate(reads) if op[3] > since and n not in shown and n < max(shown, default=-1)]
        if lacks:
            lengths.append(reads[lacks[-1]][3] - reads[lacks[0]][3])
    found = freshness.staleness(history)
    assert (found.elements, found.least_ns) == (len(lengths), max(lengths, default=0))
    behind = [op for op in reads if any(since < op[3] and e not in elements(op) for e, since in acked.items())]
    sure = all(op[5] is OK for op in ops)
    if sure and acked and reads:
        (one,) = freshness.settled(history, 0)
        assert one.least_ns == (behind[-1][3] if behind else 0)
        assert (one.seen_ns is None) == bool(behind and behind[-1] is reads[-1])
