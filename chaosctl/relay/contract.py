"""Stage 4, links: what a relay is to the rest. The same conformance tests run on every implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Stream = Literal["upstream", "downstream"]


@dataclass(frozen=True)
class ProxySpec:
    """A listener to make. `listen` may end in `:0`; `upstream` is `host:port`."""

    name: str
    listen: str
    upstream: str


@dataclass(frozen=True)
class ProxyState:
    """A proxy as the server reports it; `listen` has its real port. `api_url` is where it can be changed:
    `http://host:port/proxies/NAME`."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    api_url: str
    toxics: tuple[Toxic, ...]


@dataclass(frozen=True)
class Toxic:
    """One toxic, in Toxiproxy's own terms. `attributes` are milliseconds, KB/s, bytes, as its API has them."""

    name: str
    type: str
    stream: Stream
    attributes: Mapping[str, int]
    toxicity: float = 1.0

    def as_request(self) -> dict[str, Any]:
        """Return what Toxiproxy's API wants to be sent to add it."""
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
        }


@dataclass(frozen=True)
class RelayInfo:
    """Which relay carried the run: `toxiproxy` or `embedded`, its version, where its API is, who started it."""

    kind: str
    version: str
    api_url: str
    started_by_us: bool


class Relay(Protocol):
    """A relay server. Every call has a timeout and raises `RelayError` with a sentence on any failure."""

    @property
    def info(self) -> RelayInfo:
        """Say which relay this is."""
        ...

    def create(self, spec: ProxySpec) -> ProxyState:
        """Make a proxy and read its state back. A port in use is a `RelayError` that names it."""
        ...

    def proxy(self, name: str) -> ProxyState:
        """Return a proxy's present state, read from the server."""
        ...

    def set_enabled(self, name: str, enabled: bool) -> ProxyState:
        """Open or shut the listener; connections are cut when it is shut."""
        ...

    def add_toxic(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic, and read back that it is there with its attributes."""
        ...

    def remove_toxic(self, proxy: str, toxic: str) -> None:
        """Remove a toxic; one that is gone is no error."""
        ...

    def delete(self, name: str) -> None:
        """Delete a proxy; one that is gone is no error."""
        ...

    def close(self) -> None:
        """Delete the proxies this object made; end the server if this object started it."""
        ...
