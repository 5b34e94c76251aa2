"""What an engine on another machine cannot be used for, and a relay in a container: refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaosctl.errors import NotReadyError, UsageError
from chaosctl.experiment.model import PROCESS_NUMBERS, Ask, Service, Target
from chaosctl.faults.contract import Fault
from chaosctl.plan.model import Plan
from chaosctl.runner.relays import WantedRelay
from chaosctl.safety.engine import local_engine, named_engine
from chaosctl.safety.engine_address import shown

_STATE = "${state"


def refuse_what_cannot_be_there(
    target: Target, plan: Plan, faults: Mapping[str, Fault], relay: WantedRelay, environ: Mapping[str, str]
) -> None:
    """Raises UsageError for a relay in a container where the services are in none, and NotReadyError for what the
    engine that `environ` names cannot be used for."""
    if target.driver == "compose":
        local_engine(environ)
    if target.driver != "docker":
        if relay.kind == "container":
            raise UsageError(f"--relay container needs driver docker, and the driver is {target.driver}; leave it out")
        return
    engine = named_engine(environ)
    if relay.in_container(remote=engine.is_remote):
        relay.source()
    if engine.is_remote and (lacks := next(what_lacks(target, plan, faults, relay), None)) is not None:
        raise NotReadyError(
            f"{lacks}; the Docker Engine at {shown(engine.address)} counts as one of another machine: leave that out, "
            "or run chaosctl there, over the engine's own socket"
        )


def what_lacks(target: Target, plan: Plan, faults: Mapping[str, Fault], relay: WantedRelay) -> Iterator[str]:
    """Yield what of a run does not work with an engine of another machine, with the reason. Pure."""
    if relay.url is not None or relay.kind in ("embedded", "toxiproxy"):
        yield "containers elsewhere do not reach a relay on this machine, only one with --relay container"
    for fault in plan.faults:
        kind = faults[fault.kind].kind
        if kind.acts_on != "link" and not kind.through_engine:
            yield f"{fault.id}: {kind.name} acts on or looks at processes and networks of the engine's own machine"
        if _STATE in str(fault.params):
            yield f"{fault.id}: ${{state}} is a volume of the engine's machine, which no command here can read"
    for name, service in target.services.items():
        yield from _of_service(name, service)
    for of, number in _numbers(plan):
        yield f"the objective metrics judges {number} of {of}, which only the engine's own machine knows"


def _of_service(name: str, service: Service) -> Iterator[str]:
    if service.disk_bytes is not None:
        yield f"the disk of {name} is made of a file on this machine"
    offers = service.offers
    asked = {"status": offers.status, "totals": offers.totals, "digest": offers.digest, "metrics": offers.metrics}
    commands = {what: ask.command for what, ask in asked.items() if isinstance(ask, Ask)}
    for what, command in {**commands, "backup": offers.backup, "restore": offers.restore}.items():
        if _STATE in " ".join(command or ()):
            yield f"{name} offers {what} by a command with ${{state}}, which is a volume of the engine's machine"


def _numbers(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield which numbers of the processes themselves are judged, by service."""
    for service, numbers in plan.objectives.get("metrics", {}).get("by_service", {}).items():
        yield from ((service, number) for number in PROCESS_NUMBERS if number in numbers)
