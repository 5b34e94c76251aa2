"""Which replays of a run parted, and whether they part again when they are fed another log."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chaosctl.experiment.model import Replay
from chaosctl.recording.digests import DigestRun, Divergence, first_divergence, read_digests
from chaosctl.recording.factors import HELD, Factor, perturbed_run
from chaosctl.replay.inputs import InputLogs, NotEditableError, Tick, numbered_like
from chaosctl.replay.perturb import NotHereError, Perturbation, perturbation_of
from chaosctl.replay.run import first_difference, replay_once
from chaosctl.replay.start import PLAIN, Start

# Under this name replays that nothing perturbs are minimised.
PLAINLY = "plain"
# Replays that part by chance alone may be alike once or twice: so many are compared before they count as equal.
PLAIN_SIDES = 4
AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """Replays that parted: `name` is the factor, or `plain`; started as `sides`, they are to part again.

    `tick`: where they parted, as far as that is known. `pinned`: plain replays part, and the factor is why.
    """

    name: str
    sides: tuple[Start, ...]
    tick: int
    pinned: bool = False


def cases_of(
    digests: Path, factors: Sequence[Factor], env: Mapping[str, str], scratch: Path
) -> tuple[tuple[Case, ...], ...]:
    """Return what parted in the folder `digests` of a run: in each group the first that parts again will do.

    Where plain replays part, a factor that is known to be why comes first: two fixed values of it part every time.
    `scratch` is for what perturbations have to make. Raises RecordingError.
    """
    plain = sorted(digests.glob("replay-*.jsonl"))
    tick = first_difference(plain)
    perturbations = [one for factor in factors if (one := _perturbation(factor, env, scratch)) is not None]
    if tick is not None:
        pinned = [
            Case(one.factor, one.starts[:2], tick, pinned=True)
            for one in perturbations
            if one.pins and len(one.starts) > 1 and _held_still(digests, one.factor)
        ]
        return ((*pinned, Case(PLAINLY, (PLAIN,) * PLAIN_SIDES, tick)),)
    found = []
    for one in perturbations:
        for n, start in enumerate(one.starts, 1):
            tick = first_difference([*plain[:1], digests / f"{perturbed_run(one.factor, n)}.jsonl"])
            if tick is not None:
                found.append((Case(one.factor, (PLAIN, start), tick),))
                break
    return tuple(found)


def _perturbation(factor: Factor, env: Mapping[str, str], scratch: Path) -> Perturbation | None:
    try:
        return perturbation_of(factor, env, scratch)
    except (NotHereError, KeyError):  # not here, or not a matter of how one process is started
        return None


def _held_still(digests: Path, factor: Factor) -> bool:
    """Return whether the replays with the factor held at one value are all there and equal."""
    paths = [digests / f"{perturbed_run(factor, which)}.jsonl" for which in HELD]
    return all(path.is_file() for path in paths) and first_difference(paths) is None


@dataclass(frozen=True)
class Bench:
    """Where logs are tried: what is replayed, the log that all others are cut from, and until when."""

    replay: Replay
    logs: InputLogs
    original: tuple[Tick, ...]
    until_s: float
    abort: threading.Event

    def is_open(self) -> bool:
        """Return whether there is time for another trial."""
        return time.monotonic() < self.until_s and not self.abort.is_set()

    def first_parting(self, ticks: Sequence[Tick], sides: Sequence[Start]) -> Divergence | None:
        """Replay a log of `ticks` started as each of `sides`, until one parts from the first. None: none did.

        A replay that fails shows nothing, and neither does a log that cannot be written. Raises RecordingError.
        """
        first: DigestRun | None = None
        with closing(self.replays(ticks, sides)) as runs:
            for run in runs:
                first = first or run
                parted = first_divergence(first, run)
                if parted is not None and parted.what == "digest":
                    return parted
        return None

    def replays(
        self, ticks: Sequence[Tick], sides: Sequence[Start], states: tuple[int, int] | None = None
    ) -> Generator[DigestRun, None, None]:
        """Yield the digests of a replay of `ticks` a side, in order, up to the first that fails. Raises RecordingError.

        `states`: the first and last tick whose states are printed too.
        """
        with tempfile.TemporaryDirectory(prefix="chaosctl-trial-", ignore_cleanup_errors=True) as scratch:
            log = Path(scratch) / "input.log"
            try:
                self.logs.write(numbered_like(self.original, ticks), log)
            except NotEditableError:
                return
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for at in range(0, len(sides), AT_ONCE):
                    batch = [pool.submit(self._one, log, n, sides[n], states) for n in range(at, len(sides))[:AT_ONCE]]
                    runs = [one.result() for one in batch]
                    for run in runs:
                        if run is None:
                            return
                        yield run

    def _one(self, log: Path, n: int, start: Start, states: tuple[int, int] | None) -> DigestRun | None:
        left_ns = max(1, round((self.until_s - time.monotonic()) * 1e9))
        out = log.parent / f"{n}.jsonl"
        ended = replay_once(
            self.replay.model_copy(update={"within_ns": min(self.replay.within_ns, left_ns)}),
            name=str(n),
            input_log=log,
            out=out,
            folder=self.logs.folder,
            env=self.logs.env,
            states=states,
            start=start,
            abort=self.abort,
        )
        return read_digests(out, str(n)) if ended.error is None else None
