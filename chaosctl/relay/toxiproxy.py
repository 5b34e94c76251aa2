"""A relay behind Toxiproxy's HTTP API, real or embedded. The only importer of toxiproxy-python.

toxiproxy-python keeps its server's address in a class, sets no timeouts, does not see 5xx, cannot update, does not
escape names and does not look whether a change took effect. Its data classes, its reading of 400, 404 and 409 and its
exceptions are used here; the requests are made here, by each relay on its own session.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import requests
from toxiproxy.api import validate_response
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.proxy import Proxy as ProxyData
from toxiproxy.toxic import Toxic as ToxicData

import chaosctl
from chaosctl.errors import RelayError
from chaosctl.relay.contract import ProxySpec, ProxyState, RelayInfo, Toxic

TIMEOUT_S = 5.0
# Toxiproxy keeps toxicity in 32 bits.
TOXICITY_TOLERANCE = 1e-6


class Process(Protocol):
    """The server's process, where we started it."""

    @property
    def pid(self) -> int | None:
        """Its process id, None where that is not one of this machine."""
        ...

    def alive(self) -> bool:
        """Return whether it runs."""
        ...

    def end(self) -> None:
        """End it; one that has ended is no error."""
        ...


class Gone(RelayError):
    """There is no such proxy or toxic."""


