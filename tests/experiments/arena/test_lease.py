from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.bank import TREASURY, Bank
from arena.lease import LEASE_S, Arbiter, Lease
from arena.ledger import Ledger
from arena.link import Peer


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> Iterator[Arbiter]:
    arbiter = Arbiter(":memory:", clock)
    yield arbiter
    arbiter.close()


class Heard(Peer):
    """A peer that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(lambda peer, number, body: None, lambda peer, body: None)
        self.got: list[object] = []

    def send_now(self, body: object) -> None:
        self.got.append(body)

    send = send_now


def test_the_first_one_leads_and_the_other_only_when_it_lacks_nothing(arbiter: Arbiter, clock: Clock) -> None:
    assert arbiter.claim(0) == 1
    assert arbiter.claim(1) == 0
    clock.now_s += 2 * LEASE_S
    assert arbiter.claim(1) == 0, "it may lack what was acknowledged"
    assert arbiter.renew(1, paired=True)
    assert arbiter.claim(1) == 0, "the leader has renewed"
    clock.now_s += LEASE_S
    assert arbiter.claim(1) == 2
    assert not arbiter.renew(1, paired=True), "an old epoch is over"
    clock.now_s += LEASE_S
    assert arbiter.claim(0) == 0, "whoever led before lacks what came since"
    assert arbiter.claim(1) == 3


def test_a_standby_that_was_declared_out_never_leads(arbiter: Arbiter, clock: Clock) -> None:
    arbiter.claim(0)
    arbiter.renew(1, paired=True)
    arbiter.renew(1, paired=False)
    clock.now_s += 10 * LEASE_S
    assert arbiter.claim(1) == 0
    assert arbiter.claim(0) == 2


def test_a_ledger_that_was_restarted_waits_for_a_whole_lease(tmp_path: Path, clock: Clock) -> None:
    before = Arbiter(tmp_path / "ledger.db", clock)
    before.claim(0)
    before.renew(1, paired=True)
    before.close()
    clock.now_s += 10 * LEASE_S
    after = Arbiter(tmp_path / "ledger.db", clock)
    assert after.claim(1) == 0
    assert after.renew(1, paired=True)
    clock.now_s += LEASE_S
    assert after.claim(1) == 2
    after.close()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_never_do_two_hold_a_lease_at_one_time(data: st.DataObject) -> None:
    """Whatever is lost and late, and whoever has died: both believe their own clock, from when they asked."""
    clock = Clock()
    arbiter = Arbiter(":memory:", clock)
    held_until_s, epochs = [0.0, 0.0], [0, 0]
    for _ in range(data.draw(st.integers(1, 30))):
        who, asked_s = data.draw(st.integers(0, 1)), clock.now_s
        clock.now_s += data.draw(st.sampled_from([0.0, 0.1, LEASE_S / 2]))  # the way there
        if epochs[who] and data.draw(st.booleans()):
            granted = arbiter.renew(epochs[who], data.draw(st.booleans()))
        else:
            granted = bool(epoch := arbiter.claim(who))
            epochs[who] = epoch or epochs[who]
        if granted and data.draw(st.booleans()):  # the answer may be lost
            held_until_s[who] = asked_s + LEASE_S
        clock.now_s += data.draw(st.sampled_from([0.0, 0.2, LEASE_S]))
        assert sum(until_s > clock.now_s for until_s in held_until_s) <= 1
    arbiter.close()


def test_a_lease_counts_from_when_it_was_asked_for(arbiter: Arbiter, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, renewed, lines = Clock(), [], Heard()
    monkeypatch.setattr("arena.lease.time.monotonic", clock)
    lease = Lease([], 0, renewed.append)
    lease.link.send_now = lines.send_now  # type: ignore[method-assign]
    lease.ask()
    asked = lines.got.pop()
    assert not lease.held
    clock.now_s += 1.0
    arbiter.hear(lines, asked)
    lease._told(lines, lines.got.pop())
    assert (lease.held, lease.epoch) == (True, 1)
    clock.now_s += LEASE_S - 1.0
    assert not lease.held
    lease.want(paired=True)
    arbiter.hear(lines, lines.got.pop())
    lease._told(lines, lines.got.pop())
    assert lease.held
    assert renewed == [True]
    lease._told(lines, ["renewed", False, True, clock.now_s])
    assert (lease.held, lease.epoch) == (False, 0)


def test_the_ledger_does_nothing_for_an_epoch_that_is_over(arbiter: Arbiter, clock: Clock) -> None:
    bank, world = Bank(":memory:"), Heard()
    ledger = Ledger(bank, arbiter, asyncio.Event())
    ledger.lend(world, ["claim", 0, 1.0])
    assert world.got.pop() == ["claimed", 1, 1.0]
    ledger.answer(world, 1, ["open:ann", {"op": "open", "player": "ann"}, 1])
    assert world.got.pop() == ["open:ann", True, {"ann": 100}]
    arbiter.renew(1, paired=True)
    clock.now_s += LEASE_S
    assert arbiter.claim(1) == 2
    before = bank.digest()
    ledger.answer(world, 2, ["open:bob", {"op": "open", "player": "bob"}, 1])
    assert (world.got, world.half.consumed, ledger.fenced) == ([], 2, 1)
    assert bank.digest() == before
    assert bank.total() == TREASURY
