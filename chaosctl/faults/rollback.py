"""The version that the target declares comes back after a `deploy`, with the ports and the state that are there now."""

from __future__ import annotations

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults import processes, replacing
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety.undo import Undo


class RollbackParams(replacing.Pace):
    """How the version that is bad gives way."""


class Rollback:
    """Stop every replica that runs another version, and start it as the target declares it."""

    kind = FaultKind(
        name="rollback",
        acts_on="service",
        params=RollbackParams,
        lasting="never",
        dimension="life",
        takes_down="moment",
        through_engine=True,
        summary="The service's own version comes back after a `deploy`, with the state that the other one left",
        example="{ at: 9s, fault: rollback, on: world }",
        follows="deploy",
    )

    def prepare(self, fault_id: str, place: Place, params: RollbackParams) -> tuple[Undo, ...]:
        """Return nothing: a rollback is itself what undoes."""
        return ()

    def inject(self, fault_id: str, place: Place, params: RollbackParams, now_ns: NowNs) -> Applied:
        """Ask what runs to end; what follows takes its time, and the clock must not wait for it.

        Raises NotReadyError where no other version was deployed.
        """
        before = processes.remember(place)
        called_ns = now_ns()
        if all(process.standing().wanted is None for process in place.processes):
            raise NotReadyError(f"{place.on} already is the target's own version; put a deploy before the rollback")
        for process in place.processes:
            process.use_own()
        replacing.replace_all(place, params)
        return Applied(called_ns, now_ns(), processes.targets(before), {"processes": before})

    def prove(self, fault_id: str, place: Place, params: RollbackParams, applied: Applied) -> Proof:
        """Look whether the target's own version was started in every place."""
        return replacing.prove(place, params, None)

    def restore(self, fault_id: str, place: Place, params: RollbackParams) -> None:
        """Do nothing: `inject` has started what is wanted."""

    def prove_healed(self, fault_id: str, place: Place, params: RollbackParams) -> Proof:
        """Look whether every replica runs."""
        return processes.prove_up(place)


FAULT = Rollback()
