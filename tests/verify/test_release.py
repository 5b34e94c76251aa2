from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Checked, Finding, Status
from chaosctl.verify.judge import judge
from chaosctl.verify.release import CHECKER, ReleaseParams
from tests.fixtures.generator import EVERY, LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, adds_and_read, make

T, BACK, END = TIMELINE_START, TIMELINE_START + 4 * S, LOAD_START + 20 * S
LIMITS = {"serves_again": "1s", "failed": "20%", "answered_by_bad": "100%"}
DEPLOY = TrueFault("f1-deploy", "deploy", "world", heal=BACK, params={"version": "2"})
Happening = tuple[int, str, dict[str, Any]]


def life(
    start: int, ready: int | None, end: int | None, version: str | None = None, of: str = "world", replica: int = 0,
    **how: Any,
) -> Iterator[Happening]:  # fmt: skip
    """One process of a replica; it ends as asked, unless `how` says otherwise."""
    one = {"service": of, "replica": replica}
    yield start, "service_started", {**one, "pid": start, "start": 1, **({"version": version} if version else {})}
    if ready is not None:
        yield ready, "service_ready", one
    if end is not None:
        yield end, "service_exited", {**one, "pid": start, "code": 0, "signal": None, "expected": True, **how}


BEFORE = [*life(100, 200, T + 10 * MS), *life(T + 20 * MS, T + 300 * MS, BACK + 10 * MS, "2")]
CRASH = {"expected": False, "code": 1, "said": ["cannot read the log"]}


def added(
    *, read: bool = True, lost: Sequence[int] = (), start: int = T + 500 * MS, read_at: int = BACK + S
) -> Callable[[HistoryWriter], None]:
    """Fifty elements, each acknowledged, and a read of what is not lost of them."""

    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer, elements=50, read=False, start=start)
        if read:
            there = ",".join(str(element) for element in range(1, 51) if element not in lost)
            writer.write(read_at, Mark.INVOKE, 1, "near-1", "read", "p1", None)
            writer.write(read_at + MS, Mark.OK, 1, "near-1", "read", "p1", there)

    return write


def told(writer: HistoryWriter, bot: str, at: int, version: str, key: str = "world") -> None:
    writer.write(at, Mark.OK, at + sum(map(ord, bot)), bot, "version", key, version)


@dataclass(frozen=True)
class Ran:
    """A release that is served again 400 ms after its rollback, and what is different about it."""

    ready: int | None = BACK + 400 * MS
    outage_end: int = BACK + 400 * MS
    faults: tuple[TrueFault, ...] = (DEPLOY,)
    history: Callable[[HistoryWriter], None] | None = field(default_factory=lambda: added())
    lives: tuple[Happening, ...] | None = None
    unprobed: tuple[tuple[int, int], ...] = ()

    def truth(self, **more: Any) -> Truth:
        lives = (*BEFORE, *life(BACK + 20 * MS, self.ready, None)) if self.lives is None else self.lives
        outages = ((T, T + 300 * MS), (BACK, self.outage_end))
        return Truth(
            faults=self.faults, outages=outages, events=lives, history=self.history, end=END, unprobed=self.unprobed,
            **more,
        )  # fmt: skip


def check(folder: Path, ran: Ran, **params: object) -> Checked:
    return CHECKER.check(make(folder, ran.truth()), ReleaseParams.model_validate({**LIMITS, **params}))


def findings(checked: Checked) -> dict[str, Finding]:
    return {one.name.removeprefix("release."): one for one in checked.findings}


def statuses(checked: Checked) -> dict[str, str]:
    return {name: str(one.status) for name, one in findings(checked).items()}


