"""A folder for the commands of a test module, and an end to all that its runs started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Whatever a failing test leaves is ended with it, so that it disturbs no other."""
    place = Place(tmp_path_factory.mktemp(request.module.__name__.rsplit(".", 1)[-1]))
    yield place
    for run in place.runs:
        run.end_for_good()
