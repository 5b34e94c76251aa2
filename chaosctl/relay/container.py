"""A Toxiproxy in a container of its own, on the network of the containers whose links it carries.

Its image is one that the user names, or one made of the server on PATH and of the libraries that this is linked to,
without a tag; both the container and that image carry the label of the run, and go with it.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaosctl.errors import RelayError
from chaosctl.relay.server import READY_WITHIN_S
from chaosctl.relay.toxiproxy import ToxiproxyRelay
from chaosctl.safety.engine import RUN_LABEL, Engine, EngineError

API_PORT = 8474
NAME = "chaosctl-relay"
"""Its name on the network. No service has it: a replica's name ends in a number."""
SERVER = "/toxiproxy-server"
_POLL_S = 0.05
_LAST_CHARS = 500
# ldd(1): `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f...)`, or a path alone.
_LINKED = re.compile(r"(/\S+) \(0x")
_LDD_WITHIN_S = 10.0


@dataclass(frozen=True)
class Berth:
    """Where the relay's container stands, and how this machine reaches it: the address at which the engine's machine
    publishes its API at `api_port`, and those of `ports` where the container's own address is out of reach (else
    none)."""

    engine: Engine
    network: str
    host: str
    api_port: int
    ports: tuple[int, ...] = ()


def start_in_container(
    berth: Berth, run_id: str, source: Path | str, *, log_path: Path
) -> tuple[ToxiproxyRelay, RelayContainer]:
    """Start a Toxiproxy there and wait until it answers; `source` is the server's file, or the name of an image.

    Raises RelayError, EngineError.
    """
    named = isinstance(source, str)
    image = _image_named(berth.engine, str(source)) if named else _image_of(berth.engine, Path(source), run_id)
    made = berth.engine.ask("POST", "/containers/create", wanted(berth, run_id, image, named=named))
    container = RelayContainer(berth, str(made["Id"]), "" if named else image, log_path)
    try:
        berth.engine.ask("POST", f"/containers/{container.id}/start")
        return _wait_until_ready(container, f"http://{berth.host}:{berth.api_port}"), container
    except (RelayError, EngineError) as error:
        said = container.said()
        with suppress(RelayError):
            container.end()
        if isinstance(error, EngineError) and error.status is None:
            raise
        where = f"the image {source}" if named else f"a container made of {source}"
        mend = "" if named else "; build it with CGO_ENABLED=0 for the engine's machine, or name an image of it"
        raise RelayError(f"The relay cannot be started from {where}: {error}{mend}; it said: {said}.") from error


@dataclass(frozen=True)
class RelayContainer:
    """The server's container (`relay.toxiproxy.Process`); `image` is what was made for it, nothing if it was named."""

    berth: Berth
    id: str
    image: str
    log_path: Path

    @property
    def pid(self) -> None:
        """None: its process is the engine's."""

    def alive(self) -> bool:
        """Return whether it runs. An engine that does not answer is somebody else's to notice."""
        try:
            return bool(self._inspect().get("State", {}).get("Running"))
        except EngineError as error:
            return error.status is None

    def address(self) -> str:
        """Return its own address on the network. Raises EngineError."""
        return str(self._inspect()["NetworkSettings"]["Networks"][self.berth.network]["IPAddress"])

    def said(self) -> str:
        """Return the end of what it printed."""
        lines = [line.strip() for line in self._log().splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-_LAST_CHARS:] or "nothing"

    def keep_log(self) -> None:
        """Write what it has printed to its log, while it is there."""
        with suppress(OSError):
            if log := self._log():
                self.log_path.write_text(log)

    def end(self) -> None:
        """Keep its log, and remove it with its image. Idempotent. Raises RelayError."""
        self.keep_log()
        for path in (f"/containers/{self.id}", f"/images/{quote(self.image)}" if self.image else ""):
            try:
                if path:
                    self.berth.engine.ask("DELETE", path, force=1)
            except EngineError as error:
                if error.status not in (404, 409):  # gone, or being removed
                    raise RelayError(f"The relay's container could not be removed: {error}.") from error

    def _inspect(self) -> Mapping[str, Any]:
        return dict(self.berth.engine.ask("GET", f"/containers/{self.id}/json"))

    def _log(self) -> str:
        try:
            with self.berth.engine.open("GET", f"/containers/{self.id}/logs", stdout=1, stderr=1, tail=1000) as answer:
                return "".join(_lines(answer.read()))
        except (EngineError, OSError):
            return ""


