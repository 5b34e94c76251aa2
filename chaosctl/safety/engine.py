"""The Docker Engine, asked over its socket or over TCP; and what takes a run's containers away again.

Standard library only: the keeper, which starts at once, plays the same code as the driver does.
API: docs.docker.com/reference/api/engine, by paths without a version, which every engine answers.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from chaosctl.errors import NotReadyError
from chaosctl.safety.engine_address import address_of, connect, host_of, is_remote, shown

RUN_LABEL = "chaosctl.run"
# A container that is removed by force is killed first; the engine gives up on that after ten seconds.
ANSWER_WITHIN_S = 30.0
_ROUNDS = 50
_QUIET_S = 0.2
_AT_ONCE = 8


class EngineError(NotReadyError):
    """The engine refused (`status` is HTTP's), or did not answer at all (`status` is None)."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Engine:
    """An engine, by its address (see `engine_address`). Each call has its own connection; threads may share it."""

    address: str

    @property
    def is_remote(self) -> bool:
        """Whether it counts as one of another machine: all but those that listen at a socket of this one."""
        return is_remote(self.address)

    def ask(
        self, method: str, path: str, /, body: Any = None, within_s: float | None = ANSWER_WITHIN_S, **query: Any
    ) -> Any:
        """Return what the engine answers, parsed; None where that is nothing. Raises EngineError."""
        answer = self.open(method, path, body, within_s, **query)
        try:
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from error
        finally:
            answer.close()
        try:
            return json.loads(data) if data.strip() else None
        except ValueError as error:
            raise EngineError(f"{method} {path}: the Docker Engine's answer is not JSON") from error

    def open(
        self, method: str, path: str, /, body: Any = None, within_s: float | None = ANSWER_WITHIN_S, **query: Any
    ) -> http.client.HTTPResponse:
        """Return an answer of the engine to be read by the caller: a log that goes on. A `body` of bytes, or of what
        can be read, is an archive (tar); any other is sent as JSON. Raises EngineError."""
        data, headers = _as_body(body)
        try:
            connection = connect(self.address, within_s)
        except OSError as error:
            raise self._gone(error) from error
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, data, headers)
            answer = connection.getresponse()
            if answer.status < 400:
                return answer
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._gone(error) from error
        connection.close()
        raise EngineError(_message(said) or answer.reason, answer.status)

    def _gone(self, error: Exception) -> EngineError:
        at = shown(self.address)
        if self.is_remote:
            why = "no answer in time" if isinstance(error, TimeoutError) else error or type(error).__name__
            mend = "start it there with `dockerd -H tcp://HOST:PORT`, open the way to it, or correct DOCKER_HOST"
            return EngineError(f"the Docker Engine at {at} does not answer ({why}); {mend}")
        if isinstance(error, FileNotFoundError):
            return EngineError(f"no Docker Engine listens at {at}; start dockerd, or set DOCKER_HOST to its socket")
        if isinstance(error, PermissionError):
            return EngineError(
                f"this user may not use the Docker Engine's socket {at}; add it to the group `docker`, or use sudo"
            )
        if isinstance(error, TimeoutError):
            return EngineError(f"the Docker Engine at {at} does not answer in time; see its log, or restart dockerd")
        return EngineError(
            f"the Docker Engine at {at} does not answer ({error or type(error).__name__}); start dockerd"
        )


def named_engine(environ: Mapping[str, str] = os.environ) -> Engine:
    """Return the engine that DOCKER_HOST names, or that of this machine; it is not asked anything yet.

    Raises EngineError for a name that is not understood.
    """
    try:
        return Engine(address_of(environ))
    except ValueError as error:
        raise EngineError(str(error)) from error


