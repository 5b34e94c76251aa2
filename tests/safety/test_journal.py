"""The journal survives any cut, and what it says pending is pending."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.errors import RecordingError
from chaosctl.safety.journal import UndoJournal, pending, play_pending
from chaosctl.safety.processes import look
from chaosctl.safety.undo import ContainersUndo, HttpUndo, SignalUndo
from tests.safety.engine import FakeEngine, listening

A = HttpUndo("DELETE", "http://127.0.0.1:1/proxies/a")
B = SignalUndo(1 << 22, 5, "SIGCONT")


def test_written_then_pending_then_done(tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    first, second = journal.write("f1-latency", [A]), journal.write("f2-pause", [B, A])
    assert [(e.seq, e.fault_id, e.actions) for e in journal.pending()] == [
        (first, "f1-latency", (A,)),
        (second, "f2-pause", (B, A)),
    ]
    journal.done(first)
    journal.done(first)
    assert [e.seq for e in pending(journal.path)] == [second]


def test_a_missing_file_has_nothing_pending(tmp_path: Path) -> None:
    assert pending(tmp_path / "none.jsonl") == ()
    assert play_pending(tmp_path / "none.jsonl") == ()
    assert not (tmp_path / "none.jsonl").exists()


def test_another_process_continues_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "undo.jsonl"
    first = UndoJournal(path).write("f1", [A])
    assert UndoJournal(path).write("f2", [A]) == first + 1


@settings(deadline=None)  # writes files
@given(cut=st.integers(0, 400), junk=st.binary(max_size=30))
def test_a_torn_tail_hides_only_itself(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("journal") / "undo.jsonl"
    journal = UndoJournal(path, durable=False)
    ends = []
    for number in range(3):
        journal.write(f"f{number}", [A])
        ends.append(path.stat().st_size)
    whole = [f"f{number}" for number, end in enumerate(ends) if end - 1 <= cut]
    path.write_bytes(path.read_bytes()[:cut] + b"\n" + junk.replace(b"\n", b"") + b"{")
    assert [e.fault_id for e in pending(path)] == whole
    UndoJournal(path, durable=False).write("after", [B])
    assert [e.fault_id for e in pending(path)] == [*whole, "after"]


@pytest.mark.parametrize(
    "line", ["[]", "1", "null", '{"seq": 1}', '{"seq": 1, "fault": "f", "actions": [{"do": "?"}]}']
)
def test_lines_that_are_no_entries(tmp_path: Path, line: str) -> None:
    path = tmp_path / "undo.jsonl"
    path.write_text(line + "\n")
    assert pending(path) == ()


def test_threads_share_it(tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl", durable=False)
    threads = [threading.Thread(target=journal.write, args=(f"f{n}", [A])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(e.seq for e in journal.pending()) == list(range(1, 9))


def test_playing_goes_from_the_newest_to_the_oldest_and_marks_what_is_done(tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        process = look(sleeper.pid)
        assert process is not None
        kill = SignalUndo(sleeper.pid, process.start_ticks, "SIGKILL")
        unknown = SignalUndo(sleeper.pid, process.start_ticks, "SIGNONE")
        journal.write("f1", [unknown])
        journal.write("f2", [A, kill])
        played = play_pending(journal.path)
        assert sleeper.wait(10) == -9
    finally:
        sleeper.kill()
        sleeper.wait()
    assert [one.action for one in played] == [A, kill, unknown]
    assert [one.done for one in played] == [True, True, False]
    assert [e.fault_id for e in journal.pending()] == ["f1"]
    assert [one.action for one in play_pending(journal.path)] == [unknown]


def test_with_the_container_of_a_relay_all_that_was_to_be_undone_on_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaosctl.safety.undo._is_loopback", lambda host: False)  # so that a refusal says nothing
    monkeypatch.setattr("chaosctl.safety.engine._QUIET_S", 0.01)
    path = tmp_path / "undo.jsonl"
    with listening(FakeEngine(tmp_path / "engine.sock")) as engine:
        journal = UndoJournal(path)
        journal.write("links", [ContainersUndo(str(engine.path), "r1", "http://127.0.0.1:1")])
        journal.write("f1", [A, HttpUndo("PATCH", "http://127.0.0.1:1/proxies/a", {"enabled": True})])
        journal.write("f2", [HttpUndo("DELETE", "http://127.0.0.1:11/proxies/a")])
        journal.write("f3", [A, B])
        journal.write("f4", [HttpUndo("DELETE", "http://127.0.0.1:2/proxies/a")])
        journal.write("f5", [B])
        played = play_pending(path, within_s=5.0)
    assert [one.done for one in played] == [True, False, True, True, False, True, True, True]
    assert [entry.fault_id for entry in pending(path)] == ["f2", "f4"]


def test_without_time_nothing_is_claimed(tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.write("f1", [B])
    (played,) = play_pending(journal.path, within_s=0.0)
    assert not played.done
    assert len(journal.pending()) == 1


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl", durable=False)
    journal.path.symlink_to("/dev/full")
    with pytest.raises(RecordingError, match=r"No space left on device.*no fault is applied; make room"):
        journal.write("f1", [A])
