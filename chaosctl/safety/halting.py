"""Holding every thread of a process still for a moment, from outside (ptrace(2)). If whoever does it dies, the kernel
lets them go on by itself. Standard library only: the keeper heals with it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups
from chaosctl.safety.processes import PROC, Process, running, shown

_SEIZE, _INTERRUPT, _DETACH, _GETREGS = 0x4206, 0x4207, 17, 12
_WALL = 0x40000000
_EVENT_STOP = 128
# struct user_regs_struct of x86-64 (sys/user.h): 27 words, the 17th is the instruction pointer.
_REGISTERS, _RIP = 27, 16
_STOPS_WITHIN_S = 1.0
_ROUNDS = 200
_PAUSE_S = 0.001

T = TypeVar("T")


def while_halted(process: Process, span: range, do: Callable[[], T]) -> T:
    """Call `do` while all threads of the process are held, and none is at an address of `span`. Return what it returns.

    Raises NotReadyError for one that has ended, belongs to another user, is traced by somebody else or cannot be held.
    """
    if platform.machine() != "x86_64":
        raise NotReadyError(f"holding a process is known for x86-64 only, and this machine is {platform.machine()}")
    # A thread of its own: the kernel knows the tracer by its thread, and lets go of all when that ends.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_halted, process, span, do).result()


def _halted(process: Process, span: range, do: Callable[[], T]) -> T:
    for _ in range(_ROUNDS):
        # Of a paused container all stand already, and do not come to where ptrace would hold them.
        if cgroups.is_frozen(process.pid):
            if any(_stands_in(span, process.pid, tid) for tid in _threads(process.pid)):
                break
            return do()
        held: dict[int, int] = {}
        try:
            _hold(process, held)
            if running(process.pid, process.start_ticks) is None:
                raise NotReadyError(f"{shown(process)} has just ended")
            if not any(_instruction(tid) in span for tid in held):
                return do()
        finally:
            _let_go(held)
        time.sleep(_PAUSE_S)
    raise NotReadyError(f"{shown(process)} reads its clock all the time, so that cannot be changed")


def _hold(process: Process, held: dict[int, int]) -> None:
    """Hold its threads, and those that are started meanwhile. `held`: by thread, the signal that it has yet to get."""
    end_s = time.monotonic() + _STOPS_WITHIN_S
    while new := _threads(process.pid) - held.keys():
        for tid in tuple(new):
            try:
                _ptrace(_SEIZE, tid)
                _ptrace(_INTERRUPT, tid)
            except ProcessLookupError:
                new.discard(tid)
            except PermissionError as error:
                raise NotReadyError(
                    f"{shown(process)} belongs to another user, or a debugger holds it; run chaosctl as root"
                ) from error
        for tid in new:
            held[tid] = _wait(process, tid, end_s)


def _wait(process: Process, tid: int, end_s: float) -> int:
    """Wait until it stands. Return the signal that was about to reach it, 0 if none."""
    while time.monotonic() < end_s:
        try:
            found, status = os.waitpid(tid, os.WNOHANG | _WALL)
        except ChildProcessError:
            return 0
        if found:
            return os.WSTOPSIG(status) if os.WIFSTOPPED(status) and status >> 16 != _EVENT_STOP else 0
        time.sleep(_PAUSE_S)
    raise NotReadyError(f"{shown(process)} does not stand still: it waits for a disk, or is paused")


def _let_go(held: dict[int, int]) -> None:
    for tid, signal in held.items():
        with suppress(OSError):
            _ptrace(_DETACH, tid, signal)


def _threads(pid: int) -> set[int]:
    with suppress(OSError):
        return {int(one.name) for one in (PROC / str(pid) / "task").iterdir()}
    return set()


def _stands_in(span: range, pid: int, tid: int) -> bool:
    """Read the instruction pointer of one that stands: the last word of /proc/PID/task/TID/syscall (proc(5))."""
    with suppress(OSError, ValueError, IndexError):
        return int((PROC / str(pid) / "task" / str(tid) / "syscall").read_text().split()[-1], 16) in span
    return True


def _instruction(tid: int) -> int:
    registers = (ctypes.c_ulong * _REGISTERS)()
    try:
        _ptrace(_GETREGS, tid, ctypes.addressof(registers))
    except ProcessLookupError:
        return 0
    return int(registers[_RIP])


def _ptrace(request: int, tid: int, data: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, None, data) == -1:
        code = ctypes.get_errno()
        raise OSError(code, errno.errorcode.get(code, "ptrace"))
