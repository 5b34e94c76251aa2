"""Networks of a run's own on the engine: made with the run's label, and with an address of this machine on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.safety.engine import RUN_LABEL, Engine, EngineError

_RANGE_TRIES = 5


def make_network(engine: Engine, name: str, run_id: str) -> str:
    """Make the run's network and return this machine's address on it. Raises NotReadyError."""
    wanted = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": {RUN_LABEL: run_id}}
    try:
        network = _with_own_range(engine, wanted)
        found = engine.ask("GET", f"/networks/{network}")
        return str(found["IPAM"]["Config"][0]["Gateway"]).partition("/")[0]
    except (KeyError, IndexError, TypeError) as error:
        raise NotReadyError(f"the network {name} has no address of this machine, so no relay can be reached") from error
    except EngineError as error:
        if error.status is None:
            raise
        raise NotReadyError(
            f"the network {name} cannot be made: {error}; remove networks that nobody uses with `docker network prune`"
        ) from error


def _with_own_range(engine: Engine, wanted: Mapping[str, Any]) -> str:
    """Make a network and return its id. The engine chooses its range, and it is made anew with that: only where the
    range was asked for is a container that comes back given its old address. Raises EngineError.
    """
    tries_left = _RANGE_TRIES
    while True:
        made = engine.ask("POST", "/networks/create", wanted)
        found = engine.ask("GET", f"/networks/{made['Id']}")["IPAM"]["Config"][0]
        chosen = {"Subnet": found["Subnet"], "Gateway": str(found["Gateway"]).partition("/")[0]}
        engine.ask("DELETE", f"/networks/{made['Id']}")
        try:
            return str(engine.ask("POST", "/networks/create", {**wanted, "IPAM": {"Config": [chosen]}})["Id"])
        except EngineError as error:
            tries_left -= 1
            # Somebody else was given it in between.
            if "overlap" not in str(error) or not tries_left:
                raise
