"""Where something listens, as an experiment writes it: `10.0.0.5:7000`, `game-1.example:7000`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_ADDRESS = re.compile(r"([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?):([0-9]{1,5})")
_PATTERN = r"^[A-Za-z0-9._-]+:[0-9]+$|\$\{"
_HIGHEST_PORT = 65_535


def parse_address(text: Any) -> str:
    """Return the address. Raises ValueError for what is none."""
    match = _ADDRESS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not 0 < int(match[2]) <= _HIGHEST_PORT:
        raise ValueError(f"'{text}' is not an address; write a name or an IPv4 address with a port: \"10.0.0.5:7000\"")
    return f"{match[1]}:{int(match[2])}"


def parse_addresses(value: Any) -> tuple[str, ...]:
    """Return one address, or a list of them. Raises ValueError."""
    if isinstance(value, (list, tuple)) and not value:
        raise ValueError('the list is empty; write one address for each replica, such as ["10.0.0.5:7000"]')
    return tuple(map(parse_address, value)) if isinstance(value, (list, tuple)) else (parse_address(value),)


_ONE = {"type": "string", "pattern": _PATTERN}
Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(parse_addresses),
    WithJsonSchema(
        {
            "anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}],
            "description": "An address such as `10.0.0.5:7000`, or a list of them: one for each replica",
        }
    ),
]
