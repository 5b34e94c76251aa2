"""Where the kernel keeps what holds a process: its control groups, of version 1 (a tree for each controller) and of
version 2 (one tree), see cgroups(7). Only for containers of this machine's engine. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

from chaosctl.errors import NotReadyError

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def has_version_2() -> bool:
    """Say whether controllers are in the one tree of version 2. Where both are mounted they are in those of version 1,
    and the other one only keeps order."""
    return (ROOT / "cgroup.controllers").is_file()


def folder_of(pid: int, controller: str) -> Path:
    """Return the folder of the group in which a controller (`memory`, `cpu`, `freezer`) holds a process; under version
    2 that is the same one for all. Raises NotReadyError for a process that has ended, or whose group is not in sight:
    an engine in a machine or a namespace of its own."""
    try:
        lines = [line.split(":", 2) for line in (PROC / str(pid) / "cgroup").read_text().splitlines()]
    except OSError as error:
        raise NotReadyError(f"process {pid} has ended, so what holds it cannot be seen") from error
    version_2 = has_version_2()
    for _, names, path in lines:
        if not names if version_2 else controller in names.split(","):
            tree = ROOT if version_2 else _tree(controller, names)
            # A group outside this namespace begins with `/..` (cgroup_namespaces(7)).
            if ".." in Path(path).parts or not (folder := tree / path.lstrip("/")).is_dir():
                break
            return folder
    raise NotReadyError(f"the {controller} group of process {pid} is not in sight below {ROOT}; run chaosctl beside it")


def is_frozen(pid: int) -> bool:
    """Say whether the kernel's freezer holds a process still, as it does those of a paused container."""
    try:
        return read(pid, "freezer", "freezer.state", "cgroup.freeze") in ("FROZEN", "1")
    except NotReadyError:
        return False


def read(pid: int, controller: str, of_version_1: str, of_version_2: str) -> str:
    """Return what a file of a process's group says, by its name under each version. Raises NotReadyError."""
    path = folder_of(pid, controller) / (of_version_2 if has_version_2() else of_version_1)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise NotReadyError(f"{path} cannot be read ({error.strerror})") from error


def _tree(controller: str, names: str) -> Path:
    """Return where version 1 has the tree of a controller: under its name, or that of all that share it."""
    return ROOT / controller if (ROOT / controller).is_dir() else ROOT / names
