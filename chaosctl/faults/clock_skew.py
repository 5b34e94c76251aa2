"""A wrong clock: the processes of the replica are told another time of day than the kernel has, by an offset, by a
drift from then on, or both. Time-outs and sleeps keep their lengths, for the monotonic clock is left alone, as is every
clock of ours. A program that is started anew has the true time."""

from __future__ import annotations

import select
import subprocess
import sys
import time

from pydantic import Field, model_validator

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import NS_PER_S, OffsetNs, format_duration
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety.inside_undo import ClockUndo
from chaosctl.safety.process_clock import Shift, is_shifted, shift_clock
from chaosctl.safety.processes import Process, look, running, shown
from chaosctl.safety.undo import Undo

MOST_NS = 10 * 365 * 86_400 * NS_PER_S
# It says what time it is whenever it is asked. -S and -P: it starts quickly, and imports nothing that lies about.
CANARY = "import sys, time\nfor _ in sys.stdin: print(time.time_ns(), flush=True)"
CANARY_WITHIN_S = 5.0


class ClockSkewParams(Params):
    """How wrong it is."""

    offset_ns: OffsetNs = Field(
        0, alias="offset", ge=-MOST_NS, le=MOST_NS, description="How far ahead it is set, or behind: +30s, -1h"
    )
    drift: float = Field(
        1.0, ge=0.01, le=100, description="How fast it goes from then on: 1.5 is half as fast again, 0.99 loses 1%"
    )

    @model_validator(mode="after")
    def _is_wrong(self) -> ClockSkewParams:
        if self.offset_ns == 0 and self.drift == 1:
            raise ValueError("give offset, drift or both")
        return self


def _lacks() -> str | None:
    """Try it on a process of ours."""
    canary = _ask_canary(Shift(time.time_ns(), NS_PER_S))
    return None if canary.proved else canary.text


class ClockSkew:
    """Another clock for every process of the replica."""

    kind = FaultKind(
        name="clock_skew",
        acts_on="service",
        params=ClockSkewParams,
        lasting="always",
        dimension="clock",
        lacks=_lacks,
        summary="Its processes read a time of day that is off, or goes too fast or slow; the monotonic clock stays",
        example="{ at: 8s, for: 6s, fault: clock_skew, on: world, offset: -1h, drift: 1.5 }",
    )

    def prepare(self, fault_id: str, place: Place, params: ClockSkewParams) -> tuple[Undo, ...]:
        """Return what puts all of them right. Raises NotReadyError for a replica that is down."""
        insides = [processes.inside_of(process) for process in place.processes]
        return tuple(ClockUndo(inside.pid, inside.start_ticks, inside.boxed) for inside in insides)

    def inject(self, fault_id: str, place: Place, params: ClockSkewParams, now_ns: NowNs) -> Applied:
        """Shift the clocks. Raises NotReadyError, with the reason, where one cannot be."""
        found = [(processes.name_of(process), processes.inside_of(process)) for process in place.processes]
        called_ns = now_ns()
        shift = Shift(time.time_ns(), params.offset_ns, params.drift)
        shifted = [
            (name, one)
            for name, inside in found
            for one, _ in inside.each(lambda process, inside=inside: inside.shift_clock(process, shift))  # type: ignore[misc]
        ]
        targets = tuple(f"{shown(one)} of {name}" for name, one in shifted)
        return Applied(called_ns, now_ns(), targets, {"shift": shift, "shifted": shifted})

    def prove(self, fault_id: str, place: Place, params: ClockSkewParams, applied: Applied) -> Proof:
        """Read what each of them reads the clock by, and have a process of ours that is changed alike say the time."""
        shift: Shift | None = applied.memo.get("shift")
        if shift is None:
            return Proof(False, "no clock was shifted")
        shifted: list[tuple[str, Process]] = applied.memo["shifted"]
        there = [(name, one) for name, one in shifted if running(one.pid, one.start_ticks)]
        try:
            found = [(name, one, is_shifted(one, shift)) for name, one in there]
        except NotReadyError as error:
            return Proof(False, str(error))
        seen = _judged(found, "reads the shifted clock", "reads another clock")
        if not seen.proved:
            return seen
        canary = _ask_canary(shift)
        return Proof(canary.proved, f"{seen.text}; {canary.text}")

    def restore(self, fault_id: str, place: Place, params: ClockSkewParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: ClockSkewParams) -> Proof:
        """Read it again."""
        try:
            found = [
                (processes.name_of(process), one, not so)
                for process in place.processes
                for one, so in processes.inside_of(process).each(is_shifted)
            ]
        except NotReadyError as error:
            return Proof(False, str(error))
        return _judged(found, "reads the true time", "reads a shifted clock")


def _judged(found: list[tuple[str, Process, bool]], right: str, wrong: str) -> Proof:
    texts = [f"{name}: {shown(one)} {right if so else wrong}" for name, one, so in found]
    return Proof(bool(found) and all(so for _, _, so in found), "; ".join(texts) or "there is no process to look at")


def _ask_canary(shift: Shift) -> Proof:
    """Start a process, shift its clock just so, and compare what it says with what it should."""
    canary = subprocess.Popen(
        [sys.executable, "-S", "-P", "-c", CANARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        _ask(canary)
        process = look(canary.pid)
        if process is None:
            raise NotReadyError("it has ended")
        shift_clock(process, shift)
        before_ns = time.time_ns()
        said_ns = _ask(canary)
        after_ns = time.time_ns()
    except (OSError, ValueError, NotReadyError) as error:
        return Proof(False, f"a process of ours that is changed alike failed: {error}")
    finally:
        canary.kill()
        canary.communicate(timeout=CANARY_WITHIN_S)
    text = f"a process that is changed alike reads a clock that is {format_duration(said_ns - after_ns)} off"
    return Proof(shift.at(before_ns) <= said_ns <= shift.at(after_ns), text)


def _ask(canary: subprocess.Popen[bytes]) -> int:
    """Return the time that it says. Raises OSError, ValueError."""
    assert canary.stdin is not None and canary.stdout is not None
    canary.stdin.write(b"\n")
    if not select.select([canary.stdout], [], [], CANARY_WITHIN_S)[0]:
        raise TimeoutError(f"it said nothing for {CANARY_WITHIN_S:g} s")
    return int(canary.stdout.readline())


FAULT = ClockSkew()
