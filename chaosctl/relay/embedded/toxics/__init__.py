"""The seven toxics, one file each, and what their attributes may be."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.bandwidth import Bandwidth
from chaosctl.relay.embedded.toxics.latency import Latency
from chaosctl.relay.embedded.toxics.limit_data import LimitData
from chaosctl.relay.embedded.toxics.reset_peer import ResetPeer
from chaosctl.relay.embedded.toxics.slicer import Slicer
from chaosctl.relay.embedded.toxics.slow_close import SlowClose
from chaosctl.relay.embedded.toxics.stage import Stage
from chaosctl.relay.embedded.toxics.timeout import Timeout

# type -> what does it, its attributes in Toxiproxy's order; each is 0 when it is not given.
TOXICS: dict[str, tuple[type[Stage], tuple[str, ...]]] = {
    "latency": (Latency, ("latency", "jitter")),
    "bandwidth": (Bandwidth, ("rate",)),
    "slow_close": (SlowClose, ("delay",)),
    "timeout": (Timeout, ("timeout",)),
    "reset_peer": (ResetPeer, ("timeout",)),
    "slicer": (Slicer, ("average_size", "size_variation", "delay")),
    "limit_data": (LimitData, ("bytes",)),
}

_LARGEST = 2**53  # what every JSON reader can hold; as milliseconds, 285 000 years


def fault_in(type_name: str, attributes: dict[str, int]) -> str | None:
    """Return what is wrong with the values of a toxic's attributes, in a sentence, or None."""
    for name, value in attributes.items():
        if not 0 <= value <= _LARGEST:
            return f"{name} must be from 0 to {_LARGEST}, not {value}"
    if type_name == "slicer":
        if attributes["average_size"] == 0:
            return "average_size must be at least 1"
        if attributes["size_variation"] >= attributes["average_size"]:
            return "size_variation must be less than average_size"
    return None
