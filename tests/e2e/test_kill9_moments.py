"""kill -9 of chaosctl at any moment of a run with overlapping faults: afterwards nothing of the run is left, and what
was not its own is as it was. CHAOSCTL_KILLS says how often (a few; `make kill9 KILLS=200` for many)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaosctl.relay.contract import ProxySpec, Toxic
from chaosctl.relay.server import find_toxiproxy, start_toxiproxy
from chaosctl.safety.processes import look
from tests.e2e.harness import HERE, Place, Run, wait_until

KILLS = int(os.environ.get("CHAOSCTL_KILLS", "4"))
AT_ONCE = 3
pytestmark = [pytest.mark.e2e, pytest.mark.needs("toxiproxy"), pytest.mark.timeout(180 + 30 * KILLS)]

OVERLAPPING = HERE / "tiny" / "overlapping.yaml"
# A kill comes so many seconds, at most, after the process was started or after an event, since a busy machine takes its
# time to bring a run up: while it comes up, while faults overlap, while it ends and is judged.
STRETCHES = ((None, 3.0), ("load_started", 3.0), ("load_started", 3.0), ("load_ended", 2.5))
# The keeper has 2 s; several runs and their swarms share the cores here.
GONE_WITHIN_S = 15.0
SEED = 5


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


@pytest.fixture(scope="module")
def bystanders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bystanders]:
    made = Bystanders(tmp_path_factory.mktemp("bystanders"))
    yield made
    made.end()


@dataclass(frozen=True)
class Moment:
    """`after_s` after the event, or after the start of the process."""

    number: int
    event: str | None
    after_s: float


def killed_at(place: Place, moment: Moment, toxiproxy: str | None) -> Run:
    """Return a run that was killed at the moment, or had ended by then."""
    temporary = place.folder / f"tmp-{moment.number}"
    temporary.mkdir()
    relay = ("--toxiproxy", toxiproxy) if toxiproxy else ()
    run = place.run(f"killed-{moment.number}", *relay, file=OVERLAPPING, TMPDIR=str(temporary))
    if moment.event is not None:
        wait_until(lambda: run.events(moment.event) or run.process.poll() is not None, f"{moment.event}")
        run.left()  # notes what the keeper has recorded, which goes with it
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(moment.after_s)
    run.signal(signal.SIGKILL)
    run.process.wait()
    return run


def leaves_nothing(place: Place, run: Run, number: int, bystanders: Bystanders) -> None:
    wait_until(lambda: not run.left(), f"nothing of {run.run_id} runs", GONE_WITHIN_S)
    wait_until(lambda: not run.run_id or not run.abandoned, "the registry knows it no more", GONE_WITHIN_S)
    mark = f"chaosctl.{run.run_id}."
    assert not run.run_id or [name for name in bystanders.proxies() if name.startswith(mark)] == []
    assert bystanders.are_untouched()
    assert list((place.folder / f"tmp-{number}").iterdir()) == []
    assert [path.name for path in run.bundle.rglob(".*")] == []
    assert not run.events("cleanup_failed")


def test_at_random_moments(place: Place, bystanders: Bystanders) -> None:
    drawn = random.Random(SEED)
    stretches = [STRETCHES[number % len(STRETCHES)] for number in range(KILLS)]
    moments = [Moment(number, event, drawn.uniform(0.0, most_s)) for number, (event, most_s) in enumerate(stretches)]

    def kill(moment: Moment) -> int:
        run = killed_at(place, moment, bystanders.url if moment.number % 3 else None)
        applied, healed = ({event["fault"] for event in run.events(name)} for name in ("fault_applied", "fault_healed"))
        in_force = len(applied - healed - {"f6-restart"})
        try:
            leaves_nothing(place, run, moment.number, bystanders)
        except AssertionError as error:
            raise AssertionError(f"{moment}, see {run.bundle}: {error}") from error
        sys.stdout.write(f"{moment.number + 1} of {KILLS}: {in_force} faults in force\n")
        return in_force

    with ThreadPoolExecutor(AT_ONCE) as pool:
        in_force = list(pool.map(kill, moments))
    assert bystanders.proxies() == bystanders.before
    state = place.folder / "state" / "chaosctl"
    assert not state.exists() or [path.name for path in state.rglob("*") if path.is_file()] == []
    sys.stdout.write(f"{KILLS} kills, {sum(count > 0 for count in in_force)} of them with faults in force\n")