def local_engine(environ: Mapping[str, str] = os.environ) -> Engine:
    """Return the engine of this machine, by DOCKER_HOST or at its usual place; it is not asked anything yet.

    Raises EngineError for one that is elsewhere.
    """
    engine = named_engine(environ)
    if engine.is_remote:
        raise EngineError(
            f"DOCKER_HOST is {environ['DOCKER_HOST']}: only an engine of this machine can be used for this, by its "
            f"socket; unset DOCKER_HOST, or run chaosctl on {host_of(engine.address)}"
        )
    return engine


def _as_body(body: Any) -> tuple[Any, dict[str, str]]:
    """Return what is sent, and the headers that say what it is."""
    headers = {"Host": "docker"}
    if body is None:
        return None, headers
    if isinstance(body, bytes) or hasattr(body, "read"):
        return body, {**headers, "Content-Type": "application/x-tar"}
    return json.dumps(body), {**headers, "Content-Type": "application/json"}


def of_run(run_id: str) -> str:
    """Return the filter (`filters=`) that finds what carries the label of a run."""
    return json.dumps({"label": [f"{RUN_LABEL}={run_id}"]})


def remove_run(engine: Engine, run_id: str, within_s: float) -> tuple[int, tuple[str, ...]]:
    """Remove every container, volume, network and image that carries the label of the run, by force.

    What an answer was not waited for may still be on its way, so it looks until nothing is found twice. Idempotent.
    Return how many were removed, and a sentence for each thing that is left. Raises EngineError where it cannot look.
    """
    end_s = time.monotonic() + within_s
    removed, quiet = set[str](), 0
    left: tuple[str, ...] = ()
    for _ in range(_ROUNDS):
        found = found_of(engine, run_id, max(1.0, end_s - time.monotonic()))
        if found:
            quiet = 0
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                outcomes = list(pool.map(lambda one: remove_one(engine, *one), found))
            left = tuple(text for text in outcomes if text)
            removed |= {name for (_, name), text in zip(found, outcomes, strict=True) if not text}
        else:
            quiet, left = quiet + 1, ()
        if quiet == 2 or time.monotonic() > end_s:
            break
        time.sleep(_QUIET_S)
    if quiet == 0 and not left:
        left = tuple(f"{kind.removesuffix('s')} {name[:12]} was still being removed" for kind, name in found)
    return len(removed), left


def found_of(engine: Engine, run_id: str, within_s: float) -> list[tuple[str, str]]:
    """Return kind and id of what is there: containers first, and while there are some nothing else, for they use it.

    Raises EngineError."""
    label = of_run(run_id)
    if containers := engine.ask("GET", "/containers/json", None, within_s, all=1, filters=label):
        return [("containers", one["Id"]) for one in containers]
    networks = engine.ask("GET", "/networks", None, within_s, filters=label) or []
    volumes = (engine.ask("GET", "/volumes", None, within_s, filters=label) or {}).get("Volumes") or []
    images = engine.ask("GET", "/images/json", None, within_s, filters=label) or []
    found = [("networks", one["Id"]) for one in networks] + [("volumes", one["Name"]) for one in volumes]
    return found + [("images", one["Id"]) for one in images]


def remove_one(engine: Engine, kind: str, name: str) -> str | None:
    """Remove one thing of a run by force. Return what is left in a sentence, or None."""
    query = {"containers": {"force": 1, "v": 1}, "images": {"force": 1, "noprune": 1}}.get(kind, {})
    try:
        engine.ask("DELETE", f"/{kind}/{quote(name, safe='')}", **query)
    except EngineError as error:
        # Gone, or being removed by somebody else just now: the next look says.
        if error.status in (404, 409):
            return None
        what = kind.removesuffix("s")
        rm = f"docker rm -f {name[:12]}" if kind == "containers" else f"docker {what} rm {name[:12]}"
        return f"{what} {name[:12]} could not be removed ({error}); remove it with `{rm}`"
    return None


def _message(said: bytes) -> str:
    try:
        return str(json.loads(said)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return said.decode(errors="replace").strip()[:300]
