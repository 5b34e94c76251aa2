"""What containers run from: images that are there by name, and images built for the run.

A built image gets no tag. It stays as the engine's build cache, so that the next run does not build it again, until
`docker image prune` takes it.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from chaosctl.errors import NotReadyError, RecordingError
from chaosctl.experiment.model import Build, Service
from chaosctl.safety.engine import Engine, EngineError
from chaosctl.safety.engine_address import CERTIFICATES

_LAST_LINES = 20
_BUILD_SILENT_S = 600
_ABORT_SEEN_S = 0.1


@dataclass(frozen=True)
class Image:
    """An image as the engine has it: `id` is the digest of its configuration, `digests` are those of its manifest in
    the registries that it came from, `health` says whether it has a health check."""

    name: str
    id: str
    digests: tuple[str, ...]
    health: bool


def find_images(
    engine: Engine, services: Mapping[str, Service], folder: Path, logs: Path, abort: threading.Event
) -> Mapping[str, Image]:
    """Return the image of every service, by service; build what is to be built, each once. `folder` is the
    experiment's. Raises NotReadyError with the mend, for a build with its last lines; RecordingError."""
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"{logs} cannot be made ({error.strerror}); give another folder with --out") from error

    def build(name: str, wanted: Build) -> str:
        return _build(engine, name, wanted, folder, logs / f"build-{name}.log", abort)

    return found_or_built(engine, services, build)


def found_or_built(
    engine: Engine, services: Mapping[str, Service], build: Callable[[str, Build], str]
) -> Mapping[str, Image]:
    """Return the image of every service, by service; `build` builds one for a service and returns its id. Raises
    NotReadyError."""
    built: dict[Build, str] = {}
    found = {}
    for name, service in services.items():
        if service.build is not None:
            if service.build not in built:
                built[service.build] = build(name, service.build)
            found[name] = look_up(engine, built[service.build], f"built from {service.build.dockerfile}")
        else:
            found[name] = look_up(engine, service.image or "")
    return found


def look_up(engine: Engine, name: str, shown: str | None = None) -> Image:
    """Return the image of that name. It is never pulled: a run must not depend on what a registry has today.

    Raises NotReadyError when it is not there.
    """
    try:
        found = engine.ask("GET", f"/images/{quote(name, safe='/:@')}/json")
    except EngineError as error:
        if error.status is None:
            raise
        if error.status == 404:
            text = f"the Docker Engine has no image '{name}'; get it with `docker pull {name}`, or give `build:`"
            raise NotReadyError(text) from error
        raise NotReadyError(f"the image '{name}' cannot be used: {error}; mend `image`") from error
    health = (found.get("Config") or {}).get("Healthcheck")
    return Image(shown or name, found["Id"], tuple(found.get("RepoDigests") or ()), bool(health))


def as_recorded(image: Image) -> Mapping[str, Any]:
    """Return what run.json says of it."""
    return {"image": image.name, "id": image.id, "digests": list(image.digests)}


def _build(engine: Engine, service: str, build: Build, folder: Path, log_path: Path, abort: threading.Event) -> str:
    """Return the id of the image that was built. Everything that the engine says goes to `log_path`."""
    said: deque[str] = deque(maxlen=_LAST_LINES)
    image = ""
    what = f"the image of {service} cannot be built from {folder / build.context / build.dockerfile}"
    with log_path.open("w") as log:
        for line in _until(abort, _lines(engine, (folder / build.context).resolve(), build.dockerfile, what)):
            if "error" in line:
                last = "\n".join(f"  {one}" for one in said)
                raise NotReadyError(f"{what}: {line['error']}; see {log_path}\n{last}")
            text = str(line.get("stream", ""))
            log.write(text)
            said.extend(one for one in text.splitlines() if one.strip())
            image = str((line.get("aux") or {}).get("ID", image))
    if not image:
        raise NotReadyError(f"{what}: the engine named no image; see {log_path}")
    return image


def _until(abort: threading.Event, lines: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines, read by a thread of their own; raises NotReadyError once `abort` is set, however long the engine
    is silent. It gives the build up when this process ends, and with it the connection."""
    read: queue.SimpleQueue[Mapping[str, Any] | Exception | None] = queue.SimpleQueue()

    def pass_on() -> None:
        try:
            for line in lines:
                read.put(line)
            read.put(None)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            read.put(error)

    threading.Thread(target=pass_on, name="build", daemon=True).start()
    while not abort.is_set():
        try:
            line = read.get(timeout=_ABORT_SEEN_S)
        except queue.Empty:
            continue
        if isinstance(line, Exception):
            raise line
        if line is None:
            return
        yield line
    raise NotReadyError("stopped while an image was built")


def _lines(engine: Engine, context: Path, dockerfile: str, what: str) -> Iterator[Mapping[str, Any]]:
    """Yield what the engine says of a build. The SDK packs the context, by the rules of .dockerignore."""
    import docker
    import requests
    from docker.errors import DockerException

    try:
        # Told the version it asks nothing yet, and so nothing before it is told to leave the environment aside: a proxy
        # or a bundle of certificates for the web is not meant for an engine.
        version = engine.ask("GET", "/version")["ApiVersion"]
        client = docker.APIClient(**_as_the_sdk_wants(engine.address), version=version, timeout=_BUILD_SILENT_S)
        client.trust_env = False
        try:
            # The context's ID and not the path: a Dockerfile named relative to the context stays so.
            yield from client.build(path=str(context), dockerfile=dockerfile, rm=True, forcerm=True, decode=True)
        finally:
            client.close()
    except (DockerException, requests.RequestException, OSError, TypeError, json.JSONDecodeError) as error:
        raise NotReadyError(f"{what}: {error}") from error


def _as_the_sdk_wants(address: str) -> dict[str, Any]:
    """Return the SDK's words for an engine's address."""
    from docker.tls import TLSConfig

    parts = urlsplit(address)
    if parts.scheme != "tls":
        return {"base_url": address if parts.scheme else f"unix://{address}"}
    ca, certificate, key = (str(Path(parts.path) / name) for name in CERTIFICATES)
    return {
        "base_url": f"https://{parts.netloc}",
        "tls": TLSConfig(client_cert=(certificate, key), ca_cert=ca, verify=True),
    }
