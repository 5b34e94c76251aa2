"""Replays: a fresh copy of the target eats a recorded input log, several times over, and prints its digests.

A fresh copy is a new process in a session of its own, with an empty state folder (`${state}`) of its own.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from chaosctl.errors import ChaosctlError, RecordingError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Offers, Replay
from chaosctl.experiment.units import format_duration
from chaosctl.recording.digests import DigestRun, Divergence, first_divergence, read_digests
from chaosctl.replay.bisect import around
from chaosctl.replay.lines import TickLines
from chaosctl.replay.start import PLAIN, Start, has_ended, started
from chaosctl.safety.exits import signal_name

MOST_BYTES = 512 * 2**20
STDERR_BYTES = 16 * 1024
STDERR_LINES = 5
SAID_CHARS = 200
CHUNK_BYTES = 65_536
POLL_S = 0.05


@dataclass(frozen=True)
class ReplayRun:
    """What came of one replay: its exit code (None: it did not start, or was cut short), its ticks, what was wrong.

    `from_tick`: it was to go on from a state, and this is its first tick. `until_tick`: it was killed on purpose after
    this tick. `said`: the last line on its standard error, where it ended well.
    """

    name: str
    code: int | None
    ticks: int
    error: str | None
    from_tick: int | None = None
    until_tick: int | None = None
    said: str | None = None

    def as_event(self) -> dict[str, Any]:
        """Return the fields of the event `replay_finished`."""
        fields = asdict(self)
        return {"run": fields.pop("name"), **fields}


@dataclass(frozen=True)
class Leg:
    """One process of a replay that takes two: arguments that are added with what completes them, its state folder (a
    fresh one if None), the tick at which it is killed, and whether it goes `later` than from the first tick."""

    words: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    state: Path | None = None
    kill_at: int | None = None
    later: bool = False


WHOLE = Leg()


@dataclass(frozen=True)
class Collected:
    """What a service left for the replay, in the bundle; `missing` says what was offered and is not there."""

    input_log: Path | None
    digests: Path | None
    missing: tuple[str, ...]


def collect(
    offers: Offers, *, service: str, index: int, values: Mapping[str, str], folder: Path, bundle: Path
) -> Collected:
    """Copy a service's input log to `inputs/<service>-<index>.log` and its digests to `digests/live.jsonl`.

    `values` completes `${state}` and the like in the offered paths; relative ones start at `folder`. What is not there
    is named in the result. Raises RecordingError when the bundle cannot be written.
    """
    missing: list[str] = []

    def take(what: str, offered: str | None, to: Path) -> Path | None:
        if offered is None:
            return None
        try:
            source = folder / expand((offered,), values)[0]
            if not source.is_file():
                missing.append(f"{service}[{index}] offers {what} at {source}, and no file is there")
                return None
            return _copy(source, to)
        except ChaosctlError as error:
            if isinstance(error, RecordingError):
                raise
            missing.append(f"{service}[{index}] offers {what}: {error}")
            return None

    input_log = take("input_log", offers.input_log, bundle / "inputs" / f"{service}-{index}.log")
    digests = take("digests", offers.digests, bundle / "digests" / "live.jsonl")
    return Collected(input_log, digests, tuple(missing))


def replay_all(
    replay: Replay,
    *,
    runs: int,
    input_log: Path,
    bundle: Path,
    folder: Path,
    env: Mapping[str, str],
    abort: threading.Event,
    finished: Callable[[ReplayRun], None] = lambda run: None,
    window: Callable[[Divergence], tuple[int, int]] = around,
) -> tuple[ReplayRun, ...]:
    """Replay `runs` times into `digests/replay-<n>.jsonl`, telling `finished` of each.

    Where those and `digests/live.jsonl` part, and the target can print states, it is replayed twice more for the
    ticks of `window`, into `digests/states-replay-1.jsonl` and `-2`. Raises RecordingError.
    """
    digests = bundle / "digests"
    done: list[ReplayRun] = []

    def one(name: str, states: tuple[int, int] | None) -> None:
        out = digests / f"{name}.jsonl"
        run = replay_once(
            replay, name=name, input_log=input_log, out=out, folder=folder, env=env, states=states, abort=abort
        )
        done.append(run)
        finished(run)

    for n in range(1, runs + 1):
        if not abort.is_set():
            one(f"replay-{n}", None)
    parted = first_parting([digests / "live.jsonl", *(digests / f"{run.name}.jsonl" for run in done)])
    if parted is not None and replay.states is not None:
        states = window(parted)
        for n in (1, 2):
            if not abort.is_set():
                one(f"states-replay-{n}", states)
    return tuple(done)


def first_difference(paths: Sequence[Path]) -> int | None:
    """Return the first tick whose digest differs between any of these runs and the first one that is there."""
    parted = first_parting(paths)
    return None if parted is None else parted.tick


def first_parting(paths: Sequence[Path]) -> Divergence | None:
    """Return where the digest of any of these runs first differs from that of the first one that is there.

    That one run has more ticks than another gives no state to compare.
    """
    runs = [_digests(path) for path in paths if path.is_file()]
    found = [one for run in runs[1:] if (one := first_divergence(runs[0], run)) is not None and one.what == "digest"]
    return min(found, key=lambda one: one.tick, default=None)


def ticks_of(path: Path) -> tuple[int, ...]:
    """Return the ticks of a run's digests, ascending; none where it left no file. Raises RecordingError."""
    return _digests(path).ticks if path.is_file() else ()


