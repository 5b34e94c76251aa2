"""Minimising: the shortest input log whose replays still part, written down with the one command that shows it.

The log is cut after the tick at which replays parted; then whole ticks are left out, and then single inputs, as long as
the replays that parted part again (`shrinking.ddmin`). What parts by chance is tried several times.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from chaosctl.recording.digests import Divergence
from chaosctl.recording.factors import Factor
from chaosctl.replay.inputs import InputLogs, NotEditableError, Tick
from chaosctl.replay.parting import PLAINLY, Bench, Case, cases_of
from chaosctl.replay.perturbed import Perturbing
from chaosctl.replay.reproducer import Minimised, write_reproducer
from chaosctl.replay.run import first_difference
from chaosctl.replay.shrinking import ddmin
from chaosctl.replay.start import Start

MOST_TRIALS = 5_000
# Of a part of the time, so that the reproducer is written and shown within the whole.
SHARE_OF_TIME = 0.9
LEAST_CUT_TICKS = 20
MANY_INPUTS = 500
MOST_SLICES = 16

# An input, and the place of its tick in the log.
Placed = tuple[int, object]


def minimise(perturbing: Perturbing, factors: Sequence[Factor], within_ns: int, home: Path) -> Iterator[Minimised]:
    """Yield what comes of each case that parted among the replays of a run, all of them within `within_ns`.

    Reproducers go to `home`/reproducer/<factor or plain>; `home` is the run that their command is to name. Nothing is
    yielded where nothing parted. Raises RecordingError.
    """
    until_s = time.monotonic() + within_ns / 1e9 * SHARE_OF_TIME
    digests = perturbing.bundle / "digests"
    with tempfile.TemporaryDirectory(prefix="chaosctl-minimise-", ignore_cleanup_errors=True) as scratch:
        groups = cases_of(digests, factors, perturbing.env, Path(scratch))
        if not groups:
            if first_difference([digests / "live.jsonl", *sorted(digests.glob("replay-*.jsonl"))]) is not None:
                why = "only the live run parts from the replays, and those are equal: no log can show it"
                yield Minimised(PLAINLY, why=why)
            return
        logs = InputLogs(perturbing.replay, perturbing.folder, perturbing.env)
        try:
            ticks = logs.read(perturbing.input_log)
        except NotEditableError as error:
            yield from (Minimised(group[-1].name, why=str(error)) for group in groups)
            return
        for n, group in enumerate(groups):
            share_s = max(0.0, until_s - time.monotonic()) / (len(groups) - n)
            bench = Bench(perturbing.replay, logs, ticks, time.monotonic() + share_s, perturbing.abort)
            yield _first_that_parts_again(bench, group, home)


def _first_that_parts_again(bench: Bench, group: Sequence[Case], home: Path) -> Minimised:
    found = Minimised(group[-1].name)
    for case in group:
        found = _Search(bench, case).run(home)
        if found.file is not None:
            return found
    return found


class _Search:
    """The search for the shortest log of one case."""

    def __init__(self, bench: Bench, case: Case) -> None:
        self._bench = bench
        self._case = case
        self._trials = 0
        self._began_s = time.monotonic()

    def run(self, home: Path) -> Minimised:
        """Search, and write the reproducer. Raises RecordingError."""
        original = self._bench.original
        result = Minimised(self._case.name, len(original), _count(original), pinned=self._case.pinned)
        start = self._cut()
        if start is None:
            why = (
                "replays of the log did not part again"
                if self._bench.is_open()
                else "the time was over before replays parted again"
            )
            return self._over(replace(result, why=f"{why}; trials: {self._trials}"))
        ticks, minimal = self._shrunk(self._sliced(start))
        result = replace(result, minimal=minimal, to_ticks=len(ticks), inputs=_count(ticks))
        return self._over(write_reproducer(self._bench, self._case, ticks, result, home))

    def _over(self, result: Minimised) -> Minimised:
        return replace(result, trials=self._trials, took_ns=round((time.monotonic() - self._began_s) * 1e9))

    def _cut(self) -> tuple[Tick, ...] | None:
        """Return the ticks up to where replays parted, or as many more as are needed to part again."""
        ticks, until = self._bench.original, self._case.tick
        while self._bench.is_open():
            start = tuple(one for one in ticks if one.tick <= until)
            parted = self._parted(start, self._case.sides)
            if parted is not None:
                # Another time, or with other values of the factor, it may be earlier.
                shorter = tuple(one for one in start if one.tick <= parted.tick)
                return shorter if self._parted(shorter, self._case.sides) else start
            if len(start) == len(ticks):
                return None
            until = max(2 * until, until + LEAST_CUT_TICKS)
        return None

    def _sliced(self, ticks: tuple[Tick, ...]) -> tuple[Tick, ...]:
        """Return what shares a word with one input of the last tick, if replays of that alone part: a lucky guess.

        In a long log with many players nearly everything is about others, and leaving out parts of it takes long.
        """
        if _count(ticks) < MANY_INPUTS:
            return ticks
        for given in ticks[-1].inputs[-MOST_SLICES:]:
            if not self._may_go_on():
                break
            slice = ticks[:1] + about(given, ticks[1:])
            if (parted := self._parted(slice, self._case.sides[:2])) is not None:
                return tuple(one for one in slice if one.tick <= parted.tick)
        return ticks

    def _shrunk(self, ticks: tuple[Tick, ...]) -> tuple[tuple[Tick, ...], bool]:
        """Leave out ticks and then inputs, until neither leaves anything out.

        At first two replays decide, which is quick but misses what parts by chance now and then; in the end all sides.
        """
        sides = self._case.sides[:2]
        while True:
            fewer = ddmin(ticks, partial(self._parted, sides=sides), self._may_go_on)
            ticks = fewer.items
            inputs = [(at, given) for at, one in enumerate(ticks) for given in one.inputs]
            less = ddmin(inputs, partial(self._parted_with, ticks, sides), self._may_go_on)
            ticks = _rebuilt(ticks, less.items)
            if not (fewer.minimal and less.minimal):
                return ticks, False
            if len(less.items) == len(inputs) and sides == self._case.sides:
                return ticks, True
            sides = self._case.sides

    def _parted_with(self, ticks: tuple[Tick, ...], sides: Sequence[Start], kept: Sequence[Placed]) -> bool:
        return self._parted(_rebuilt(ticks, kept), sides) is not None

    def _parted(self, ticks: Sequence[Tick], sides: Sequence[Start]) -> Divergence | None:
        self._trials += 1
        return self._bench.first_parting(ticks, sides) if ticks else None

    def _may_go_on(self) -> bool:
        return self._trials < MOST_TRIALS and self._bench.is_open()


def about(given: object, ticks: Iterable[Tick]) -> tuple[Tick, ...]:
    """Return `ticks` with those inputs only that have a word (a text anywhere in them) in common with `given`."""
    words = set(_words(given))
    return tuple(
        replace(one, inputs=tuple(other for other in one.inputs if not words.isdisjoint(_words(other))))
        for one in ticks
    )


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _words(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _words(inner)


def _rebuilt(ticks: Sequence[Tick], kept: Iterable[Placed]) -> tuple[Tick, ...]:
    """Return `ticks` with those inputs only, in order."""
    inputs: list[list[object]] = [[] for _ in ticks]
    for at, given in kept:
        inputs[at].append(given)
    return tuple(replace(one, inputs=tuple(left)) for one, left in zip(ticks, inputs, strict=True))


def _count(ticks: Iterable[Tick]) -> int:
    return sum(len(one.inputs) for one in ticks)
