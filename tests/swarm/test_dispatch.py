"""Steps of a ramp: exact counts for each worker, up and down, at the rate that was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chaosctl.swarm import dispatch
from chaosctl.swarm.dispatch import SeatDispatcher
from chaosctl.swarm.seats import deal

CLASSES = [type("near", (), {}), type("far", (), {})]
BOTS = [(f"near-{i}", "near", "") for i in range(8)] + [(f"far-{i}", "far", "") for i in range(2)]


class Time:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(dispatch, "time", fake)
    return fake


def dispatcher(workers: int) -> SeatDispatcher:
    nodes = [SimpleNamespace(id=f"host_{number}") for number in range(workers)]
    return SeatDispatcher(
        nodes,
        CLASSES,
        seats=deal(BOTS, [1.0], workers),
        class_of=lambda seat: seat.cohort,
        rank_of=lambda node: int(node[-1]),
    )


def test_all_at_once_is_one_step(time: Time) -> None:
    one = dispatcher(1)
    one.new_dispatch(10, 1e9)
    assert list(one)[-1] == {"host_0": {"near": 8, "far": 2}}
    assert time.now_s <= 100.0 + dispatch.STEP_S


def test_a_ramp_takes_its_time_and_grows_by_steps(time: Time) -> None:
    one = dispatcher(1)
    one.new_dispatch(10, 5.0)
    users = [sum(step["host_0"].values()) for step in one]
    assert users == sorted(users)
    assert users[-1] == 10
    assert 1.5 <= time.now_s - 100.0 <= 2.5
    assert not one.dispatch_in_progress


def test_down_and_up_again_are_the_same_users(time: Time) -> None:
    one = dispatcher(1)
    for target, cohorts in ((10, {"near": 8, "far": 2}), (5, {"near": 4, "far": 1}), (10, {"near": 8, "far": 2})):
        one.new_dispatch(target, 50.0)
        assert list(one)[-1] == {"host_0": cohorts}


def test_workers_share_the_users(time: Time) -> None:
    two = dispatcher(2)
    two.new_dispatch(10, 1e9)
    last = list(two)[-1]
    assert [sum(counts.values()) for counts in last.values()] == [5, 5]
    assert sum(counts["far"] for counts in last.values()) == 2


def test_more_than_there_are_is_all_of_them(time: Time) -> None:
    one = dispatcher(1)
    one.new_dispatch(99, 1e9)
    assert sum(list(one)[-1]["host_0"].values()) == 10
