"""What `chaosctl doctor` says of a machine that lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.cli.doctor import LOOKS, _faketime


def test_what_is_lacking_has_its_cost_and_its_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("chaosctl.replay.perturb.FAKETIME_FOLDERS", (str(tmp_path),))
    fact = _faketime()
    assert (fact.state, str(tmp_path) in fact.found) == ("optional", True)
    assert "`clock` is not tested" in fact.cost
    assert "libfaketime" in fact.mend
    (tmp_path / "libfaketime.so.1").touch()
    assert _faketime().state == "ok"


def test_each_thing_is_looked_at_once() -> None:
    assert len(set(LOOKS)) == len(LOOKS)
    assert _faketime in LOOKS
