from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import RecordingError, UsageError
from chaosctl.recording.columns import read_history, read_samples
from chaosctl.recording.model import Mark, Outcome
from chaosctl.recording.writer import EventWriter, HistoryWriter, RunWriter, SampleWriter, write_atomically

FULL = Path("/dev/full")


def silent(sentence: str) -> None:
    raise AssertionError(sentence)


def test_samples_come_back_as_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "swarm-0.arrow"
    writer = SampleWriter(path, open_loop=True, batch=3)
    for n in range(10):
        writer.add(n * 10, n * 10 + 1, n * 10 + 5, Outcome.OK, f"near-{n % 3}", "move", "near")
    writer.add(200, 201, -1, Outcome.INFO, "far-1", "hit", "far", "timeout: \udcff")
    writer.close()
    samples = read_samples([path], silent)
    assert len(samples) == 11 and samples.open_loop
    assert samples.intended_ns.tolist() == [*range(0, 100, 10), 200]
    assert samples.end_ns.tolist()[-1] == -1
    assert samples.outcome.tolist() == [0] * 10 + [2]
    assert [samples.bots[code] for code in samples.bot[:4]] == ["near-0", "near-1", "near-2", "near-0"]
    assert samples.errors == ("", "timeout: \\udcff")
    assert (samples.operations, samples.cohorts) == (("hit", "move"), ("far", "near"))


def test_samples_are_on_disk_after_each_batch_and_each_flush(tmp_path: Path) -> None:
    path = tmp_path / "swarm-0.arrow"
    writer = SampleWriter(path, open_loop=False, batch=2)
    for n in range(5):
        writer.add(n, n, n, Outcome.OK, "b", "o", "c")
    notes: list[str] = []
    assert len(read_samples([path], notes.append)) == 4
    writer.flush()
    assert len(read_samples([path], notes.append)) == 5
    writer.close()


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    samples = SampleWriter(FULL, open_loop=True)
    samples.add(1, 1, 1, Outcome.OK, "b", "o", "c")
    history = HistoryWriter(FULL)
    history.write(1, Mark.OK, 1, "b", "add", "k", "1")
    for write in (samples.flush, history.flush, lambda: EventWriter(FULL, 0).write("note", text="x")):
        with pytest.raises(RecordingError, match=r"^/dev/full: the disk is full; free some space"):
            write()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not an empty folder"):
        RunWriter.create(tmp_path)
    with pytest.raises(UsageError, match="is not an empty folder"):
        RunWriter.create(tmp_path / "file")
    with pytest.raises(RecordingError, match="cannot be written"):
        RunWriter.create(tmp_path / "file" / "inside")
    with pytest.raises(RecordingError, match=r"cannot be written \(No such file"):
        HistoryWriter(tmp_path / "nowhere" / "history.jsonl")


def test_a_bundle_is_laid_out_and_started(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path / "a" / "b", origin_ns=5)
    run.start("name: ä\n", "{}", {"run_id": "r", "origin_monotonic_ns": 1})
    run.events.write("note", text="hello")
    run.history().close()
    run.end("completed")
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*")}
    assert {"samples", "inputs", "digests", "logs", "experiment.yaml", "plan.json", "run.json", "events.jsonl"} <= files
    assert json.loads((run.folder / "run.json").read_text()) == {
        "schema_version": 1,
        "run_id": "r",
        "origin_monotonic_ns": 5,
    }
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["note", "sealed", "run_ended"]
    assert events[1]["files"] == {"history.jsonl": 0}
    assert all(event["at_ns"] > 0 for event in events)


def test_an_atomic_write_leaves_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RecordingError, match="disk is full"):
        write_atomically(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("can", [True, False])
def test_until_it_is_whole_a_file_has_no_name_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    path, fsync, open_file = tmp_path / "run.json", os.fsync, os.open
    seen: list[int] = []

    def look(descriptor: int) -> None:
        seen.append(len(list(tmp_path.iterdir())))
        fsync(descriptor)

    def refuse(name: Any, flags: int, *mode: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return open_file(name, flags, *mode)

    monkeypatch.setattr(os, "fsync", look)
    if not can:
        monkeypatch.setattr(os, "open", refuse)
    for text in ("first", "second"):
        write_atomically(path, text)
        assert path.read_text() == text
        assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    assert seen == ([0, 1] if can else [1, 2])


def test_threads_share_an_event_file(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl", 0)
    threads = [
        threading.Thread(target=lambda n=n: [writer.write("note", at_ns=i, by=n, text="x" * 500) for i in range(100)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert len(lines) == 400
    for n in range(4):
        assert [line["at_ns"] for line in lines if line["by"] == n] == list(range(100))


def test_a_torn_line_is_ended_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"at_ns":1,"mark":"in')
    writer = HistoryWriter(path)
    writer.write(2, Mark.OK, 1, "b", "add", "k", 'a "quoted"\nvalue')
    writer.close()
    notes: list[str] = []
    history = read_history(path, notes.append)
    assert history.value.to_pylist() == ['a "quoted"\nvalue']
    assert notes == ["history.jsonl: 1 line(s) could not be read and were left out"]


@pytest.mark.e2e
def test_processes_share_a_history_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    program = (
        "import sys; from pathlib import Path; from chaosctl.recording.writer import HistoryWriter\n"
        "from chaosctl.recording.model import Mark\n"
        "writer = HistoryWriter(Path(sys.argv[1])); base = int(sys.argv[2]) * 10_000\n"
        "for n in range(5000):\n"
        "    writer.write(n, Mark.OK, base + n, 'b', 'add', 'k', str(n))\n"
        "    n % 7 or writer.flush()\n"
        "writer.close()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(3)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    history = read_history(path, silent)
    assert sorted(history.id.tolist()) == [base * 10_000 + n for base in range(3) for n in range(5000)]
