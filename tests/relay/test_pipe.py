"""The law of the toxics that lose nothing: any bytes, in any pieces, pass any chain of them unchanged and in order."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.relay.embedded.loop import Loop, Timer
from chaosctl.relay.embedded.toxics import TOXICS, fault_in
from chaosctl.relay.embedded.toxics.stage import End, Item, Stage


class FakeLoop(Loop):
    """A loop whose time is moved by its timers."""

    def __init__(self) -> None:
        self.time_ns = 0
        self._due: list[tuple[int, int, Timer]] = []
        self._numbers = itertools.count()

    def now_ns(self) -> int:  # type: ignore[override]
        return self.time_ns

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> Timer:
        timer = Timer(due_ns, callback)
        heapq.heappush(self._due, (due_ns, next(self._numbers), timer))
        return timer

    def advance(self, by_ns: int | None) -> None:
        """Fire what is due within that time; everything, with None."""
        end_ns = self.time_ns + by_ns if by_ns is not None else None
        while self._due and (end_ns is None or self._due[0][0] <= end_ns):
            due_ns, _, timer = heapq.heappop(self._due)
            self.time_ns = max(self.time_ns, due_ns)
            if timer.callback is not None:
                timer.callback()
        self.time_ns = end_ns if end_ns is not None else self.time_ns


class Outlet:
    """The end of a chain, which also counts what the chain holds."""

    def __init__(self) -> None:
        self.items: list[bytes | End] = []
        self.held_bytes = 0

    def hold(self, held_bytes: int) -> None:
        self.held_bytes += held_bytes

    def push(self, item: Item) -> None:
        self.items.append(item if isinstance(item, End) else bytes(item))

    @property
    def data(self) -> bytes:
        return b"".join(item for item in self.items if isinstance(item, bytes))


LOSSLESS = {
    "latency": {"latency": st.integers(0, 300), "jitter": st.integers(0, 300)},
    "bandwidth": {"rate": st.integers(1, 50)},
    "slow_close": {"delay": st.integers(0, 300)},
    "slicer": {"average_size": st.integers(5, 40), "size_variation": st.integers(0, 4), "delay": st.integers(0, 5000)},
    "limit_data": {"bytes": st.just(1 << 40)},
}
attributes = st.sampled_from(sorted(LOSSLESS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.fixed_dictionaries(LOSSLESS[kind]))
)
chains = st.lists(attributes, max_size=5)
chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.integers(0, 50_000_000)), max_size=12)


def build(chain: list[tuple[str, dict[str, int]]], loop: Loop, outlet: Outlet) -> list[Stage]:
    stages = [TOXICS[kind][0](loop, outlet, values, random.Random(7)) for kind, values in chain]
    for stage, following in itertools.pairwise([*stages, outlet]):
        stage.next = following  # type: ignore[union-attr,assignment]
    for stage in stages:
        stage.start()
    return stages


@given(chains, chunks)
def test_lossless_toxics_change_nothing_but_time(
    chain: list[tuple[str, dict[str, int]]], sent: list[tuple[bytes, int]]
) -> None:
    loop, outlet = FakeLoop(), Outlet()
    first = [*build(chain, loop, outlet), outlet][0]
    for data, pause_ns in sent:
        first.push(memoryview(data))
        loop.advance(pause_ns)
    first.push(End.HALF_CLOSE)
    loop.advance(None)
    assert outlet.data == b"".join(data for data, _ in sent)
    assert outlet.items[-1] is End.HALF_CLOSE
    assert outlet.items.count(End.HALF_CLOSE) == 1
    assert outlet.held_bytes == 0


@given(chains, chunks, st.randoms(use_true_random=False))
def test_updates_and_removal_in_the_middle_lose_nothing(
    chain: list[tuple[str, dict[str, int]]], sent: list[tuple[bytes, int]], rng: random.Random
) -> None:
    loop, outlet = FakeLoop(), Outlet()
    stages = build(chain, loop, outlet)
    for data, pause_ns in sent:
        [*stages, outlet][0].push(memoryview(data))
        loop.advance(pause_ns)
        if stages:
            rng.choice(stages).updated()
        if stages and rng.random() < 0.3:
            removed = stages.pop(rng.randrange(len(stages)))
            removed.drain()
            for stage, following in itertools.pairwise([*stages, outlet]):
                stage.next = following  # type: ignore[union-attr,assignment]
    loop.advance(None)
    assert outlet.data == b"".join(data for data, _ in sent)
    assert outlet.held_bytes == 0


def test_attributes_are_checked() -> None:
    assert fault_in("latency", {"latency": 0, "jitter": 0}) is None
    assert fault_in("slicer", {"average_size": 1, "size_variation": 0, "delay": 0}) is None
    assert "jitter" in str(fault_in("latency", {"latency": 0, "jitter": -1}))
    assert "bytes" in str(fault_in("limit_data", {"bytes": 2**60}))
