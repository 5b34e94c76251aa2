"""Every planted defect is caught by the objective that is meant for it, and the clean arena raises no alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.conftest import NEEDS
from tests.matrix.planted import CASES, descriptions
from tests.matrix.play import Outcome, play

JOBS = 3


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Outcome]]]:
    """All cases, a few side by side; each test waits for its own."""
    folder = tmp_path_factory.mktemp("matrix")
    possible = [case for case in CASES if all(NEEDS[part][0]() for part in case.needs)]
    with ThreadPoolExecutor(JOBS) as pool:
        yield {case.name: pool.submit(play, case, folder) for case in possible}


@pytest.mark.matrix
@pytest.mark.e2e
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [pytest.param(c.name, marks=pytest.mark.needs(*c.needs)) for c in CASES])
def test_what_is_planted_is_caught_by_what_is_meant_for_it(name: str, played: Mapping[str, Future[Outcome]]) -> None:
    outcome = played[name].result()
    assert outcome.wrong == (), outcome


def test_every_defect_of_the_arena_has_its_case() -> None:
    planted = {case.defect for case in CASES} - {""}
    assert planted == descriptions().keys()
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_experiment_of_the_matrix_is_passed_by_the_clean_arena_too() -> None:
    clean = {case.experiment for case in CASES if not case.defect}
    assert {case.experiment for case in CASES} == clean
