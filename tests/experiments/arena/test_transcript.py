from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from arena.inputlog import LogReader, encode, encode_config
from arena.state import Config
from arena.transcript import EXIT_CORRUPT, EXIT_USAGE, main

LOG = encode_config(Config(7)) + encode(1, [["hello", "a", "k"], ["chat", "a", 1, "é\n"]]) + encode(2, [])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "input.log"
    path.write_bytes(LOG)
    return path


def encoded(monkeypatch: pytest.MonkeyPatch, lines: bytes, to: Path) -> int:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    return main(["encode", "--log", str(to)])


def test_there_and_back_is_the_same_log(
    log: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["decode", "--log", str(log)]) == 0
    lines = capfdbinary.readouterr().out
    assert [set(json.loads(line)) for line in lines.splitlines()] == [{"tick", "inputs"}] * 3
    assert encoded(monkeypatch, lines, tmp_path / "back.log") == 0
    assert (tmp_path / "back.log").read_bytes() == LOG


def test_ticks_are_numbered_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'{"tick": 0, "inputs": []}\n{"tick": 40, "inputs": [["leave", "a"]]}\n{"tick": 99, "inputs": []}\n'
    assert encoded(monkeypatch, lines, tmp_path / "new.log") == 0
    records = list(LogReader(tmp_path / "new.log"))
    assert [record.tick for record in records] == [0, 1, 2]
    assert records[1].inputs == [["leave", "a"]]


def test_what_is_damaged_or_no_line_is_refused(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_bytes(LOG.replace(b"hello", b"hallo"))
    assert main(["decode", "--log", str(log)]) == EXIT_CORRUPT
    assert "damaged" in capsys.readouterr().err
    assert main(["decode", "--log", str(tmp_path / "none.log")]) == EXIT_USAGE
    for wrong in (b"[]\n", b"{}\n", b"x\n", b'{"tick": "a", "inputs": []}\n', b'{"tick": 0, "inputs": 1}\n'):
        assert encoded(monkeypatch, wrong, tmp_path / "out.log") == EXIT_USAGE
        assert not (tmp_path / "out.log").exists()
        assert "line 1 is no tick" in capsys.readouterr().err
