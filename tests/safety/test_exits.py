"""How an end is named."""

from __future__ import annotations

import pytest

from chaosctl.safety.exits import Exit, signal_name


def test_in_words() -> None:
    assert str(Exit(0, 3, None)) == "with code 3"
    assert str(Exit(0, None, "SIGKILL")) == "by SIGKILL"


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (40, "SIG40")])
def test_signals_by_name(number: int, name: str) -> None:
    assert signal_name(number) == name
