"""Where digests come at intervals, the very tick is found: by halving, and then among the states of a few ticks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosctl.recording.digests import Divergence, first_divergence, read_digests
from chaosctl.recording.reader import Recording
from chaosctl.replay.bisect import MOST_STATES, around, bisected
from chaosctl.verify.contract import Checked
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import Truth, make
from tests.replay.target import CHANCE, Told, log_of, offered, perturbing


def parted(after: int | None, tick: int) -> Divergence:
    return Divergence("digest", tick, "a", "b", after=after)


@pytest.mark.parametrize(("after", "tick"), [(0, 65), (6, 107), (40, 340), (1_000, 1_001)])
def test_the_first_tick_that_differs_is_in_the_window(after: int, tick: int) -> None:
    for first in range(after + 1, tick + 1):
        asked: list[int] = []

        def differs(at: int, first: int = first, asked: list[int] = asked) -> bool:
            asked.append(at)
            return at >= first

        low, high = bisected(parted(after, tick), differs)
        assert after <= low < first < high
        assert high - low <= MOST_STATES + 1
        assert len(asked) <= (tick - after).bit_length()
        assert len(set(asked)) == len(asked)


def test_digests_at_every_tick_need_no_question() -> None:
    def never(tick: int) -> bool:
        raise AssertionError(tick)

    assert bisected(parted(6, 7), never) == around(parted(6, 7)) == (6, 8)
    assert bisected(parted(None, 3), never) == (0, 4)


def test_the_last_equal_tick_is_known(tmp_path: Path) -> None:
    for name, last in (("a", "x"), ("b", "y")):
        rows = [{"tick": 10, "digest": "s"}, {"tick": 20, "digest": "t"}, {"tick": 30, "digest": last}]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = first_divergence(*(read_digests(tmp_path / name, name) for name in "ab"))
    assert found is not None and (found.tick, found.after) == (30, 20)


def judged(folder: Path, every: int, stamped_at: int, ticks: int) -> Checked:
    bundle = make(folder, Truth()).folder
    inputs = {1: [["set", "armed", 1]], stamped_at: [["stamp", "x", 5]]}
    (bundle / "inputs" / "world-0.log").write_text(log_of(ticks, inputs))
    told = Told()
    perturbing(bundle, offered(CHANCE, every), told).plain_and_all(2, ())
    with (bundle / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"at_ns": at, "event": name, **fields}) + "\n" for at, name, fields in told.events)
    return CHECKER.check(Recording.open(bundle), ReplayParams(runs=2))


@pytest.mark.e2e
@pytest.mark.parametrize(("every", "stamped_at", "ticks"), [(10, 17, 40), (1_000, 1_234, 2_001), (10, 20, 30)])
def test_digests_at_intervals_lead_to_the_very_tick(tmp_path: Path, every: int, stamped_at: int, ticks: int) -> None:
    checked = judged(tmp_path, every, stamped_at, ticks)
    row = next(row for row in checked.tables["replays"] if row["run"] == "replay-2")
    assert row["first_divergence"] == stamped_at
    assert [field["path"] for field in row["diff"]] == ["x"]
    assert row["inputs"] == [json.dumps({"tick": stamped_at, "inputs": [["stamp", "x", 5]]})]
    assert f"at tick {stamped_at}: x is " in checked.findings[0].why
