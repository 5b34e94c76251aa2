"""What `chaosctl replay` refuses before it replays anything, and what its options ask for."""

from __future__ import annotations

import pytest

from chaosctl.cli.replay import _params
from chaosctl.errors import UsageError


def test_the_options_become_the_objective() -> None:
    params = _params("clock,cpu", 5, 8, "90s")
    assert (params.runs, params.tamper, params.minimise_ns) == (5, 8, 90_000_000_000)
    assert params.perturb == ("clock", "cpu")
    assert _params("none", 2, 0, None).minimise_ns is None


@pytest.mark.parametrize(
    ("perturb", "within", "said"),
    [("tide", None, "'tide' is no factor"), ("none", "soon", "--minimise-within soon: 'soon' is not a duration")],
)
def test_what_means_nothing_is_refused(perturb: str, within: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _params(perturb, 2, 0, within)
