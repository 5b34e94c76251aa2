"""Perturbed replays: one factor at a time, each after its canary, compared with the plain replays by the verdict."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.experiment.model import Replay
from chaosctl.recording.digests import Divergence, read_digests
from chaosctl.recording.factors import HELD, PLAIN_FOR, Factor, perturbed_run
from chaosctl.replay.bisect import bisected
from chaosctl.replay.canary import Sighting, send_canary
from chaosctl.replay.legs import TWO_LEGS, cut_of, goes_on, legs_of, once_more, sighting_of
from chaosctl.replay.perturb import NotHereError, Perturbation, perturbation_of
from chaosctl.replay.run import (
    WHOLE,
    Leg,
    ReplayRun,
    first_difference,
    first_parting,
    replay_all,
    replay_once,
    ticks_of,
)
from chaosctl.replay.start import PLAIN, Start


@dataclass(frozen=True)
class Perturbing:
    """What perturbed replays share: the command, the log, the bundle they go into, and who is told of them."""

    replay: Replay
    input_log: Path
    bundle: Path
    folder: Path
    env: Mapping[str, str]
    abort: threading.Event
    sighted: Callable[[Sighting], None]
    finished: Callable[[ReplayRun], None]

    def plain_and_all(self, runs: int, factors: Sequence[Factor]) -> None:
        """Replay `runs` times as it is, and then under each of `factors`. Raises RecordingError."""
        done = replay_all(
            self.replay,
            runs=runs,
            input_log=self.input_log,
            bundle=self.bundle,
            folder=self.folder,
            env=self.env,
            abort=self.abort,
            finished=self.finished,
            window=lambda parted: self._bisected(parted, PLAIN),
        )
        # Each more would end as these did, a hanging one after its whole time.
        if done and all(run.error is not None for run in done):
            for factor in factors:
                self.sighted(Sighting(factor, False, "no plain replay came to a good end"))
            return
        self.all(factors)

    def all(self, factors: Sequence[Factor]) -> None:
        """Replay under each of `factors` into `digests/perturb-<factor>-<n>.jsonl`. Raises RecordingError.

        Plain replays are there already. Where they part from each other, only factors that can be pinned say anything:
        those are replayed several times with the same value (`-1`, `-again`, ...). Plain replays that part now and then
        may have been equal by chance: after each factor that seems to break them there is one more.
        """
        plain = sorted((self.bundle / "digests").glob("replay-*.jsonl"))
        parted = first_difference(plain) is not None
        tried: list[Perturbation] = []
        with tempfile.TemporaryDirectory(prefix="chaosctl-perturb-", ignore_cleanup_errors=True) as scratch:
            for factor in factors:
                if self.abort.is_set():
                    return
                try:
                    if factor in TWO_LEGS:
                        self._in_two_legs(factor, plain, parted)
                    else:
                        one = perturbation_of(factor, self.env, Path(scratch), self.replay.clock_file)
                        tried += [one] if self._one(one, plain, parted) else []
                except NotHereError as error:
                    self.sighted(Sighting(factor, False, str(error)))
                if not parted and self._breaks(factor, plain[:1]):
                    parted = self._plain_once_more(plain[:1])
                    for reached in tried if parted else ():
                        self._hold(reached)

    def _one(self, perturbation: Perturbation, plain: Sequence[Path], parted: bool) -> bool:
        """Replay under a factor if its canary was seen. Return whether it was."""
        sighting = send_canary(perturbation, self.folder, self.env)
        self.sighted(sighting)
        if sighting.reached and parted:
            self._hold(perturbation)
        elif sighting.reached:
            self._against_plain(perturbation, plain[:1])
        return sighting.reached

    def _hold(self, perturbation: Perturbation) -> None:
        """Replay with the factor pinned to one value, until one of those parts from the others."""
        paths: list[Path] = []
        for which in HELD if perturbation.pins else ():
            name = perturbed_run(perturbation.factor, which)
            paths.append(self.bundle / "digests" / f"{name}.jsonl")
            if not paths[-1].is_file():
                self._replay(name, perturbation.starts[0])
            if first_difference(paths) is not None:
                return

    def _breaks(self, factor: Factor, plain: Sequence[Path]) -> bool:
        """Return whether a replay under the factor parts from the plain one."""
        under_it = sorted((self.bundle / "digests").glob(f"{perturbed_run(factor, '*')}.jsonl"))
        return bool(plain) and first_difference([*plain, *under_it]) is not None

    def _plain_once_more(self, plain: Sequence[Path]) -> bool:
        """Replay plainly once more, and return whether that parts, too."""
        name = f"replay-{len(list((self.bundle / 'digests').glob('replay-*.jsonl'))) + 1}"
        self._replay(name, PLAIN)
        if window := self._window(name, plain):
            for n in (1, 2):
                self._replay(f"states-replay-{n}", PLAIN, window)
        return first_difference([*plain, self.bundle / "digests" / f"{name}.jsonl"]) is not None

    def _against_plain(self, perturbation: Perturbation, plain: Sequence[Path]) -> None:
        for n, start in enumerate(perturbation.starts, 1):
            name = perturbed_run(perturbation.factor, n)
            self._replay(name, start)
            if window := self._window(name, plain, start):
                self._replay(f"states-{name}", start, window)
                self._replay(f"states-{PLAIN_FOR}{name}", PLAIN, window)

    def _in_two_legs(self, factor: Factor, plain: Sequence[Path], parted: bool) -> None:
        """Replay up to a tick and on from there, in two processes. Raises NotHereError."""
        if parted:
            raise NotHereError("replays part already without it")
        ticks = ticks_of(plain[0]) if plain else ()
        tick = cut_of(ticks)
        with tempfile.TemporaryDirectory(prefix="chaosctl-legs-", ignore_cleanup_errors=True) as name:
            kept = Path(name)
            runs: list[ReplayRun] = []
            again: list[Leg | None] = []
            for n, leg in enumerate(legs_of(factor, self.replay, tick, kept), 1):
                if not runs or goes_on(factor, runs[0], kept):
                    again.append(once_more(leg, kept / f"again-{n}"))
                    runs.append(self._replay_now(perturbed_run(factor, n), PLAIN, None, leg))
            if self.abort.is_set():
                return
            self.sighted(sighting_of(factor, tick, ticks, runs, kept))
            for run, leg_again in zip(runs, again, strict=True):
                if leg_again is not None and (window := self._window(run.name, plain[:1])):
                    self._replay_now(f"states-{run.name}", PLAIN, window, leg_again)
                    self._replay(f"states-{PLAIN_FOR}{run.name}", PLAIN, window)

    def _window(self, name: str, plain: Sequence[Path], start: Start = PLAIN) -> tuple[int, int] | None:
        """Return the ticks to print states for: where `name` parts from the plain replay, and states are offered."""
        parted = first_parting([*plain, self.bundle / "digests" / f"{name}.jsonl"])
        return None if parted is None or self.replay.states is None else self._bisected(parted, start)

    def _bisected(self, parted: Divergence, start: Start) -> tuple[int, int]:
        """Return the ticks to print states for, where a replay started so parts from a plain one."""

        def digest_at(tick: int, side: Start) -> str | None:
            with tempfile.TemporaryDirectory(prefix="chaosctl-bisect-", ignore_cleanup_errors=True) as scratch:
                out = Path(scratch) / "digests.jsonl"
                replay_once(
                    self.replay,
                    name="bisect",
                    input_log=self.input_log,
                    out=out,
                    folder=self.folder,
                    env=self.env,
                    states=(tick, tick),
                    start=side,
                    abort=self.abort,
                )
                line = read_digests(out, "bisect").lines.get(tick) if out.is_file() else None
            return None if line is None else line.digest

        return bisected(parted, lambda tick: digest_at(tick, PLAIN) != digest_at(tick, start))

    def _replay(self, name: str, start: Start, states: tuple[int, int] | None = None) -> None:
        if not self.abort.is_set():
            self._replay_now(name, start, states, WHOLE)

    def _replay_now(self, name: str, start: Start, states: tuple[int, int] | None, leg: Leg) -> ReplayRun:
        run = replay_once(
            self.replay,
            name=name,
            input_log=self.input_log,
            out=self.bundle / "digests" / f"{name}.jsonl",
            folder=self.folder,
            env=self.env,
            states=states,
            start=start,
            leg=leg,
            abort=self.abort,
        )
        self.finished(run)
        return run
