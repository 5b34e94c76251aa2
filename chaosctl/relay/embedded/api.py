"""Toxiproxy's HTTP API: what each endpoint does, apart from HTTP itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import chaosctl
from chaosctl.relay.embedded import metrics
from chaosctl.relay.embedded.bodies import (
    ApiError,
    ProxyWish,
    bad_body,
    parse_attributes,
    parse_json,
    parse_object,
    parse_proxy,
    parse_toxic,
    parse_toxicity,
)
from chaosctl.relay.embedded.dial import Resolver
from chaosctl.relay.embedded.link import STREAMS, ToxicSetting
from chaosctl.relay.embedded.loop import Loop
from chaosctl.relay.embedded.proxy import ListenError, Proxy

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
# A proxy that does not say where to listen must not be open to the network.
NEW_PROXY = ProxyWish(name="", listen="127.0.0.1:0", upstream="", enabled=True)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON


Endpoint = Callable[..., Answer]


class Api:
    """The proxies of this relay and the endpoints that show and change them."""

    def __init__(self, loop: Loop, seed: int) -> None:
        self._loop = loop
        self._resolver = Resolver(loop)
        self._seed = seed
        self._proxies: dict[str, Proxy] = {}
        # Path with a * for each name -> method -> endpoint.
        self._routes: dict[tuple[str, ...], dict[str, Endpoint]] = {
            ("version",): {"GET": self._version},
            ("metrics",): {"GET": self._metrics},
            ("reset",): {"POST": self._reset},
            ("populate",): {"POST": self._populate},
            ("proxies",): {"GET": self._list, "POST": self._create},
            ("proxies", "*"): {
                "GET": self._show, "POST": self._update, "PATCH": self._update, "DELETE": self._delete,
            },
            ("proxies", "*", "toxics"): {"GET": self._list_toxics, "POST": self._add_toxic},
            ("proxies", "*", "toxics", "*"): {
                "GET": self._show_toxic, "POST": self._update_toxic, "PATCH": self._update_toxic,
                "DELETE": self._remove_toxic,
            },
        }  # fmt: skip

    def answer(self, method: str, path: str, user_agent: str, body: bytes) -> Answer:
        """Do what the request asks and return the answer, an error included."""
        if user_agent.startswith("Mozilla/"):  # no web page may drive a relay through somebody's browser
            return Answer(403, b"User agent not allowed\n", TEXT)
        parts = tuple(unquote(part) for part in path.partition("?")[0].strip("/").split("/"))
        pattern = tuple("*" if index in (1, 3) else part for index, part in enumerate(parts))
        methods = self._routes.get(pattern)
        if methods is None:
            return Answer(404, b"404 page not found\n", TEXT)
        if method not in methods:
            return Answer(405)
        try:
            return methods[method](body, *parts[1::2])
        except ApiError as error:
            return _json(error.status, {"error": error.message, "status": error.status})

    def _version(self, body: bytes) -> Answer:
        return _json(200, {"version": chaosctl.__version__, "server": "chaosctl"})

    def _metrics(self, body: bytes) -> Answer:
        text = metrics.prometheus_text(self._proxies.values())
        return Answer(200, text.encode(), metrics.CONTENT_TYPE)

    def _reset(self, body: bytes) -> Answer:
        for proxy in self._proxies.values():
            if not proxy.enabled:
                _start(proxy)
            for toxic in list(proxy.toxics):
                proxy.remove_toxic(toxic)
        return Answer(204)

    def _populate(self, body: bytes) -> Answer:
        entries = parse_json(body)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise bad_body("a list of objects is wanted")
        wishes = [parse_proxy(entry, NEW_PROXY, f" at proxy {i}") for i, entry in enumerate(entries, start=1)]
        done: list[Proxy] = []
        try:
            for wish in wishes:
                done.append(self._add_or_replace(wish))
        except ApiError as error:
            return _json(error.status, {"error": error.message, "status": error.status, "proxies": _shown(done)})
        return _json(201, {"proxies": _shown(done)})

    def _add_or_replace(self, wish: ProxyWish) -> Proxy:
        existing = self._proxies.get(wish.name)
        if existing is not None:
            if existing.listens_on(wish.listen) and existing.upstream == wish.upstream:
                return existing
            existing.stop()
        return self._add(wish)

    def _list(self, body: bytes) -> Answer:
        return _json(200, {name: _proxy_json(proxy) for name, proxy in self._proxies.items()})

    def _create(self, body: bytes) -> Answer:
        wish = parse_proxy(parse_object(body), NEW_PROXY)
        if wish.name in self._proxies:
            raise ApiError(409, "proxy already exists")
        return _json(201, _proxy_json(self._add(wish)))

    def _add(self, wish: ProxyWish) -> Proxy:
        proxy = Proxy(self._loop, self._resolver, self._seed, wish.name, wish.listen, wish.upstream)
        if wish.enabled:
            _start(proxy)
        self._proxies[wish.name] = proxy
        return proxy

    def _show(self, body: bytes, name: str) -> Answer:
        return _json(200, _proxy_json(self._find(name)))

    def _update(self, body: bytes, name: str) -> Answer:
        proxy = self._find(name)
        now = ProxyWish(proxy.name, proxy.listen, proxy.upstream, proxy.enabled)
        wish = replace(parse_proxy(parse_object(body), now), name=name)
        if not proxy.listens_on(wish.listen) or proxy.upstream != wish.upstream:
            proxy.stop()
            proxy.listen, proxy.upstream = wish.listen, wish.upstream
        if wish.enabled and not proxy.enabled:
            _start(proxy)
        elif proxy.enabled and not wish.enabled:
            proxy.stop()
        return _json(200, _proxy_json(proxy))

    def _delete(self, body: bytes, name: str) -> Answer:
        self._find(name).stop()
        del self._proxies[name]
        return Answer(204)

    def _list_toxics(self, body: bytes, name: str) -> Answer:
        return _json(200, _toxics_json(self._find(name)))

    def _add_toxic(self, body: bytes, name: str) -> Answer:
        proxy = self._find(name)
        toxic = parse_toxic(parse_object(body))
        if any(toxic.name == other.name for other in proxy.toxics):
            raise ApiError(409, "toxic already exists")
        proxy.add_toxic(toxic)
        return _json(200, toxic.as_json())

    def _show_toxic(self, body: bytes, name: str, toxic: str) -> Answer:
        return _json(200, _find_toxic(self._find(name), toxic).as_json())

    def _update_toxic(self, body: bytes, name: str, toxic_name: str) -> Answer:
        proxy = self._find(name)
        toxic = _find_toxic(proxy, toxic_name)
        value = parse_object(body)
        attributes = parse_attributes(value, toxic.type, toxic.attributes)
        toxic.toxicity = parse_toxicity(value, toxic.toxicity)
        toxic.attributes.update(attributes)
        proxy.update_toxic(toxic)
        return _json(200, toxic.as_json())

    def _remove_toxic(self, body: bytes, name: str, toxic: str) -> Answer:
        proxy = self._find(name)
        proxy.remove_toxic(_find_toxic(proxy, toxic))
        return Answer(204)

    def _find(self, name: str) -> Proxy:
        try:
            return self._proxies[name]
        except KeyError:
            raise ApiError(404, "proxy not found") from None


def _start(proxy: Proxy) -> None:
    try:
        proxy.start()
    except ListenError as error:
        raise ApiError(500, str(error)) from error


def _find_toxic(proxy: Proxy, name: str) -> ToxicSetting:
    for toxic in proxy.toxics:
        if toxic.name == name:
            return toxic
    raise ApiError(404, "toxic not found")


def _toxics_json(proxy: Proxy) -> list[dict[str, object]]:
    return [toxic.as_json() for stream in STREAMS for toxic in proxy.toxics if toxic.stream == stream]


def _proxy_json(proxy: Proxy) -> dict[str, Any]:
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "toxics": _toxics_json(proxy),
        "counters": metrics.counters(proxy),
    }


def _shown(proxies: list[Proxy]) -> list[dict[str, Any]] | None:
    return [_proxy_json(proxy) for proxy in proxies] or None  # Go writes an empty list as null


def _json(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n")
