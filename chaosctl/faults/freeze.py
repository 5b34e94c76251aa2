"""One process inside a replica is stopped, its others go on: the worker that hangs while its siblings take the load, or
the helper that everything waits for. It holds its connections and locks, and says nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, Inside, NowNs, Place, Proof
from chaosctl.safety.processes import Process, running, shown, thread_states
from chaosctl.safety.undo import SignalUndo, Undo

Found = tuple[str, Inside, tuple[Process, ...]]
"""A replica's name, its inside, and the processes there that are meant."""


class FreezeParams(Params):
    """Which process."""

    process: str = Field(
        min_length=1,
        description="Its name or program (`nginx`); if nothing is called so, a part of its command line",
    )
    pick: Literal["oldest", "newest", "all"] = Field(
        "oldest", description="Which one, if several are called so: the oldest, the newest, or all of them"
    )


class Freeze:
    """SIGSTOP to what is called so."""

    kind = FaultKind(
        name="freeze",
        acts_on="service",
        params=FreezeParams,
        lasting="always",
        dimension="life",
        takes_down="while",
        summary="One process inside the replica, chosen by its name, is stopped (SIGSTOP) and goes on at the heal",
        example="{ at: 8s, for: 2s, fault: freeze, on: world, process: python3, pick: newest }",
    )

    def prepare(self, fault_id: str, place: Place, params: FreezeParams) -> tuple[Undo, ...]:
        """Return what lets those go on that are meant now. Raises NotReadyError where nothing is called so."""
        return tuple(
            SignalUndo(one.pid, one.start_ticks, "SIGCONT") for _, _, meant in _found(place, params) for one in meant
        )

    def inject(self, fault_id: str, place: Place, params: FreezeParams, now_ns: NowNs) -> Applied:
        """Stop them. Raises NotReadyError where nothing is called so."""
        found = _found(place, params)
        called_ns = now_ns()
        for _, inside, meant in found:
            for one in meant:
                inside.signal(one, "SIGSTOP")
        frozen = [(name, one) for name, _, meant in found for one in meant]
        targets = tuple(f"{shown(one)} of {name}" for name, one in frozen)
        return Applied(called_ns, now_ns(), targets, {"frozen": frozen})

    def prove(self, fault_id: str, place: Place, params: FreezeParams, applied: Applied) -> Proof:
        """Read the kernel's word: all their threads are stopped."""
        frozen: list[tuple[str, Process]] = applied.memo.get("frozen", [])
        processes.wait_until(lambda: all(_is_stopped(one) for _, one in frozen))
        stopped = [_is_stopped(one) for _, one in frozen]
        texts = [
            f"{name}: {shown(one)} {'is stopped' if is_so else 'is not stopped'}"
            for (name, one), is_so in zip(frozen, stopped, strict=True)
        ]
        return Proof(bool(stopped) and all(stopped), "; ".join(texts) or "nothing was stopped")

    def restore(self, fault_id: str, place: Place, params: FreezeParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: FreezeParams) -> Proof:
        """Look at everything that is called so: none is stopped."""
        seen: list[tuple[str, Process]] = []

        def goes_on() -> bool:
            seen[:] = [(name, one) for name, inside in _insides(place) for one in inside.named(params.process)]
            return not any(_is_stopped(one) for _, one in seen)

        try:
            proved = processes.wait_until(goes_on)
        except NotReadyError as error:
            return Proof(False, str(error))
        texts = [f"{name}: {shown(one)} {'is stopped' if _is_stopped(one) else 'runs'}" for name, one in seen]
        text = "; ".join(texts) or f"nothing called {params.process!r} is there any more"
        return Proof(proved and bool(place.processes), text)


def _insides(place: Place) -> list[tuple[str, Inside]]:
    """Return what is inside each replica. Raises NotReadyError for one that is down."""
    return [(processes.name_of(process), processes.inside_of(process)) for process in place.processes]


def _found(place: Place, params: FreezeParams) -> list[Found]:
    found = []
    for name, inside in _insides(place):
        called_so = inside.named(params.process)
        if not called_so:
            there = sorted({one.command for one in inside.members()})
            raise NotReadyError(f"nothing in {name} is called {params.process!r}; there are: {', '.join(there)}")
        which = {"oldest": slice(0, 1), "newest": slice(-1, None), "all": slice(None)}[params.pick]
        found.append((name, inside, called_so[which]))
    return found


def _is_stopped(process: Process) -> bool:
    if running(process.pid, process.start_ticks) is None:
        return False
    states = thread_states(process.pid)
    return bool(states) and states <= processes.STOPPED


FAULT = Freeze()
