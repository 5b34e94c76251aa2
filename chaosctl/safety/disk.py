"""A disk of a replica's own: a file of the bundle that holds a file system of a given size, mounted where the replica
keeps its state. What is done to it (filled, slowed, made to fail) is done to nothing else.

Made as root, by `mkfs.ext4` and `mount`. Without a journal: an error of the disk reaches who writes, and does no more
than that, so that it can be undone. Standard library only: whoever takes it away plays the same code.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety.copying import copy_tree
from chaosctl.safety.immutable import immutability_lacks, is_immutable, set_immutable

# ext4 has no room for itself in less.
LEAST_BYTES = 4 * 1024 * 1024
FILLER = "chaosctl-filler"
_LOST = "lost+found"
_WITHIN_S = 10.0
_UNMOUNTED_WITHIN_S = 2.0
_CHUNK_BYTES = 1024 * 1024
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system has (stat(2))
_MAKE = ("mkfs.ext4", "-q", "-F", "-O", "^has_journal,^resize_inode", "-m", "0", "-b", "1024", "-i", "16384")
_MOUNT = ("mount", "-t", "ext4", "-o", "loop,nodev,nosuid,noatime,errors=continue")
_CONTROL = Path("/dev/loop-control")
# A second signal may come while this very process is at it.
_at_it = threading.Lock()


@dataclass(frozen=True)
class Disk:
    """The file `image`, mounted at `folder`. What is on it when it is taken away stays behind in `folder`."""

    image: str
    folder: str

    # -- its life

    def make(self, size_bytes: int, environ: Mapping[str, str]) -> None:
        """Make it, empty, and mount it. `environ` has the label of the run, so that a program which is under way when
        chaosctl is killed is ended before the disk is taken away. Raises NotReadyError."""
        image, unfinished = Path(self.image), Path(f"{self.image}.unfinished")
        if (lacks := disks_lack()) is not None:
            raise NotReadyError(f"no disk can be made here: {lacks}, or leave `disk` out")
        try:
            if shutil.disk_usage(image.parent).free < 2 * size_bytes:
                text = f"{image.parent} has no room for the disk {image.name} and a copy of what is on it"
                raise NotReadyError(f"{text}; make room, or use --out")
            with unfinished.open("wb") as file:
                file.truncate(size_bytes)
            _run(*_MAKE, str(unfinished), environ=environ)
            unfinished.replace(image)
            _run(*_MOUNT, self.image, self.folder, environ=environ)
            Path(self.folder, _LOST).rmdir()
        except OSError as error:
            raise NotReadyError(f"the disk {image} cannot be made: {error.strerror}; see `chaosctl doctor`") from error

    def is_mounted(self) -> bool:
        """Say whether it is there. Raises NotReadyError where something else is mounted in its place."""
        if not os.path.ismount(self.folder):
            return False
        try:
            held = Path(f"/sys/dev/block/{self.device()}/loop/backing_file").read_text().strip()
        except OSError:
            held = "something else"
        if held.removesuffix(" (deleted)") != os.path.realpath(self.image):
            text = f"{held} is mounted there and is left alone; unmount that first (`umount {self.folder}`)"
            raise NotReadyError(text)
        return True

    def device(self) -> str:
        """Return the number of its block device: `7:0`. Raises NotReadyError."""
        try:
            number = Path(self.folder).stat().st_dev
        except OSError as error:
            raise NotReadyError(f"{self.folder} cannot be looked at: {error.strerror}") from error
        return f"{os.major(number)}:{os.minor(number)}"

    def take_away(self) -> bool:
        """Leave what is on it behind in the folder, unmount it and remove its file, from wherever an earlier attempt
        broke off. Return False if nothing was left of it. Raises NotReadyError, OSError."""
        if not _at_it.acquire(blocking=False):
            raise NotReadyError(f"{self.folder} is being taken away just now")
        try:
            return self._take_away()
        finally:
            _at_it.release()

    def _take_away(self) -> bool:
        image, kept = Path(self.image), Path(f"{self.folder}.kept")
        mounted = self.is_mounted()
        Path(f"{self.image}.unfinished").unlink(missing_ok=True)
        if not (mounted or kept.exists() or image.exists()):
            return False
        self.take_writes()
        if not mounted and not kept.exists():
            _run(*_MOUNT, self.image, self.folder)  # the machine was started anew
            mounted = True
        if mounted:
            if not kept.exists():
                copy_tree(Path(self.folder), kept, (FILLER, _LOST))
            _unmount(self.folder)
        if kept.exists():
            kept.replace(self.folder)  # which is empty by itself
        image.unlink(missing_ok=True)
        return True

    # -- what is done to it

    def filling(self) -> str:
        """Return the file that takes what is free. Raises NotReadyError where the disk is gone."""
        self._is_there()
        return f"{self.folder}/{FILLER}"

    def fill(self, leave_bytes: int) -> None:
        """Take all that is free but so many bytes. Raises NotReadyError."""
        try:
            descriptor = os.open(self.filling(), os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._take_all(descriptor, leave_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotReadyError(f"{self.folder} cannot be filled: {error.strerror}") from error

    def _take_all(self, descriptor: int, leave_bytes: int) -> None:
        taken = 0
        while (wanted := self.free_bytes() - leave_bytes) > 0:
            try:
                os.posix_fallocate(descriptor, taken, wanted)
            except OSError as error:
                # Somebody else was faster, or the bookkeeping needs some: what could be taken is taken.
                if error.errno != errno.ENOSPC:
                    raise
            before, taken = taken, os.fstat(descriptor).st_blocks * _BLOCK_BYTES
            if taken <= before:
                return

    def free_bytes(self) -> int:
        """Return what is free (statvfs(3)). Raises OSError."""
        free = os.statvfs(self.folder)
        return free.f_bavail * free.f_frsize

    def refuse_writes(self) -> None:
        """From now on its file takes no write, so that each to the disk fails with EIO. Raises NotReadyError."""
        self._is_there()
        if (lacks := immutability_lacks(str(Path(self.image).parent))) is not None:
            raise NotReadyError(f"no disk can be made to fail here: {lacks}, by --out")
        try:
            set_immutable(self.image, True)
        except OSError as error:
            raise NotReadyError(f"{self.image} cannot be made immutable: {error.strerror}") from error

    def refuses_writes(self) -> bool:
        """Say whether its file takes none. Raises OSError."""
        return is_immutable(self.image)

    def take_writes(self) -> bool:
        """Its file takes writes again. Return False if it did all the time, or is gone. Raises OSError."""
        try:
            return set_immutable(self.image, False)
        except FileNotFoundError:
            return False

    def write(self, size_bytes: int) -> int:
        """Write so much to a file without a name, and wait until the disk has it. Return 0, or the error number that
        came of it (errno(3))."""
        try:
            descriptor = os.open(self.folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            return error.errno or errno.EIO
        try:
            while size_bytes > 0:
                size_bytes -= os.write(descriptor, bytes(min(size_bytes, _CHUNK_BYTES)))
            os.fsync(descriptor)
        except OSError as error:
            return error.errno or errno.EIO
        finally:
            os.close(descriptor)
        return 0

    def _is_there(self) -> None:
        if not self.is_mounted():
            raise NotReadyError(f"the disk at {self.folder} is gone: somebody else has unmounted it")


def disks_lack() -> str | None:
    """Return what this machine lacks for disks of services, with the mend; None if nothing."""
    tools = (_MAKE[0], _MOUNT[0], "umount")
    if missing := [tool for tool in tools if shutil.which(tool, path=_path()) is None]:
        return f"{' and '.join(missing)} not on PATH; install e2fsprogs and mount"
    if os.geteuid() != 0:
        return "only root may mount a file system; run chaosctl as root"
    return None if _CONTROL.exists() else f"the kernel has no {_CONTROL}; load its module `loop`"


def _unmount(folder: str) -> None:
    """Where somebody looks at it, it is out of sight at once and gone when they are. Raises NotReadyError."""
    end_s = time.monotonic() + _UNMOUNTED_WITHIN_S
    while time.monotonic() < end_s:
        try:
            return _run("umount", folder)
        except NotReadyError:
            time.sleep(0.05)
    return _run("umount", "--lazy", folder)


def _run(*argv: str, environ: Mapping[str, str] = os.environ) -> None:
    """Run a program of this machine. Raises NotReadyError with what it said."""
    program = shutil.which(argv[0], path=_path()) or argv[0]
    try:
        ran = subprocess.run(
            [program, *argv[1:]],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReadyError(f"{argv[0]}: {error}") from error
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or ["it said nothing"])[0][:200]
        raise NotReadyError(f"{argv[0]} failed: {said}; see `chaosctl doctor`")


def _path() -> str:
    # Where Debian puts them, which the PATH of an ordinary user leaves out.
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
