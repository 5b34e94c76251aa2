"""What a container's /etc/hosts says: a file of the engine on this machine, which programs inside read at each lookup.

The engine writes it anew when the container is started, and what is said here goes with it. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety.container import Container

_PROC = Path("/proc")


def add(container: Container, line: str, mark: str) -> None:
    """Say this before all else, with a mark by which it is found again. Raises NotReadyError."""
    text = container.read_hosts()
    if text is None:
        raise NotReadyError(f"container {container.id[:12]} is gone")
    container.write_hosts(f"{line} # {mark}\n{_without(text, mark)}")


def remove(container: Container, mark: str) -> bool:
    """Take out what bears the mark; the rest stays. Return False if there was nothing. Raises NotReadyError."""
    text = container.read_hosts()
    if text is None or (left := _without(text, mark)) == text:
        return False
    container.write_hosts(left)
    return True


def is_marked(container: Container, mark: str) -> bool:
    """Say whether anything there bears the mark. Raises NotReadyError."""
    text = container.read_hosts()
    return text is not None and _without(text, mark) != text


def addresses(container: Container, name: str) -> tuple[str, ...]:
    """Return what the file says inside the container of a name, in the order in which it is found. Raises
    NotReadyError, also while it is down."""
    pid = container.main_pid()
    if pid is None:
        raise NotReadyError(f"container {container.id[:12]} is down")
    path = _PROC / str(pid) / "root" / "etc" / "hosts"
    try:
        text = path.read_text()
    except OSError as error:
        raise NotReadyError(f"{path} cannot be read ({error.strerror}); run chaosctl as root") from error
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return tuple(words[0] for words in lines if name in words[1:])


def _without(text: str, mark: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(f"# {mark}"))
