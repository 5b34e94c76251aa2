"""What the events say of a run whose orchestrator was killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosctl.safety.interruption import events_path, last_event, record_interruption


def test_what_is_left_is_said_too(tmp_path: Path) -> None:
    record_interruption(tmp_path, 5, "keeper", ["a relay", "a process"])
    lines = [json.loads(line) for line in events_path(tmp_path).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["interrupted", "cleanup_failed", "cleanup_failed"]
    assert lines[2] == {"at_ns": 5, "event": "cleanup_failed", "what": "a process"}


def test_a_bundle_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    record_interruption(tmp_path / "gone", 5, "keeper", [])
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (None, (0, "")),
        ("", (0, "")),
        ('{"at_ns": 1, "event": "a"}\n{"at_ns": 2, "event": "b"}\n', (2, "b")),
        ('{"at_ns": 1, "event": "a"}\n{"at_ns": 2, "ev', (1, "a")),
        ('{"at_ns": 1, "event": "a"}\n[]\n{"event": "b"}\n', (1, "a")),
    ],
)
def test_the_last_readable_event(tmp_path: Path, text: str | None, last: tuple[int, str]) -> None:
    if text is not None:
        events_path(tmp_path).write_text(text)
    assert last_event(tmp_path) == last
