"""Writing: all or nothing a file, and one broken reporter costs nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosctl.errors import ExitCode, RecordingError
from chaosctl.recording.reader import Recording
from chaosctl.report.write import REPORTERS, ReportsIncompleteError, write_reports
from chaosctl.verify.contract import Status, Verdict
from tests.report.bundle import empty_bundle, full_bundle, verdict

NAMES = {"verdict.json", "junit.xml", "summary.md", "report.html"}


def test_every_report_is_written(tmp_path: Path) -> None:
    written = write_reports(full_bundle(tmp_path / "run"), verdict())
    assert set(written) == NAMES
    assert all(path.stat().st_size > 100 for path in written.values())
    plain = json.loads(written["verdict.json"].read_text())
    assert (plain["schema_version"], plain["status"], plain["objectives"][0]["measured"]["unit"]) == (1, "pass", "ns")
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")] == []


def test_making_them_again_gives_the_same(tmp_path: Path) -> None:
    recording = empty_bundle(tmp_path / "run")
    first = {name: path.read_text() for name, path in write_reports(recording, verdict()).items()}
    second = {name: path.read_text() for name, path in write_reports(recording, verdict()).items()}
    assert first == second


class Broken:
    """A reporter with a defect."""

    name = "broken"
    file_name = "broken.txt"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        raise ZeroDivisionError("oh")


def test_a_broken_reporter_is_told_and_the_others_write(tmp_path: Path) -> None:
    recording = empty_bundle(tmp_path / "run")
    with pytest.raises(ReportsIncompleteError, match="broken report could not be made") as caught:
        write_reports(recording, verdict(Status.FAIL), [Broken(), *REPORTERS])
    assert set(caught.value.written) == NAMES
    assert caught.value.exit_code == ExitCode.INTERNAL


def test_a_refused_write_is_a_recording_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    recording = empty_bundle(tmp_path / "run")
    (tmp_path / "run" / "junit.xml").mkdir()
    with pytest.raises(RecordingError, match=r"junit\.xml") as caught:
        write_reports(recording, verdict())
    assert caught.value.exit_code == ExitCode.NOT_READY
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "junit.xml").is_dir()
