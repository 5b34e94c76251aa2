"""What a container's /etc/hosts says: a file of the engine on this machine, which programs inside read at each lookup.

The engine writes it anew when the container is started, and what is said here goes with it. Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety.container import Container

_PROC = Path("/proc")


def add(container: Container, line: str, mark: str) -> None:
    """Say this before all else, with a mark by which it is found again. Raises NotReadyError."""
    path = _path(container)
    if path is None:
        raise NotReadyError(f"container {container.id[:12]} is gone")
    _write(path, f"{line} # {mark}\n{_without(_read(path), mark)}")


def remove(container: Container, mark: str) -> bool:
    """Take out what bears the mark; the rest stays. Return False if there was nothing. Raises NotReadyError."""
    path = _path(container)
    if path is None or (left := _without(text := _read(path), mark)) == text:
        return False
    _write(path, left)
    return True


def is_marked(container: Container, mark: str) -> bool:
    """Say whether anything there bears the mark. Raises NotReadyError."""
    path = _path(container)
    return path is not None and _without(text := _read(path), mark) != text


def addresses(container: Container, name: str) -> tuple[str, ...]:
    """Return what the file says inside the container of a name, in the order in which it is found. Raises
    NotReadyError, also while it is down."""
    pid = container.main_pid()
    if pid is None:
        raise NotReadyError(f"container {container.id[:12]} is down")
    lines = [line.partition("#")[0].split() for line in _read(_PROC / str(pid) / "root" / "etc" / "hosts").splitlines()]
    return tuple(words[0] for words in lines if name in words[1:])


def _path(container: Container) -> Path | None:
    """Return where it is on this machine; None where the container is gone."""
    container.must_be_here()
    found = container.inspect()
    if not found:
        return None
    if not found.get("HostsPath"):
        raise NotReadyError(f"container {container.id[:12]} uses this machine's own /etc/hosts, which is left alone")
    return Path(found["HostsPath"])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise NotReadyError(f"{path} cannot be read ({error.strerror}); run chaosctl as root") from error


def _write(path: Path, text: str) -> None:
    """In its place, for the container has that very file mounted; whoever reads it meanwhile finds no empty one."""
    data = text.encode()
    try:
        with path.open("r+b", 0) as file:
            os.pwrite(file.fileno(), data, 0)
            file.truncate(len(data))
    except OSError as error:
        raise NotReadyError(f"{path} cannot be written ({error.strerror}); run chaosctl as root") from error


def _without(text: str, mark: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(f"# {mark}"))
