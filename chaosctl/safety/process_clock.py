"""The clock of a process, shifted from outside: what it asks for the time is changed in its memory, and nothing else.

A program reads the clock through a page of code that the kernel gives every process (vdso(7)), whatever language it is
written in; Go and static programs do so too, which no preloaded library reaches. There, three functions are replaced by
ones that ask the kernel, and add. The monotonic clock is left as it is, so that timeouts and sleeps keep their lengths.
What is forked has the shifted clock too, a program that is started anew (exec) the true one. Standard library only.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from functools import cache

from chaosctl.errors import NotReadyError
from chaosctl.safety.halting import while_halted
from chaosctl.safety.processes import PROC, Process, shown

# clock_gettime at 0, gettimeofday at 0x60, time at 0xb8: position-independent, each asks the kernel (clock_gettime(2))
# and gives CLOCK_REALTIME, CLOCK_REALTIME_COARSE and CLOCK_TAI as  t + ((t - begin) * gain >> 32) + offset,  in
# nanoseconds. The last three words, from 0xe0 on, are begin, gain and offset. The source is in docs/clock.s.
CODE = bytes.fromhex(
    "f30f1efab8e40000000f0585c0754f85ff740a83ff05740583ff0b7541488b064869c000ca9a3b480346084989c0482b05ab"
    "00000048f72dac000000480facd0204c01c0480305a500000031d2b900ca9a3b48f7f14889064889560831c0c390f30f1efa"
    "574885f6740d31ffb8600000000f05488b3c244885ff74314883ec104889e631ffe876ffffff488b7c2410488b0424488907"
    "488b44240831d2b9e803000048f7f1488947084883c4105f31c0c30f1f8000000000f30f1efa574883ec104889e631ffe835"
    "ffffff488b04244883c4105f4885ff7403488907c30f1f00"
)
_STARTS = {"__vdso_clock_gettime": 0, "__vdso_gettimeofday": 0x60, "__vdso_time": 0xB8}
_SHIFT = struct.Struct("<qqq")
_SYMBOL = struct.Struct("<IBBHQQ")
_JUMP = struct.Struct("<Bi")
_JMP = 0xE9
_ALIGNED = 16
_HOME = "where our code is"
_ONE = 1 << 32
# A process that is just being started as another program has no such page for a moment.
_EXEC_WAITS_S = (0.01, 0.03, 0.1, 0.0)


@dataclass(frozen=True)
class Shift:
    """A clock that is `offset_ns` off at `begin_ns` (since 1970), and goes `rate` times as fast from then on."""

    begin_ns: int
    offset_ns: int
    rate: float = 1.0

    def at(self, true_ns: int) -> int:
        """Return what it shows at a moment."""
        return true_ns + ((true_ns - self.begin_ns) * self._gain >> 32) + self.offset_ns

    @property
    def _gain(self) -> int:
        return round((self.rate - 1) * _ONE)

    def packed(self) -> bytes:
        """Return it as the code reads it."""
        return _SHIFT.pack(self.begin_ns, self._gain, self.offset_ns)


def shift_clock(process: Process, shift: Shift | None) -> bool:
    """Shift the clock of a process, or put it right again (None). Return False where it is so already.

    Raises NotReadyError for one whose clock cannot be changed, with the reason.
    """
    wanted = _original() if shift is None else _changed(shift)
    if (there := _read(process)) == wanted:
        return False
    if there != _original() and not _is_ours(there):
        raise NotReadyError(
            f"{shown(process)} is no 64-bit program, or somebody else has changed how it reads its clock"
        )
    span = _span(process)

    def write() -> None:
        with (PROC / str(process.pid) / "mem").open("r+b", 0) as memory:
            os.pwrite(memory.fileno(), wanted, span.start)

    try:
        while_halted(process, span, write)
    except OSError as error:
        raise NotReadyError(f"the memory of {shown(process)} cannot be written ({error.strerror})") from error
    return True


def is_shifted(process: Process, shift: Shift | None = None) -> bool:
    """Say whether its clock is shifted: just so, if that is given. Raises NotReadyError where it cannot be seen."""
    there = _read(process)
    return _is_ours(there) if shift is None else there == _changed(shift)


def _changed(shift: Shift) -> bytes:
    image = bytearray(_original())
    places = _places()
    code = places[_HOME]
    image[code : code + len(CODE) + _SHIFT.size] = CODE + shift.packed()
    for name, start in _STARTS.items():
        # The first one is replaced by the code itself, where that has room there.
        if (at := places.get(name, code + start)) != code + start:
            image[at : at + _JUMP.size] = _JUMP.pack(_JMP, code + start - (at + _JUMP.size))
    return bytes(image)


def _is_ours(image: bytes) -> bool:
    code = _places()[_HOME]
    return image[code : code + len(CODE)] == CODE


@cache
def _original() -> bytes:
    """Return the page as this process has it: nobody has changed that, and it is the same in all."""
    here = Process(os.getpid(), "chaosctl", "R", 0, 0, 0)
    return _read(here)


@cache
def _places() -> dict[str, int]:
    """Return where the functions begin in the page, by its own table of symbols (elf(5)). Raises NotReadyError."""
    image = _original()
    headers_at, size, count = struct.unpack_from("<Q", image, 32)[0], *struct.unpack_from("<HH", image, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", image, headers_at + n * size) for n in range(count)]
    dynamic = next(one for one in headers if one[0] == 2)
    entries = dict(struct.iter_unpack("<QQ", image[dynamic[2] : dynamic[2] + dynamic[5]]))
    names, symbols = entries[5], entries[6]  # DT_STRTAB, DT_SYMTAB: one after the other
    found = {}
    table = image[symbols : symbols + (names - symbols) // _SYMBOL.size * _SYMBOL.size]
    for name, _, _, _, value, length in _SYMBOL.iter_unpack(table):
        text = image[names + name : image.index(b"\0", names + name)].decode()
        if text in _STARTS:
            found[text] = value, length
    home = home_in(image, *found.get("__vdso_clock_gettime", (0, 0)))
    return {_HOME: home, **{name: value for name, (value, _) in found.items()}}


def home_in(image: bytes, value: int, length: int) -> int:
    """Return where the code has room: in place of the function of that length, or behind the end of what is there; some
    kernels have a mere jump for the function. Raises NotReadyError."""
    needed = len(CODE) + _SHIFT.size
    if length >= needed:
        return value
    if length < _JUMP.size or len(image) - len(image.rstrip(b"\0")) < needed + _ALIGNED:
        raise NotReadyError("the kernel of this machine gives programs another way to read the clock; it stays true")
    return (len(image) - needed) // _ALIGNED * _ALIGNED


def _span(process: Process) -> range:
    """Return the addresses of the page. Raises NotReadyError."""
    for wait_s in _EXEC_WAITS_S:
        for line in _maps(process):
            if line.endswith("[vdso]"):
                begin, end = line.split()[0].split("-")
                return range(int(begin, 16), int(end, 16))
        time.sleep(wait_s)
    raise NotReadyError(f"{shown(process)} reads the clock in a way that cannot be changed from outside")


def _maps(process: Process) -> list[str]:
    try:
        return (PROC / str(process.pid) / "maps").read_text().splitlines()
    except PermissionError as error:
        raise NotReadyError(f"{shown(process)} belongs to another user; run chaosctl as root") from error
    except OSError as error:
        raise NotReadyError(f"{shown(process)} has just ended") from error


def _read(process: Process) -> bytes:
    span = _span(process)
    try:
        with (PROC / str(process.pid) / "mem").open("rb", 0) as memory:
            return os.pread(memory.fileno(), len(span), span.start)
    except PermissionError as error:
        raise NotReadyError(f"{shown(process)} belongs to another user; run chaosctl as root") from error
    except OSError as error:
        raise NotReadyError(f"{shown(process)} has just ended") from error
