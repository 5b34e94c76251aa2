"""Killing chaosctl at random moments of a run: the moments, what is somebody else's meanwhile, what must be gone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.relay.contract import ProxySpec, Toxic
from chaosctl.relay.server import find_toxiproxy, start_toxiproxy
from chaosctl.safety.processes import look
from tests.e2e.harness import Place, Run, command_line, every_pid, wait_until

SEED = 5
Stretch = tuple[str | None, float]
"""A kill comes so many seconds, at most, after an event, or after the process was started: a busy machine takes its
time to bring a run up."""


class Bystanders:
    """What is somebody else's: a proxy with a toxic on a Toxiproxy that runs use, and a process."""

    def __init__(self, folder: Path) -> None:
        binary = find_toxiproxy()
        assert binary is not None
        self.relay = start_toxiproxy(binary, log_path=folder / "shared.log", env=os.environ)
        self.url = self.relay.info.api_url
        self.relay.create(ProxySpec("theirs", "127.0.0.1:0", "127.0.0.1:1"))
        self.relay.add_toxic("theirs", Toxic("slow", "latency", "downstream", {"latency": 7, "jitter": 0}))
        self.relay.create(ProxySpec("chaosctl.other.theirs", "127.0.0.1:0", "127.0.0.1:1"))
        self.process = subprocess.Popen(["sleep", "86400"], env={**os.environ, "CHAOSCTL_RUN": "other"})
        self.before = self.proxies()

    def proxies(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/proxies", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def are_untouched(self) -> bool:
        """Whether what is theirs is as it was, whatever others have on the server meanwhile."""
        found = self.proxies()
        process = look(self.process.pid)
        runs = process is not None and not process.ended and self.process.poll() is None
        return runs and {name: found.get(name) for name in self.before} == self.before

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.relay.close()


@dataclass(frozen=True)
class Moment:
    """`after_s` after the event, or after the start of the process."""

    number: int
    event: str | None
    after_s: float


def moments(stretches: tuple[Stretch, ...], count: int) -> list[Moment]:
    """Draw so many, from each stretch in turn."""
    drawn = random.Random(SEED)
    chosen = [stretches[number % len(stretches)] for number in range(count)]
    return [Moment(number, event, drawn.uniform(0.0, most_s)) for number, (event, most_s) in enumerate(chosen)]


def run_until(place: Place, moment: Moment, file: Path, toxiproxy: str | None) -> Run:
    """Return a run that has come to the moment, or had ended by then."""
    temporary = place.folder / f"tmp-{moment.number}"
    temporary.mkdir()
    relay = ("--toxiproxy", toxiproxy) if toxiproxy else ()
    run = place.run(f"killed-{moment.number}", *relay, file=file, TMPDIR=str(temporary))
    if moment.event is not None:
        wait_until(lambda: run.events(moment.event) or run.process.poll() is not None, f"{moment.event}")
        run.left()  # notes what the keeper has recorded, which goes with it
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(moment.after_s)
    return run


def kill(run: Run) -> None:
    """Kill it."""
    run.signal(signal.SIGKILL)
    run.process.wait()


def kill_with_keeper(run: Run) -> None:
    """Kill it and its keeper, so that nobody is left to clean up."""
    named = ("chaosctl.safety.keeper", run.run_id)
    keepers = [pid for pid in every_pid() if all(word in command_line(pid) for word in named)] if run.run_id else []
    for signum in (signal.SIGSTOP, signal.SIGKILL):  # or it would see the other's end before it met its own
        for pid in keepers:
            os.kill(pid, signum)
        kill(run)


def in_force(run: Run, momentary: frozenset[str]) -> int:
    """Return how many faults were in force when it was killed; `momentary` ones have no end."""
    applied, healed = ({event["fault"] for event in run.events(name)} for name in ("fault_applied", "fault_healed"))
    return len(applied - healed - momentary)


def leaves_nothing(place: Place, run: Run, number: int, bystanders: Bystanders, within_s: float) -> None:
    """Nothing of it runs, is registered, is on the shared Toxiproxy or in a temporary file; others are as they were."""
    wait_until(lambda: not run.left(), f"nothing of {run.run_id} runs", within_s)
    wait_until(lambda: not run.run_id or not run.abandoned, "the registry knows it no more", within_s)
    mark = f"chaosctl.{run.run_id}."
    assert not run.run_id or [name for name in bystanders.proxies() if name.startswith(mark)] == []
    assert bystanders.are_untouched()
    assert list((place.folder / f"tmp-{number}").iterdir()) == []
    assert [path.name for path in run.bundle.rglob(".*")] == []
    assert not run.events("cleanup_failed")
    if run.run_id:  # the keeper is the last to go
        named = f"nobody is called after {run.run_id}"
        wait_until(lambda: not [pid for pid in every_pid() if run.run_id in command_line(pid)], named, within_s)


def no_state_is_left(place: Place) -> None:
    """Nothing is noted of any run any more."""
    state = place.folder / "state" / "chaosctl"
    assert not state.exists() or [path.name for path in state.rglob("*") if path.is_file()] == []
