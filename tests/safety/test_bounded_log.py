"""A log keeps what is newest, within its bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.safety.bounded_log import BoundedLog


@settings(deadline=None)  # writes files
@given(parts=st.lists(st.binary(min_size=1, max_size=50), max_size=30), limit=st.integers(2, 100))
def test_the_newest_half_is_there_and_the_bound_holds(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "one.log"
    log = BoundedLog(path, limit)
    for part in parts:
        log.write(part)
    log.close()
    older = path.with_name("one.log.1")
    kept = (older.read_bytes() if older.exists() else b"") + path.read_bytes()
    assert len(kept) <= limit
    assert b"".join(parts).endswith(kept)
    assert len(kept) >= min(limit // 2, len(b"".join(parts)))


def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    for part in (b"one\n", b"two\n"):
        log = BoundedLog(tmp_path / "one.log", 100)
        log.write(part)
        log.close()
    assert (tmp_path / "one.log").read_bytes() == b"one\ntwo\n"


def test_a_full_disk_stops_nobody_and_is_told_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BoundedLog(tmp_path / "one.log", 1000)
    full = BoundedLog(Path("/dev/full"), 1000)
    full.write(b"lost")
    full.write(b"also")
    real, log._descriptor = log._descriptor, full._descriptor
    log.write(b"12345")
    log._descriptor = real
    log.write(b"67\n")
    log.close()
    full.close()
    told = "\n[chaosctl: 5 bytes of output were lost here, the log could not be written]\n67\n"
    assert (tmp_path / "one.log").read_text() == told
