"""What the faults on links share: toxics of our own on every proxy of a place, and what takes them off again.

Units and effects of each toxic as in Toxiproxy 2.12, toxics/*.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field

from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.faults.contract import Applied, NowNs, Place, Stream
from chaosctl.safety.undo import HttpUndo

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
LONGEST_NS = 3_600_000_000_000

Direction = Literal["down", "up", "both"]
"""`down` is what the server sends, `up` is what the client sends."""

STREAMS: Mapping[str, tuple[Stream, ...]] = {
    "down": ("downstream",),
    "up": ("upstream",),
    "both": ("upstream", "downstream"),
}


def _whole(unit_ns: int, unit: str) -> AfterValidator:
    def check(value_ns: int) -> int:
        if value_ns % unit_ns:
            mend = format_duration((value_ns // unit_ns + 1) * unit_ns)
            raise ValueError(f"{format_duration(value_ns)} is not a whole number of {unit}; write {mend}")
        return value_ns

    return AfterValidator(check)


# A toxic takes no finer ones.
WholeMs = Annotated[DurationNs, _whole(NS_PER_MS, "milliseconds"), Field(le=LONGEST_NS)]
WholeUs = Annotated[DurationNs, _whole(NS_PER_US, "microseconds"), Field(le=LONGEST_NS)]


def toxic_name(fault_id: str, stream: str) -> str:
    """Return the name of a fault's toxic on `stream`: unique on a proxy, and known before it is made."""
    return f"chaosctl-{fault_id}-{stream}"


def undo_toxics(fault_id: str, place: Place, streams: tuple[Stream, ...]) -> tuple[HttpUndo, ...]:
    """Return what takes a fault's toxics off every proxy of the place."""
    return tuple(
        HttpUndo("DELETE", f"{proxy.api_url}/toxics/{quote(toxic_name(fault_id, stream), safe='')}")
        for proxy in place.proxies
        for stream in streams
    )


def add_toxics(
    fault_id: str, place: Place, streams: tuple[Stream, ...], type: str, attributes: Mapping[str, int], now_ns: NowNs
) -> Applied:
    """Put a toxic on each stream of every proxy of the place. Raises RelayError."""
    called_ns = now_ns()
    for proxy in place.proxies:
        for stream in streams:
            proxy.add_toxic(toxic_name(fault_id, stream), type, stream, attributes)
    return Applied(called_ns, now_ns(), tuple(proxy.name for proxy in place.proxies))
