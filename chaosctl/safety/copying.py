"""A copy of a folder that takes no more room than the folder itself, whatever a stranger has put there: holes stay
holes, one file of several names stays one, links are not followed, and what is neither file nor folder is left out.

Standard library only.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

_CHUNK_BYTES = 1024 * 1024


def copy_tree(source: Path, copy: Path, leave_out: Iterable[str] = ()) -> None:
    """Copy a folder; `leave_out` are names of files. An unfinished copy of an earlier attempt is begun anew, and `copy`
    is there once it is whole. Raises OSError."""
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    names, copied = frozenset(leave_out), dict[int, str]()

    def ignored(folder: str, entries: list[str]) -> set[str]:
        return {one for one in entries if one in names or not _is_kept(Path(folder, one))}

    def copy_file(one: str, other: str) -> str:
        inode = os.lstat(one).st_ino
        if inode in copied:
            os.link(copied[inode], other, follow_symlinks=False)
        else:
            _copy_file(one, other)
            copied[inode] = other
        return other

    try:
        shutil.copytree(source, unfinished, symlinks=True, ignore=ignored, copy_function=copy_file)
    except shutil.Error as error:  # a list of all that went wrong
        what, _, why = error.args[0][0]
        raise OSError(errno.EIO, f"it cannot be copied: {why}", str(what)) from error
    unfinished.rename(copy)


def _is_kept(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def _copy_file(one: str, other: str) -> None:
    with Path(one).open("rb", buffering=0) as source, Path(other).open("xb", buffering=0) as copy:
        length, at = os.fstat(source.fileno()).st_size, 0
        copy.truncate(length)
        while at < length:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole is left (lseek(2), ENXIO)
            end = os.lseek(source.fileno(), at, os.SEEK_HOLE)
            while at < end:
                data = os.pread(source.fileno(), min(end - at, _CHUNK_BYTES), at)
                if not data:
                    return
                at += os.pwrite(copy.fileno(), data, at)
    shutil.copystat(one, other)
