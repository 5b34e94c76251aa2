"""Reading the bodies of API requests: JSON in, checked values out, nothing changed yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from chaosctl.relay.embedded.address import split_address
from chaosctl.relay.embedded.link import STREAMS, ToxicSetting
from chaosctl.relay.embedded.toxics import TOXICS, fault_in


class ApiError(Exception):
    """What the API answers when it does not do as asked: `{"error": message, "status": status}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def bad_body(why: str) -> ApiError:
    """Return the error for a body that cannot be used."""
    return ApiError(400, f"bad request body: {why}")


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises ApiError (400)."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_body(str(error) if body else "it is empty") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises ApiError (400)."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise bad_body(f"an object is wanted, not {value!r:.40}")
    return value


@dataclass(frozen=True)
class ProxyWish:
    """A proxy as a client wants it."""

    name: str
    listen: str
    upstream: str
    enabled: bool


def parse_proxy(value: dict[str, Any], now: ProxyWish, place: str = "") -> ProxyWish:
    """Return what `value` asks for; what it does not say stays as `now`. `place` says where in a list it stands.
    Raises ApiError (400)."""
    wish = ProxyWish(
        name=_typed(value, "name", str, now.name),
        listen=_typed(value, "listen", str, now.listen),
        upstream=_typed(value, "upstream", str, now.upstream),
        enabled=_typed(value, "enabled", bool, now.enabled),
    )
    for key, text in (("name", wish.name), ("upstream", wish.upstream)):
        if not text:
            raise ApiError(400, f"missing required field: {key}{place}")
    for key, text in (("listen", wish.listen), ("upstream", wish.upstream)):
        try:
            split_address(text)
        except ValueError as error:
            raise bad_body(f"{key}: {error}") from error
    return wish


def parse_toxic(value: dict[str, Any]) -> ToxicSetting:
    """Return the toxic that `value` describes. Raises ApiError (400)."""
    kind = _typed(value, "type", str, "")
    stream = _typed(value, "stream", str, "downstream").lower()
    if stream not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    if kind not in TOXICS:
        raise ApiError(400, "invalid toxic type")
    name = _typed(value, "name", str, "") or f"{kind}_{stream}"
    zeros = dict.fromkeys(TOXICS[kind][1], 0)
    return ToxicSetting(name, kind, stream, parse_toxicity(value, 1.0), parse_attributes(value, kind, zeros))


def parse_attributes(value: dict[str, Any], kind: str, now: dict[str, int]) -> dict[str, int]:
    """Return the attributes of a toxic of this kind; what `value` does not say stays as `now`.

    Raises ApiError (400)."""
    given = _typed(value, "attributes", dict, {})
    attributes = {name: _typed(given, name, int, before) for name, before in now.items()}
    if why := fault_in(kind, attributes):
        raise bad_body(why)
    return attributes


def parse_toxicity(value: dict[str, Any], now: float) -> float:
    """Return the toxicity, a share from 0 to 1. Raises ApiError (400)."""
    toxicity = value.get("toxicity")
    if toxicity is None:
        return now
    if isinstance(toxicity, bool) or not isinstance(toxicity, int | float) or not 0 <= toxicity <= 1:
        raise bad_body(f"toxicity must be a number from 0 to 1, not {toxicity!r:.40}")
    return float(toxicity)


def _typed(value: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    found = value.get(key)
    if found is None:  # as in Go's JSON, null is as good as absent
        return default
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise bad_body(f"{key} must be of type {kind.__name__}, not {found!r:.40}")
    return found
