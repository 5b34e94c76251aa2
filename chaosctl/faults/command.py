"""Whatever the operator can do by a command, over ssh or here: what no driver of ours can do to a service.

Each command is run once for each replica of the place, without a shell. `prove` says by its exit code whether the fault
is in force: 0 yes, 1 no; anything else means that it could not look.
"""

from __future__ import annotations

import time

from pydantic import Field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import DurationNs
from chaosctl.faults.contract import Applied, Desk, NowNs, Place, Proof
from chaosctl.safety.undo import Undo

IN_FORCE, NOT_IN_FORCE = 0, 1
# An effect may take a moment to show; the fault contract gives a proof 2 s.
LOOK_S = 1.8
LOOK_AGAIN_S = 0.1
NO_PROVE = (
    "not looked at: nothing says how; add `prove: [COMMAND, ...]`, which exits with 0 while it is in force, else 1"
)


class CommandParams(Params):
    """The commands; a word an item. The clock waits for `inject` and `heal`: what comes meanwhile comes late."""

    inject: tuple[str, ...] = Field(
        min_length=1, description="The command that does it, a word an item; no shell, unless as `[sh, -c, ...]`"
    )
    heal: tuple[str, ...] = Field(
        min_length=1, description="The command that undoes it; run again when nothing is left to undo, it must not mind"
    )
    prove: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="A command that exits with 0 while the fault is in force, and with 1 while it is not",
    )
    within_ns: DurationNs = Field(
        default=10_000_000_000,
        alias="within",
        ge=100_000_000,
        le=60_000_000_000,
        description="How long each command may take; after that it is ended, and counts as failed",
    )


class Command:
    """Run the operator's commands."""

    kind = FaultKind(
        name="command",
        acts_on="service",
        params=CommandParams,
        lasting="always",
        dimension="command",
        filled_in=frozenset({"inject", "heal", "prove"}),
        # Nobody knows what a command does, so the blast radius counts it.
        takes_down="while",
        of_others=True,
        through_engine=True,
        summary="What the operator's own commands do (`inject`, `heal`, `prove`), over ssh or here",
        example="{ at: 5s, for: 3s, fault: command, on: world, "
        "inject: [ssh, world-1, sudo, systemctl, stop, world], heal: [ssh, world-1, sudo, systemctl, start, world], "
        'prove: [sh, -c, "! nc -z world-1 7000"] }',
    )

    def prepare(self, fault_id: str, place: Place, params: CommandParams) -> tuple[Undo, ...]:
        """Return the heal commands."""
        return tuple(desk.undo(desk.fill_in(params.heal), fault_id, params.within_ns / 1e9) for desk in place.desks)

    def inject(self, fault_id: str, place: Place, params: CommandParams, now_ns: NowNs) -> Applied:
        """Run the commands. Raises NotReadyError for one that does not exit with 0."""
        called_ns = now_ns()
        said = []
        for desk in place.desks:
            ran = desk.run(desk.fill_in(params.inject), fault_id, params.within_ns / 1e9)
            if ran.code != 0:
                raise NotReadyError(f"{desk.name}: {ran.text}; mend `inject`, or give it longer with `within`")
            said.append(f"{desk.name}: {ran.text}")
        return Applied(called_ns, now_ns(), tuple(said))

    def prove(self, fault_id: str, place: Place, params: CommandParams, applied: Applied) -> Proof:
        """Ask until it is in force everywhere."""
        return self._look(fault_id, place, params, IN_FORCE)

    def restore(self, fault_id: str, place: Place, params: CommandParams) -> None:
        """The undo has done it."""

    def prove_healed(self, fault_id: str, place: Place, params: CommandParams) -> Proof:
        """Ask until it is in force nowhere."""
        return self._look(fault_id, place, params, NOT_IN_FORCE)

    def _look(self, fault_id: str, place: Place, params: CommandParams, wanted: int) -> Proof:
        if params.prove is None:
            return Proof(False, NO_PROVE)
        until_s = time.monotonic() + LOOK_S
        looks = [_ask(desk, desk.fill_in(params.prove), fault_id, params, wanted, until_s) for desk in place.desks]
        proved = bool(looks) and all(look.proved for look in looks)
        return Proof(proved, "; ".join(look.text for look in looks) or "there is no replica to look at")


def _ask(desk: Desk, argv: tuple[str, ...], fault_id: str, params: CommandParams, wanted: int, until_s: float) -> Proof:
    while True:
        ran = desk.run(argv, fault_id, params.within_ns / 1e9)
        if ran.code == wanted or time.monotonic() + LOOK_AGAIN_S > until_s:
            return Proof(ran.code == wanted, f"{desk.name}: {ran.text}")
        time.sleep(LOOK_AGAIN_S)


FAULT = Command()