def replay_once(
    replay: Replay,
    *,
    name: str,
    input_log: Path,
    out: Path,
    folder: Path,
    env: Mapping[str, str],
    states: tuple[int, int] | None = None,
    start: Start = PLAIN,
    leg: Leg = WHOLE,
    abort: threading.Event,
) -> ReplayRun:
    """Run the replay command once in `folder`, its standard output into `out`, and look at every line of it.

    `states` are the first and last tick whose states are printed too; `start` changes how the process is started, and
    `leg` makes it one process of a replay that takes two. Whatever the command does wrong is in the result. Raises
    RecordingError when `out` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="chaosctl-replay-", ignore_cleanup_errors=True) as fresh:
        state = leg.state or Path(fresh) / "state"
        state.mkdir(exist_ok=True)
        values = {**leg.values, "input_log": start.log_path(input_log), "state": str(state)}
        words = replay.run + leg.words
        if states is not None and replay.states is not None:
            values |= {"from_tick": str(states[0]), "to_tick": str(states[1])}
            words += replay.states
        within_ns = round(replay.within_ns * (start.pace.slower if start.pace else 1))
        try:
            command = expand(words, values)
            with started(
                command, start, log=input_log, folder=folder, fresh=Path(fresh), env=env, narrow=leg.kill_at is not None
            ) as process:
                watch = _Watch(process, time.monotonic() + within_ns / 1e9, abort, leg.kill_at)
                cut = watch.read_into(out, within_ns)
        except ChaosctlError as error:
            if isinstance(error, RecordingError):
                raise
            return ReplayRun(name, None, 0, str(error))
        except OSError as error:
            return ReplayRun(name, None, 0, f"cannot start {words[0]} in {folder}: {error.strerror}")
        return watch.result(name, cut, leg)


class _Watch:
    """One replay while it runs."""

    def __init__(
        self, process: subprocess.Popen[bytes], until_s: float, abort: threading.Event, kill_at: int | None
    ) -> None:
        self._process = process
        self._until_s = until_s
        self._abort = abort
        self._kill_at = kill_at
        self._lines = TickLines()
        self._killed = False
        self._stderr = b""
        self._bytes = 0

    def read_into(self, out: Path, within_ns: int) -> str | None:
        """Read all that it prints. Return why it had to be cut short, None if it had not. Raises RecordingError."""
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with out.open("wb") as file:
                cut = self._read(file, within_ns)
                if self._killed:
                    file.truncate(self._lines.whole_bytes)
                return cut
        except OSError as error:
            raise RecordingError(f"cannot write {out}: {error.strerror}; make room, or the folder writable") from error

    def result(self, name: str, cut: str | None, leg: Leg) -> ReplayRun:
        """Return what came of it, when it has ended. What a process that we killed had begun to print is no error."""
        code = None if cut is not None else self._process.returncode
        error = cut
        killed = self._killed and code == -signal.SIGKILL
        if error is None and leg.kill_at is not None and not killed:
            error = f"it had ended before it could be killed at tick {leg.kill_at}{self._last_words()}"
        elif error is None and not killed:
            self._lines.end()
            error = self._exit_error()
        until_tick = self._lines.last if killed else None
        from_tick = self._lines.first if leg.later else None
        said = self._stderr.decode(errors="replace").strip()[-SAID_CHARS:].rpartition("\n")[2] if code == 0 else ""
        error = error or self._lines.error
        return ReplayRun(name, code, self._lines.ticks, error, from_tick, until_tick, said or None)

    def _read(self, file: IO[bytes], within_ns: int) -> str | None:
        """Read until the command has ended. Return why it had to be cut short, None if it had not."""
        assert self._process.stdout is not None and self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, file)
            selector.register(self._process.stderr, selectors.EVENT_READ, None)
            while selector.get_map() or not self._has_ended():
                if self._abort.is_set():
                    return "interrupted"
                if time.monotonic() > self._until_s:
                    return f"it did not end within {format_duration(within_ns)} and was killed{self._last_words()}"
                if self._bytes > MOST_BYTES:
                    return f"it printed more than {MOST_BYTES >> 20} MiB and was killed"
                for key, _ in selector.select(POLL_S):
                    if not self._take(os.read(key.fd, CHUNK_BYTES), key.data):
                        selector.unregister(key.fileobj)
                self._kill_in_time()
        return None

    def _kill_in_time(self) -> None:
        """Kill it as soon as it has printed that tick, unless it has ended. What it printed before is still read."""
        reached = self._kill_at is not None and self._lines.last is not None and self._lines.last >= self._kill_at
        if reached and not self._killed and not has_ended(self._process):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._killed = True

    def _take(self, data: bytes, file: IO[bytes] | None) -> bool:
        if file is None:
            self._stderr = (self._stderr + data)[-STDERR_BYTES:]
        else:
            file.write(data)
            self._lines.feed(data)
            self._bytes += len(data)
        return bool(data)

    def _has_ended(self) -> bool:
        ended = has_ended(self._process)
        if not ended:
            self._abort.wait(POLL_S / 5)
        return ended

    def _exit_error(self) -> str | None:
        code = self._process.returncode
        if code == 0:
            return None
        how = f"exited with code {code}" if code > 0 else f"was ended by {signal_name(-code)}"
        return f"it {how}{self._last_words()}"

    def _last_words(self) -> str:
        lines = self._stderr.decode(errors="replace").strip().splitlines()[-STDERR_LINES:]
        return ": " + " | ".join(lines) if lines else ""


def _digests(path: Path) -> DigestRun:
    try:
        return read_digests(path, path.stem)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error


def _copy(source: Path, to: Path) -> Path:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)
    except OSError as error:
        raise RecordingError(f"cannot copy {source} to {to}: {error.strerror}; make room in the bundle") from error
    return to
