"""The schema file that editors read is the one that the tool prints."""

from __future__ import annotations

from pathlib import Path

from chaosctl.cli.schema import schema_text


def test_the_schema_in_docs_is_current() -> None:
    committed = Path(__file__).parents[2] / "docs" / "experiment.schema.json"
    assert committed.read_text() == schema_text(), "run: chaosctl schema > docs/experiment.schema.json"