def test_a_release_that_is_taken_back_passes_and_every_figure_is_right(tmp_path: Path) -> None:
    checked = check(tmp_path, Ran())
    assert set(statuses(checked).values()) == {"pass"}
    (row,) = checked.tables["releases"]
    assert (row["deploy"], row["rollback"], row["on"], row["version"]) == (
        "f1-deploy", "the end of f1-deploy", "world", "2",
    )  # fmt: skip
    assert (row["deployed_ns"], row["rolled_back_ns"]) == (T, BACK)
    assert row["served_again_ns"] == BACK + 400 * MS
    assert (row["bad_for_ns"], row["both_for_ns"]) == (BACK + 10 * MS - (T + 300 * MS), 0)
    assert (row["operations"], row["failed"], row["answered_by_bad"]) == (440, 70, 370)
    found = findings(checked)
    assert (found["serves_again"].measured.value, found["serves_again"].uncertainty) == (400 * MS, EVERY)
    assert found["failed"].measured.value == pytest.approx(70 / 440)
    assert 0 < found["failed"].uncertainty < 0.05
    assert found["answered_by_bad"].measured.value == 1.0
    assert "going by which version was ready" in found["answered_by_bad"].why
    assert "of what was acknowledged under the bad one 0 are missing" in found["unreadable"].why


def test_only_what_has_a_limit_is_judged(tmp_path: Path) -> None:
    recording = make(tmp_path, Ran().truth())
    assert [one.name for one in CHECKER.check(recording, ReleaseParams()).findings] == ["release.unreadable"]
    none = CHECKER.check(recording, ReleaseParams(unreadable=None))
    assert none.findings == ()
    assert len(none.tables["releases"]) == 1


def test_each_limit_can_be_broken(tmp_path: Path) -> None:
    checked = check(tmp_path, Ran(), serves_again="300ms", failed="10%", answered_by_bad="50%")
    assert statuses(checked) == {
        "serves_again": "fail", "failed": "fail", "answered_by_bad": "fail", "unreadable": "pass",
    }  # fmt: skip


def test_a_good_version_that_crashes_on_what_it_finds_fails_with_its_last_words(tmp_path: Path) -> None:
    crashes = [one for n in range(3) for one in life(BACK + n * S + 20 * MS, None, BACK + n * S + 300 * MS, **CRASH)]
    checked = check(tmp_path, Ran(lives=(*BEFORE, *crashes), outage_end=END, history=added(read=False)))
    found = findings(checked)
    assert statuses(checked)["serves_again"] == statuses(checked)["unreadable"] == "fail"
    assert found["serves_again"].measured.censored
    assert found["serves_again"].measured.value == END - BACK
    assert found["unreadable"].measured.value == 3
    assert "ended of itself 3 times (its last words: cannot read the log)" in found["unreadable"].why
    evidence = found["unreadable"].evidence[0]
    assert evidence.file == "events.jsonl"
    assert evidence == found["serves_again"].evidence[0]
    assert evidence.text == "world[0], the good version, ended with code 1 at 10.3s: cannot read the log"
    line = (tmp_path / "events.jsonl").read_text().splitlines()[int(evidence.where.removeprefix("line ")) - 1]
    assert "cannot read the log" in line


def test_a_good_version_that_never_becomes_ready_fails_once_it_had_its_time(tmp_path: Path) -> None:
    checked = check(tmp_path / "long", Ran(ready=None, outage_end=END))
    assert statuses(checked)["unreadable"] == "fail"
    assert "was never ready on 1 replica" in findings(checked)["unreadable"].why
    kill = TrueFault("f2-kill", inject=BACK + 3 * S)
    checked = check(tmp_path / "short", Ran(ready=None, outage_end=END, faults=(DEPLOY, kill)))
    assert statuses(checked)["unreadable"] == "inconclusive"
    assert statuses(checked)["serves_again"] == "fail", "3 s are more than the limit"


def test_a_good_version_that_falls_over_again_serves_from_its_last_start(tmp_path: Path) -> None:
    twice = [
        *life(BACK + 20 * MS, BACK + 400 * MS, BACK + 600 * MS, expected=False, code=3),
        *life(BACK + 900 * MS, BACK + 1200 * MS, None),
    ]
    checked = check(tmp_path, Ran(lives=(*BEFORE, *twice), outage_end=BACK + 1200 * MS))
    assert findings(checked)["serves_again"].measured.value == 1200 * MS
    assert findings(checked)["unreadable"].measured.value == 1


def test_a_good_version_that_ends_because_it_was_asked_to_is_not_blamed(tmp_path: Path) -> None:
    asked = [
        *life(BACK + 20 * MS, BACK + 400 * MS, BACK + 600 * MS, signal="SIGTERM"),
        *life(BACK + 700 * MS, BACK + 800 * MS, None),
    ]
    checked = check(tmp_path, Ran(lives=(*BEFORE, *asked)))
    assert findings(checked)["unreadable"].status is Status.PASS


