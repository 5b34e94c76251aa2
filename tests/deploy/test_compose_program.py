"""Which compose is taken, and what is made of what it says. Programs of our own stand in for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from chaosctl.deploy.compose_program import ComposeProgram, Project, find_compose
from chaosctl.errors import NotReadyError


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}


def test_the_plugin_comes_first_and_the_older_program_where_that_is_what_is_here(tmp_path: Path) -> None:
    program(tmp_path, "docker-compose", "echo 1.29.2")
    program(tmp_path, "docker", "exit 1")
    old = find_compose(environ(tmp_path))
    assert old == ComposeProgram(("docker-compose",), (1, 29, 2))
    assert (old.is_plugin, old.takes_away) == (False, False)
    program(tmp_path, "docker", "echo v2.40.3-desktop.1")
    new = find_compose(environ(tmp_path))
    assert new == ComposeProgram(("docker", "compose"), (2, 40, 3))
    assert (new.is_plugin, new.takes_away) == (True, True)
    program(tmp_path, "docker", "echo 2.24.3")
    assert (find_compose(environ(tmp_path)).is_plugin, find_compose(environ(tmp_path)).takes_away) == (True, False)


def project(tmp_path: Path, text: str, *, plugin: bool = True, abort: bool = False) -> Project:
    program(tmp_path, "docker", text)
    stop = threading.Event()
    if abort:
        stop.set()
    found = ComposeProgram((str(tmp_path / "docker"), "compose"), (2, 40, 3) if plugin else (1, 29, 2))
    return Project(found, "p", (Path("/c.yaml"),), environ(tmp_path), tmp_path / "logs" / "compose.log", stop)


def test_both_versions_say_what_the_file_says(tmp_path: Path) -> None:
    assert project(tmp_path, """echo '{"services": {"a": {}}}'""").config() == {"services": {"a": {}}}
    assert project(tmp_path, "printf 'services:\\n  a: {}\\n'", plugin=False).config() == {"services": {"a": {}}}


def test_why_it_failed_is_told_without_how_far_it_came(tmp_path: Path) -> None:
    text = "echo ' Network p_default  Creating' >&2; echo 'Creating p_a_1 ...' >&2; echo 'no dragon' >&2; exit 1"
    with pytest.raises(NotReadyError, match=r"compose cannot bring /c.yaml up: no dragon; see .*compose\.log"):
        project(tmp_path, text).up((), 10.0)
    assert "Creating p_a_1" in (tmp_path / "logs" / "compose.log").read_text()
    with pytest.raises(NotReadyError, match="cannot be read"):
        project(tmp_path, "echo no json").config()


def test_it_is_ended_when_it_takes_too_long_or_nobody_waits_any_more(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"did not end within 0\.1 s"):
        project(tmp_path, "sleep 60").up((), 0.1)
    with pytest.raises(NotReadyError, match="stopped while compose was at work"):
        project(tmp_path, "sleep 60", abort=True).up((), 60.0)