def _lines(framed: bytes) -> Iterator[str]:
    """Yield what is in the frames of a log (docs.docker.com/reference/api/engine, "Attach to a container")."""
    while len(framed) >= 8:
        length = int.from_bytes(framed[4:8], "big")
        yield framed[8 : 8 + length].decode(errors="replace")
        framed = framed[8 + length :]


def _wait_until_ready(container: RelayContainer, api_url: str) -> ToxiproxyRelay:
    end_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            return ToxiproxyRelay(api_url, process=container)
        except RelayError as error:
            if not container.alive():
                raise RelayError("it has ended by itself") from error
            if time.monotonic() >= end_s:
                raise
            time.sleep(_POLL_S)


def wanted(berth: Berth, run_id: str, image: str, *, named: bool) -> Mapping[str, Any]:
    """Return what the engine is told to make. An image that is named has its own way to start the server."""
    published = {API_PORT: berth.api_port, **{port: port for port in berth.ports}}
    return {
        "Image": image,
        **({} if named else {"Entrypoint": [SERVER]}),
        "Cmd": ["-host", "0.0.0.0", "-port", str(API_PORT)],
        # It writes several lines for every connection, unless told otherwise.
        "Env": ["LOG_LEVEL=error"],
        "Labels": {RUN_LABEL: run_id, "chaosctl.relay": "toxiproxy"},
        "ExposedPorts": {f"{inside}/tcp": {} for inside in published},
        "HostConfig": {
            "NetworkMode": berth.network,
            "CapDrop": ["ALL"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "2"}},
            "PortBindings": {
                f"{inside}/tcp": [{"HostIp": berth.host, "HostPort": str(outside)}]
                for inside, outside in published.items()
            },
        },
        "NetworkingConfig": {"EndpointsConfig": {berth.network: {"Aliases": [NAME]}}},
    }


def _image_named(engine: Engine, name: str) -> str:
    """Return its id. Raises RelayError where the engine does not have it: it is never pulled."""
    try:
        return str(engine.ask("GET", f"/images/{quote(name, safe='/:@')}/json")["Id"])
    except EngineError as error:
        if error.status is None:
            raise
        raise RelayError(
            f"The Docker Engine has no image '{name}' for the relay; get it with `docker pull {name}`, or correct "
            "--relay-image."
        ) from error


def _image_of(engine: Engine, server: Path, run_id: str) -> str:
    """Have the engine make an image of the server, and return its id. Raises RelayError, EngineError."""
    try:
        archive = _archive({SERVER: server.resolve(), **{one: Path(one).resolve() for one in _linked(server)}})
    except OSError as error:
        raise RelayError(f"No image can be made of {server}: {error.strerror}.") from error
    changes = f"LABEL {RUN_LABEL}={run_id}"
    with engine.open("POST", "/images/create", archive, fromSrc="-", changes=changes) as answer:
        said = answer.read().decode(errors="replace")
    if (found := re.search(r"sha256:[0-9a-f]{64}", said)) is None:
        raise RelayError(f"The Docker Engine has made no image of {server}: {said.strip()[-_LAST_CHARS:]}")
    return found[0]


def _linked(server: Path) -> Sequence[str]:
    """Return the libraries that it is linked to, and its loader; none for a static one, as Go builds without cgo."""
    try:
        ran = subprocess.run(["ldd", str(server)], capture_output=True, text=True, timeout=_LDD_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()  # if it needed some, it will say so
    return _LINKED.findall(ran.stdout) if ran.returncode == 0 else ()


def _archive(files: Mapping[str, Path]) -> bytes:
    """Return an archive with these files, by their names in the image. Raises OSError."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size, member.mode = path.stat().st_size, 0o755
            with path.open("rb") as content:
                archive.addfile(member, content)
    return packed.getvalue()