def test_shares_of_a_run_that_never_said_how_it_ended_are_not_held_against_the_target(tmp_path: Path) -> None:
    limits = ReleaseParams.model_validate({"serves_again": "100ms", "failed": "1%", "answered_by_bad": "1%"})
    checked = CHECKER.check(make(tmp_path, Ran().truth(ended=None)), limits)
    assert statuses(checked) == {
        "serves_again": "fail", "failed": "inconclusive", "answered_by_bad": "inconclusive", "unreadable": "pass",
    }  # fmt: skip


def test_what_was_acknowledged_under_the_bad_version_and_is_gone_is_counted_and_shown(tmp_path: Path) -> None:
    checked = check(tmp_path / "under", Ran(history=added(lost=[3, 4])))
    found = findings(checked)["unreadable"]
    assert (found.status, found.measured.value) == (Status.FAIL, 2)
    assert "added 3 to p1 under the bad version" in found.evidence[0].text

    def before(writer: HistoryWriter) -> None:
        adds_and_read(writer, elements=50, lost=[3, 4], key="p2", start=T - 3 * S)
        added()(writer)

    found = findings(check(tmp_path / "before", Ran(history=before)))["unreadable"]
    assert found.status is Status.PASS, "that was not the bad version's doing"


def test_what_nobody_read_back_is_not_known(tmp_path: Path) -> None:
    assert statuses(check(tmp_path / "unread", Ran(history=added(read=False))))["unreadable"] == "inconclusive"
    # What the bad version can read says nothing about the good one.
    by_the_bad = findings(check(tmp_path / "read by the bad one", Ran(history=added(read_at=BACK - S))))["unreadable"]
    assert by_the_bad.status is Status.INCONCLUSIVE and "50 were never read back" in by_the_bad.why
    blind = findings(check(tmp_path / "blind", Ran(history=None)))["unreadable"]
    assert blind.status is Status.INCONCLUSIVE
    assert "nobody knows what else the bad one left" in blind.why


def test_bots_that_are_told_versions_decide_who_answered(tmp_path: Path) -> None:
    def history(writer: HistoryWriter) -> None:
        added()(writer)
        for bot in ("near-1", "near-2", *(f"near-{n}" for n in (3, 4, 6, 7, 8, 9)), "far-0", "far-5"):
            told(writer, bot, LOAD_START, "1")
        told(writer, "near-1", T + S, "2")
        told(writer, "near-2", T + S, "2")
        told(writer, "near-2", T + 2 * S, "1")
        told(writer, "near-3", T + S, "9", key="gateway")

    found = findings(check(tmp_path, Ran(history=history), answered_by_bad="50%"))["answered_by_bad"]
    # Each bot acts every 100 ms: one is told for 3 s of the outageless time, the other for 1 s.
    assert found.measured.value == pytest.approx((30 + 10) / 370)
    assert found.status is Status.PASS
    assert "as the bots were told" in found.why


def test_a_bad_version_that_answered_alone_and_told_nobody_is_not_believed(tmp_path: Path) -> None:
    found = findings(check(tmp_path, Ran(history=lambda w: told(w, "near-1", LOAD_START, "1")), answered_by_bad="50%"))
    assert found["answered_by_bad"].status is Status.INCONCLUSIVE
    assert "nobody can tell" in found["answered_by_bad"].why


def rolling() -> tuple[Happening, ...]:
    """Two gateways replaced one after another, 1 s apart; back again at `BACK`."""
    return tuple(
        one
        for n in (0, 1)
        for one in (
            *life(100, 200, T + n * S, of="gateway", replica=n),
            *life(T + n * S + 10 * MS, T + n * S + 200 * MS, BACK + n * S, "2", of="gateway", replica=n),
            *life(BACK + n * S + 10 * MS, BACK + n * S + 200 * MS, None, of="gateway", replica=n),
        )
    )


