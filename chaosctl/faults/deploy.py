"""Another version takes a service's place: with the same ports and the same state, as a release does.

What undoes it is `rollback`, or the heal after `for:`. Restart policies keep acting, and start the version that is
deployed at that time. If chaosctl dies, the keeper ends the services, whichever version they are.
"""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from chaosctl.errors import ChaosctlError
from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults import processes, replacing
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety.undo import Undo


class DeployParams(replacing.Pace):
    """What the other version is, and how it takes over."""

    version: str = Field("other", min_length=1, max_length=40, description="What the report calls the other version")
    run: tuple[str, ...] | None = Field(
        None, min_length=1, description="Its whole command, a word an item, with the placeholders of the service's own"
    )
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables that are added for it")
    image: str | None = Field(
        None, min_length=1, description="driver docker: the image it runs from, which must be on the engine"
    )

    @field_validator("version", mode="before")
    @classmethod
    def _as_text(cls, given: object) -> object:
        # `version: 2` is what people write.
        return str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _says_what(self) -> DeployParams:
        if self.run is None and self.image is None and not self.env:
            raise ValueError("a deploy says what the other version is; give run: [...], env: {...} or image: NAME")
        return self


class Deploy:
    """Stop every replica and start it as another version."""

    kind = FaultKind(
        name="deploy",
        acts_on="service",
        params=DeployParams,
        lasting="optional",
        dimension="life",
        takes_down="moment",
        through_engine=True,
        summary="Another version takes the service's place, until `for:` is over or a `rollback` brings the first back",
        example="{ at: 5s, fault: deploy, on: world, version: '2', env: { RELEASE: '2' } }",
        filled_in=frozenset({"run", "env"}),
        of_containers=frozenset({"image"}),
        replaces=True,
    )

    def prepare(self, fault_id: str, place: Place, params: DeployParams) -> tuple[Undo, ...]:
        """Return nothing: the first version is brought back by `restore`, or by a `rollback`."""
        return ()

    def inject(self, fault_id: str, place: Place, params: DeployParams, now_ns: NowNs) -> Applied:
        """Ask what runs to end; what follows takes its time, and the clock must not wait for it.

        Raises ChaosctlError, with nothing changed, for a command that cannot be completed or a missing image.
        """
        before = processes.remember(place)
        called_ns = now_ns()
        try:
            for process in place.processes:
                process.use(params.version, params.run, params.env, params.image)
        except ChaosctlError:
            for process in place.processes:
                process.use_own()
            raise
        replacing.replace_all(place, params)
        return Applied(called_ns, now_ns(), processes.targets(before), {"processes": before})

    def prove(self, fault_id: str, place: Place, params: DeployParams, applied: Applied) -> Proof:
        """Look whether the other version was started in every place."""
        return replacing.prove(place, params, params.version)

    def restore(self, fault_id: str, place: Place, params: DeployParams) -> None:
        """Bring the first version back, if the fault lasts until a heal."""
        if place.held:
            for process in place.processes:
                process.use_own()
            replacing.replace_all(place, params)

    def prove_healed(self, fault_id: str, place: Place, params: DeployParams) -> Proof:
        """Look whether the first version was started in every place."""
        return replacing.prove(place, params, None)


FAULT = Deploy()
