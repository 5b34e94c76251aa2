"""Perturbed replays: one factor at a time, each after its canary, compared with the plain replays by the verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.experiment.model import Replay
from chaosctl.recording.factors import AGAIN, PLAIN_FOR, Factor, perturbed_run
from chaosctl.replay.canary import Sighting, send_canary
from chaosctl.replay.perturb import NotHereError, Perturbation, perturbation_of
from chaosctl.replay.run import ReplayRun, first_difference, replay_all, replay_once
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
        replay_all(
            self.replay,
            runs=runs,
            input_log=self.input_log,
            bundle=self.bundle,
            folder=self.folder,
            env=self.env,
            abort=self.abort,
            finished=self.finished,
        )
        self.all(factors)

    def all(self, factors: Sequence[Factor]) -> None:
        """Replay under each of `factors` into `digests/perturb-<factor>-<n>.jsonl`. Raises RecordingError.

        Plain replays are there already. Where they part from each other, only factors that can be pinned say anything:
        those are replayed twice with the same value (`-1` and `-again`).
        """
        plain = sorted((self.bundle / "digests").glob("replay-*.jsonl"))
        parted = first_difference(plain) is not None
        for factor in factors:
            if not self.abort.is_set():
                self._one(factor, plain, parted)

    def _one(self, factor: Factor, plain: Sequence[Path], parted: bool) -> None:
        try:
            perturbation = perturbation_of(factor, self.env)
        except NotHereError as error:
            self.sighted(Sighting(factor, False, str(error)))
            return
        sighting = send_canary(perturbation, self.folder, self.env)
        self.sighted(sighting)
        if not sighting.reached:
            return
        if not parted:
            self._against_plain(perturbation, plain[:1])
        elif perturbation.pins:
            for which in ("1", AGAIN):
                self._replay(perturbed_run(factor, which), perturbation.starts[0])

    def _against_plain(self, perturbation: Perturbation, plain: Sequence[Path]) -> None:
        for n, start in enumerate(perturbation.starts, 1):
            name = perturbed_run(perturbation.factor, n)
            self._replay(name, start)
            tick = first_difference([*plain, self.bundle / "digests" / f"{name}.jsonl"])
            if tick is not None and self.replay.states is not None:
                window = (max(0, tick - 1), tick + 1)
                self._replay(f"states-{name}", start, window)
                self._replay(f"states-{PLAIN_FOR}{name}", PLAIN, window)

    def _replay(self, name: str, start: Start, states: tuple[int, int] | None = None) -> None:
        if self.abort.is_set():
            return
        run = replay_once(
            self.replay,
            name=name,
            input_log=self.input_log,
            out=self.bundle / "digests" / f"{name}.jsonl",
            folder=self.folder,
            env=self.env,
            states=states,
            start=start,
            abort=self.abort,
        )
        self.finished(run)
