"""What comes over the wire from a volume of another machine: plain files, and only to where they belong."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from chaosctl.deploy import remote_state
from chaosctl.deploy.contract import Replica
from chaosctl.deploy.docker import published_at
from chaosctl.errors import NotReadyError
from chaosctl.safety.engine import RUN_LABEL, Engine


def archive(*members: tuple[str, bytes | None]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content or b"")
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            tar.addfile(member, io.BytesIO(content or b""))
        link = tarfile.TarInfo("./link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return packed.getvalue()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "a" / "state"


def fetch(monkeypatch: pytest.MonkeyPatch, sent: bytes, into: Path) -> None:
    asked = []

    def answer(self: Engine, *words: object, **query: object) -> io.BytesIO:
        asked.append((words[:2], query))
        return io.BytesIO(sent)

    monkeypatch.setattr(Engine, "open", answer)
    remote_state.fetch(Engine("tcp://box:2375"), "abc", "/state", into)
    assert asked == [(("GET", "/containers/abc/archive"), {"path": "/state/."})]


def test_files_are_copied_with_their_folders(monkeypatch: pytest.MonkeyPatch, into: Path) -> None:
    fetch(monkeypatch, archive((".", None), ("./log", b"1\n"), ("./deep/er/log", b"2\n")), into)
    assert {path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()} == {"log", "deep/er/log"}
    assert (into / "deep/er/log").read_bytes() == b"2\n"


def test_nothing_leaves_the_folder(monkeypatch: pytest.MonkeyPatch, into: Path, tmp_path: Path) -> None:
    fetch(monkeypatch, archive(("../out", b"x"), ("/tmp/../out", b"x"), ("./in", b"x")), into)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["in"]
    assert not (into / "link").is_symlink()


def test_what_breaks_off_is_said(monkeypatch: pytest.MonkeyPatch, into: Path) -> None:
    with pytest.raises(NotReadyError, match="/state of container abc was not copied whole"):
        fetch(monkeypatch, archive(("./log", b"x" * 5000))[:3000], into)


def test_a_volume_carries_the_label_of_its_run() -> None:
    mount = remote_state.volume("r1", Replica("world", 1, {}, Path(), Path()), "/state")
    assert (mount["Source"], mount["Target"]) == ("chaosctl-r1-world-1", "/state")
    assert mount["VolumeOptions"]["Labels"] == {RUN_LABEL: "r1"}


def test_ports_are_published_where_bots_reach_the_machine() -> None:
    engine = Engine("tcp://127.0.0.2:2375")
    assert published_at(Engine("/run/docker.sock"), {"CHAOSCTL_PUBLISH_AT": "10.0.0.9"}) == "127.0.0.1"
    assert published_at(engine, {}) == "127.0.0.2"
    assert published_at(engine, {"CHAOSCTL_PUBLISH_AT": "10.0.0.9"}) == "10.0.0.9"
    with pytest.raises(NotReadyError, match=r"no\.such\.machine\.invalid has no IPv4 address.* CHAOSCTL_PUBLISH_AT"):
        published_at(engine, {"CHAOSCTL_PUBLISH_AT": "no.such.machine.invalid"})
