"""The real command line, seen from outside: what it printed, how it ended, what it left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.safety.journal import pending, processes_path
from chaosctl.safety.label import end_run, processes_of
from chaosctl.safety.processes import running
from chaosctl.safety.undo import SignalUndo

HERE = Path(__file__).parent
TINY = HERE / "tiny" / "tiny.yaml"
HELD = HERE / "tiny" / "held.yaml"
BOUND_S = 60.0
OURS = ("keeper", "relay", "swarm", "probe")


def wait_until(holds: Callable[[], Any], what: str, within_s: float = BOUND_S) -> Any:
    """Return what `holds` returns as soon as that is true."""
    end_s = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Place:
    """Where the commands of a test are run: a folder and a registry of runs of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[Run] = []

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHAOSCTL_", "TINY_"))}
        return {**clean, "XDG_STATE_HOME": str(self.folder / "state"), "COLUMNS": "200", "NO_COLOR": "1"}

    def start(self, *words: str | Path, **env: str) -> Command:
        """Start a command and do not wait for it."""
        return Command(self, words, env)

    def chaosctl(self, *words: str | Path, **env: str) -> Ended:
        """Run a command to its end."""
        return self.start(*words, **env).ended()

    def run(
        self,
        name: str,
        *words: str | Path,
        file: Path = TINY,
        out: Path | None = None,
        terminal: int | None = None,
        **env: str,
    ) -> Run:
        """Start `chaosctl run` into a bundle of that name, over the embedded relay unless the words say otherwise."""
        bundle = out or self.folder / name
        relay = () if {"--relay", "--toxiproxy"} & set(words) else ("--relay", "embedded")
        run = Run(self, ("run", file, "--out", bundle, *relay, *words), env, bundle, terminal)
        self.runs.append(run)
        return run


class Command:
    """A command that was started; its output goes to files, so that nothing can fill a pipe, or to a terminal."""

    def __init__(
        self, place: Place, words: tuple[str | Path, ...], env: Mapping[str, str], terminal: int | None = None
    ) -> None:
        self.place = place
        number = len(list(place.folder.glob("*.stdout")))
        self._out, self._err = (place.folder / f"{number}.{stream}" for stream in ("stdout", "stderr"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chaosctl", *map(str, words)],
                cwd=place.folder,
                env={**place.environ, **env},
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=out if terminal is None else terminal,
                stderr=err if terminal is None else terminal,
                start_new_session=True,
                preexec_fn=None if terminal is None else _take_terminal,
            )

    def ended(self, within_s: float = BOUND_S) -> Ended:
        """Wait for its end. No traceback ever reaches a user."""
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end within {within_s:g} s: {self._err.read_text()[-2000:]}") from None
        ended = Ended(code, self._out.read_text(), self._err.read_text())
        assert "Traceback" not in ended.out + ended.err, ended
        return ended

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)


class Run(Command):
    """A `chaosctl run`, and its bundle."""

    def __init__(
        self,
        place: Place,
        words: tuple[str | Path, ...],
        env: Mapping[str, str],
        bundle: Path,
        terminal: int | None,
    ) -> None:
        super().__init__(place, words, env, terminal)
        self.bundle = bundle
        self._sessions: set[tuple[int, int]] = set()

    @property
    def run_id(self) -> str:
        try:
            return str(json.loads((self.bundle / "run.json").read_text())["run_id"])
        except OSError:
            return ""

    @property
    def entry(self) -> Path:
        """Where the registry has it."""
        return self.place.folder / "state" / "chaosctl" / "runs" / f"{self.run_id}.json"

    @property
    def abandoned(self) -> bool:
        """Whether the registry still knows it."""
        return self.entry.exists()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what the bundle says so far, a torn last line left out."""
        path = self.bundle / "events.jsonl"
        text = path.read_text() if path.exists() else ""
        events: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [event for event in events if name in (None, event["event"])]

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait until the bundle says so."""

        def look() -> Any:
            found = [one for one in self.events(event) if fields.items() <= one.items()]
            assert found or self.process.poll() is None, (self.process.poll(), self._err.read_text()[-2000:])
            return found

        found: list[dict[str, Any]] = wait_until(look, f"{event} {fields}")
        self._note_sessions()
        return found[0]

    def wait_until_held(self) -> None:
        """Wait until both faults of `held.yaml` are in force and the bots have been at it."""
        self.wait_for("fault_proved", fault="f1-partition")
        self.wait_for("fault_proved", fault="f2-pause")

    def pid_of(self, module: str) -> int:
        """Return the process id of the part of this run that is `python -m module`."""

        def look() -> list[int]:
            named = [pid for pid in every_pid() if module in command_line(pid) and _parent(pid) == self.process.pid]
            return named[:1]

        found: list[int] = wait_until(look, f"{module} runs")
        return found[0]

    def left(self) -> list[str]:
        """Return what still runs of it: by the label, and by the keeper's records."""
        self._note_sessions()
        recorded = {pid for pid, ticks in self._sessions if running(pid, ticks) is not None}
        labelled = set(processes_of(self.run_id)) if self.run_id else set()
        return [f"{pid}: {command_line(pid)}" for pid in sorted(recorded | labelled)]

    def nothing_is_left(self, within_s: float = 1.0) -> None:
        """Nothing runs, nothing is in force, nothing is left to restore, and our own parts logged no traceback."""
        end_s = time.monotonic() + within_s
        while left := self.left():
            assert time.monotonic() < end_s, f"after {within_s:g} s there still is {left}"
        wait_until(lambda: not self.abandoned, "the registry knows the run no more", within_s)
        assert pending(self.bundle / "undo.jsonl") == ()
        for name in OURS:
            log = self.bundle / "logs" / f"{name}.log"
            assert not log.exists() or "Traceback" not in log.read_text(), log.read_text()

    def verdict(self) -> Any:
        return json.loads((self.bundle / "verdict.json").read_text())

    def end_for_good(self) -> None:
        """End it and all of it, whatever the test left."""
        self._note_sessions()
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.run_id:
            end_run(self.run_id, self._sessions, 0.0)

    def _note_sessions(self) -> None:
        if not self.bundle.is_dir():
            return
        self._sessions |= {
            (action.pid, action.start_ticks)
            for entry in pending(processes_path(self.bundle / "undo.jsonl"))
            for action in entry.actions
            if isinstance(action, SignalUndo)
        }


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def every_pid() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def one_sentence(ended: Ended, *parts: str) -> str:
    """Return the last line of its error output, which must hold all of `parts`."""
    line = ended.err.rstrip().splitlines()[-1]
    assert all(part in line for part in parts), ended.err
    return line
