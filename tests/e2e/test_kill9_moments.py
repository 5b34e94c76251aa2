"""kill -9 of chaosctl at any moment of a run with overlapping faults: afterwards nothing of the run is left, and what
was not its own is as it was. CHAOSCTL_KILLS says how often (a few; `make kill9 KILLS=200` for many)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.harness import HERE, Place
from tests.e2e.moments import (
    Bystanders,
    Moment,
    in_force,
    kill,
    leaves_nothing,
    moments,
    no_state_is_left,
    run_until,
)

KILLS = int(os.environ.get("CHAOSCTL_KILLS", "4"))
AT_ONCE = 3
pytestmark = [pytest.mark.e2e, pytest.mark.needs("toxiproxy"), pytest.mark.timeout(180 + 30 * KILLS)]

OVERLAPPING = HERE / "tiny" / "overlapping.yaml"
# While it comes up, while faults overlap, while it ends and is judged.
STRETCHES = ((None, 3.0), ("load_started", 3.0), ("load_started", 3.0), ("load_ended", 2.5))
# The keeper has 2 s; several runs and their swarms share the cores here.
GONE_WITHIN_S = 15.0
MOMENTARY = frozenset({"f6-restart"})


@pytest.fixture(scope="module")
def bystanders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bystanders]:
    made = Bystanders(tmp_path_factory.mktemp("bystanders"))
    yield made
    made.end()


def test_at_random_moments(place: Place, bystanders: Bystanders) -> None:
    def kill_at(moment: Moment) -> int:
        run = run_until(place, moment, OVERLAPPING, bystanders.url if moment.number % 3 else None)
        kill(run)
        try:
            leaves_nothing(place, run, moment.number, bystanders, GONE_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{moment}, see {run.bundle}: {error}") from error
        sys.stdout.write(f"{moment.number + 1} of {KILLS}: {in_force(run, MOMENTARY)} faults in force\n")
        return in_force(run, MOMENTARY)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        counts = list(pool.map(kill_at, moments(STRETCHES, KILLS)))
    assert bystanders.proxies() == bystanders.before
    no_state_is_left(place)
    sys.stdout.write(f"{KILLS} kills, {sum(count > 0 for count in counts)} of them with faults in force\n")
