"""Whole lines in a file that others tear."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.safety.lines import append_line


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "x\n"), ("", "x\n"), ("a\n", "a\nx\n"), ("a\nto", "a\nto\nx\n")],
)
@pytest.mark.parametrize("durable", [False, True])
def test_a_line_stands_on_a_line_of_its_own(tmp_path: Path, before: str | None, after: str, durable: bool) -> None:
    path = tmp_path / "lines"
    if before is not None:
        path.write_text(before)
    append_line(path, "x", durable)
    assert path.read_text() == after


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "lines").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        append_line(tmp_path / "lines", "x")