class _Session:
    """Requests to one server. Every failure is a RelayError with a sentence."""

    def __init__(self, api_url: str, timeout_s: float) -> None:
        self.api_url = api_url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the web is no way to a relay
        self._session.headers.update({"User-Agent": f"chaosctl/{chaosctl.__version__}"})

    def call(self, method: str, *path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request and return the answer's JSON, None when it has none. Raises Gone, RelayError."""
        url = "/".join([self.api_url, *(quote(part, safe="") for part in path)])
        what = f"The relay at {self.api_url}"
        try:
            response = self._session.request(method, url, json=body, timeout=self._timeout_s)
            validate_response(response)
            if response.status_code >= 400:
                raise RelayError(_refusal(what, method, path, response))
            return response.json() if response.content else None
        except requests.ConnectTimeout as error:
            raise RelayError(f"{what} cannot be reached within {self._timeout_s:g} s; is its address right?") from error
        except requests.Timeout as error:
            raise RelayError(
                f"{what} accepts connections but did not answer within {self._timeout_s:g} s: it is frozen; restart it."
            ) from error
        except requests.JSONDecodeError as error:
            raise RelayError(f"{what} answers with something that is not JSON: it is no Toxiproxy.") from error
        except requests.ConnectionError as error:
            raise RelayError(f"{what} is not there: {_reason(error)}; start it, or correct its address.") from error
        except requests.RequestException as error:
            raise RelayError(f"{what} cannot be asked: {error}.") from error
        except NotFound as error:
            raise Gone(f"{what} has no {'/'.join(path)}: {_error_text(error)}.") from error
        except ProxyExists as error:
            name = body.get("name", path[-1]) if body else path[-1]
            raise RelayError(
                f"{what} already has {name!r} below {'/'.join(path)}; another run may own it: delete it there, "
                "or use another relay."
            ) from error
        except InvalidToxic as error:
            raise RelayError(f"{what} does not accept {body}: {_error_text(error)}.") from error

    def close(self) -> None:
        """Close what is open."""
        self._session.close()


class ToxiproxyRelay:
    """A relay on a server that speaks Toxiproxy's API. Implements `relay.contract.Relay`."""

    def __init__(self, api_url: str, *, timeout_s: float = TIMEOUT_S, process: Process | None = None) -> None:
        """Ask the server which it is. Raises RelayError when it does not say."""
        self._session = _Session(api_url, timeout_s)
        self._process = process
        self._made: list[str] = []
        kind, version = self._identify()
        self._info = RelayInfo(kind, version, api_url, started_by_us=process is not None)

    @property
    def info(self) -> RelayInfo:
        """Say which relay this is."""
        return self._info

    @property
    def pid(self) -> int | None:
        """The server's process id, None when we did not start it here."""
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        """Return whether the server's process runs; for one that we did not start, whether it answers."""
        if self._process is not None:
            return self._process.alive()
        try:
            self._identify()
        except RelayError:
            return False
        return True

    def create(self, spec: ProxySpec) -> ProxyState:
        """Make a proxy and read its state back. Raises RelayError: port in use, name taken, or not as asked."""
        self._create({"name": spec.name, "listen": spec.listen, "upstream": spec.upstream, "enabled": True})
        self._made.append(spec.name)
        return self._expect(spec.name, enabled=True, upstream=spec.upstream)

    def proxy(self, name: str) -> ProxyState:
        """Return a proxy's present state, read from the server."""
        return self._state(self._session.call("GET", "proxies", name))

    def proxies(self) -> tuple[ProxyState, ...]:
        """Return every proxy of the server, by name; also those of others."""
        found = self._session.call("GET", "proxies")
        return tuple(self._state(found[name]) for name in sorted(found))

    def set_enabled(self, name: str, enabled: bool) -> ProxyState:
        """Open or shut the listener, and read back that it is so; connections are cut when it is shut."""
        self._session.call("PATCH", "proxies", name, body={"enabled": enabled})
        return self._expect(name, enabled=enabled)

    def add_toxic(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic, and read back that it is there with its attributes."""
        self._session.call("POST", "proxies", proxy, "toxics", body=toxic.as_request())
        self._expect_toxic(proxy, toxic)

    def update_toxic(self, proxy: str, toxic: Toxic) -> None:
        """Give a toxic these attributes and this toxicity, and read back that it has them."""
        body = {"attributes": dict(toxic.attributes), "toxicity": toxic.toxicity}
        self._session.call("PATCH", "proxies", proxy, "toxics", toxic.name, body=body)
        self._expect_toxic(proxy, toxic)

    def remove_toxic(self, proxy: str, toxic: str) -> None:
        """Remove a toxic, and look that it is gone; one that is gone already is no error."""
        try:
            self._session.call("DELETE", "proxies", proxy, "toxics", toxic)
            left = self._session.call("GET", "proxies", proxy, "toxics")
        except Gone:
            return
        if any(found["name"] == toxic for found in left):
            raise RelayError(f"The relay at {self._info.api_url} still has toxic {toxic!r} after it was removed.")

    def delete(self, name: str) -> None:
        """Delete a proxy; one that is gone is no error."""
        with contextlib.suppress(Gone):
            self._session.call("DELETE", "proxies", name)
        if name in self._made:
            self._made.remove(name)

    def close(self) -> None:
        """Delete the proxies this object made; end the server if this object started it. Raises RelayError when a
        proxy could not be deleted on a server that goes on."""
        try:
            if self._process is None:
                for name in list(self._made):
                    self.delete(name)
        finally:
            self._made.clear()
            self._session.close()
            if self._process is not None:
                self._process.end()

    def _identify(self) -> tuple[str, str]:
        answer = self._session.call("GET", "version")
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise RelayError(f"The relay at {self._session.api_url} does not say its version: it is no Toxiproxy 2.5+.")
        return ("embedded" if answer.get("server") == "chaosctl" else "toxiproxy"), version

    def _create(self, body: dict[str, Any]) -> None:
        name = str(body["name"])
        if not name or "/" in name or name in (".", ".."):
            raise RelayError(f"A proxy cannot be named {name!r}: Toxiproxy could not find it again; use no slash.")
        try:
            self._session.call("POST", "proxies", body=body)
        except RelayError as error:
            if "address already in use" in str(error):
                raise RelayError(
                    f"The relay cannot listen on {body['listen']} for {name!r}: the port is in use; "
                    "choose another, or end what listens there."
                ) from error
            raise

    def _expect(self, name: str, *, enabled: bool, upstream: str | None = None) -> ProxyState:
        state = self.proxy(name)
        if state.enabled != enabled or upstream not in (None, state.upstream):
            raise RelayError(
                f"Proxy {name!r} is not as it was told: enabled is {state.enabled} and upstream {state.upstream}, "
                f"at {self._info.api_url}; does somebody else change it?"
            )
        return state

    def _expect_toxic(self, proxy: str, wanted: Toxic) -> None:
        found = _toxic(self._session.call("GET", "proxies", proxy, "toxics", wanted.name))
        kept = {name: found.attributes.get(name) for name in wanted.attributes}
        same = (found.type, found.stream, kept) == (wanted.type, wanted.stream, dict(wanted.attributes))
        if not same or abs(found.toxicity - wanted.toxicity) > TOXICITY_TOLERANCE:
            raise RelayError(
                f"Toxic {wanted.name!r} on {proxy!r} is not as it was told: wanted {wanted.type} {wanted.stream} "
                f"{dict(wanted.attributes)}, there is {found.type} {found.stream} {dict(found.attributes)}."
            )

    def _state(self, answer: Mapping[str, Any]) -> ProxyState:
        try:
            data = ProxyData(**answer)
            toxics = tuple(_toxic(toxic) for toxic in answer["toxics"])
        except (KeyError, TypeError) as error:
            raise RelayError(
                f"The relay at {self._session.api_url} describes a proxy in an unknown way: {answer}"
            ) from error
        return ProxyState(
            name=data.name,
            listen=data.listen,
            upstream=data.upstream,
            enabled=data.enabled,
            api_url=f"{self._session.api_url}/proxies/{quote(data.name, safe='')}",
            toxics=toxics,
        )


def attach(api_url: str, *, timeout_s: float = TIMEOUT_S) -> ToxiproxyRelay:
    """Return the relay whose API is at `api_url` (`http://host:port`, or `host:port`), after asking its version.

    Every call to it has `timeout_s`. Raises RelayError."""
    with_scheme = api_url if "://" in api_url else f"http://{api_url}"
    return ToxiproxyRelay(with_scheme.rstrip("/"), timeout_s=timeout_s)


def _toxic(answer: Mapping[str, Any]) -> Toxic:
    data = ToxicData(**answer)
    return Toxic(data.name, data.type, data.stream, data.attributes, data.toxicity)


def _refusal(what: str, method: str, path: tuple[str, ...], response: requests.Response) -> str:
    return f"{what} answered {response.status_code} to {method} /{'/'.join(path)}: {_error_text(response.text)}."


def _error_text(error: object) -> str:
    """Return the `error` of Toxiproxy's error body, else the start of the text."""
    raw = error.args[0] if isinstance(error, Exception) and error.args else error
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"])
    return text.strip()[:200] or "no reason given"


def _reason(error: requests.ConnectionError) -> str:
    return "connection refused" if "refused" in str(error) else "the connection broke"