GATEWAYS = (
    TrueFault("f1-deploy", "deploy", "gateway", params={"version": "2", "rolling": True}),
    TrueFault("f2-rollback", "rollback", "gateway", inject=BACK),
)


def test_in_a_rolling_release_both_versions_answer_for_a_while(tmp_path: Path) -> None:
    ran = Ran(faults=GATEWAYS, lives=rolling(), outage_end=BACK)
    checked = check(tmp_path, ran, serves_again="2s", answered_by_bad="90%")
    (row,) = checked.tables["releases"]
    assert row["rollback"] == "f2-rollback"
    # 200 ms after T the first one is ready, 1 s after it the second good one ends; likewise on the way back.
    assert row["both_for_ns"] == 800 * MS + 800 * MS
    found = findings(checked)
    assert found["serves_again"].measured.value == 1200 * MS
    assert "both versions answered at once for 1.6s" in found["serves_again"].why
    assert found["answered_by_bad"].status is Status.INCONCLUSIVE
    assert "nobody can tell" in found["answered_by_bad"].why
    loose = check(tmp_path / "loose", ran, serves_again="2s", answered_by_bad="99%")
    assert statuses(loose)["answered_by_bad"] == "pass", "whoever answered while both did"


def test_a_replica_that_the_rolling_release_never_reached_need_not_come_back(tmp_path: Path) -> None:
    lives = tuple(one for one in rolling() if one[2]["replica"] == 0)
    untouched = tuple(life(100, 200, None, of="gateway", replica=1))
    checked = check(tmp_path, Ran(faults=GATEWAYS, lives=(*lives, *untouched), outage_end=BACK))
    assert findings(checked)["serves_again"].measured.value == 200 * MS


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        (Ran(faults=(TrueFault(),)), "no deploy of the timeline is rolled back"),
        (Ran(faults=(replace(DEPLOY, heal=None),)), "no deploy of the timeline is rolled back"),
        (Ran(faults=(replace(DEPLOY, proved=False),)), "f1-deploy was not proved"),
        (Ran(faults=(replace(DEPLOY, failed="no such command"),)), "could not be injected: no such command"),
        (Ran(unprobed=((BACK, END),)), "no probe was recorded after its rollback"),
    ],
)
def test_what_was_not_seen_is_inconclusive(tmp_path: Path, ran: Ran, why: str) -> None:
    checked = check(tmp_path, ran)
    assert set(statuses(checked).values()) == {"inconclusive"}
    assert all(why in one.why for one in checked.findings)


@settings(max_examples=25, deadline=None)
@given(ready=st.integers(10, 5_000), served=st.integers(0, 5_000))
def test_the_time_until_the_good_one_serves_is_true_to_one_probe(ready: int, served: int) -> None:
    ran = Ran(ready=BACK + ready * MS, outage_end=BACK + served * MS)
    with tempfile.TemporaryDirectory() as folder:
        measured = findings(check(Path(folder) / "run", ran))["serves_again"].measured
    truth = max(ready, served) * MS
    assert measured.value is not None
    assert truth <= measured.value <= truth + EVERY


@pytest.mark.parametrize(
    "file", ["events.jsonl", "history.jsonl", "samples/swarm-0.arrow", "samples/probe-relay.arrow"]
)
@pytest.mark.parametrize("limits", [LIMITS, {"serves_again": "500ms", "failed": "16%", "answered_by_bad": "10%"}])
def test_cutting_a_recording_short_makes_neither_a_pass_nor_a_fail(
    tmp_path: Path, file: str, limits: dict[str, str]
) -> None:
    make(tmp_path / "run", Ran().truth(objectives={"release": limits}, rate_per_s=50))
    shutil.copytree(tmp_path / "run", tmp_path / "cut")
    whole = (tmp_path / "run" / file).read_bytes()
    failing = {one.name for one in judge(Recording.open(tmp_path / "run")).objectives if one.status is Status.FAIL}
    for percent in range(100):
        (tmp_path / "cut" / file).write_bytes(whole[: len(whole) * percent // 100])
        cut = judge(Recording.open(tmp_path / "cut")).objectives
        assert not [one for one in cut if one.status is Status.PASS or "crashed:" in one.why]
        assert {one.name for one in cut if one.status is Status.FAIL} <= failing, percent
