"""Where faults act, and which links the bots and the probe use: what `on:` and `through:` mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chaosctl.experiment.model import Link

ALL = "all"
_ON = re.compile(r"([^/\[\]]+)(?:/([^/\[\]]+)|\[([0-9]{1,4})\])?")


@dataclass(frozen=True)
class On:
    """What an `on:` names: a link or service, and perhaps one cohort of the link or one replica of the service."""

    name: str
    cohort: str | None = None
    replica: int | None = None

    def overlaps(self, other: On) -> bool:
        """Return whether something is part of both: `x` and `x/far` overlap, `x/near` and `x/far` do not."""
        return (
            self.name == other.name
            and (self.cohort is None or other.cohort is None or self.cohort == other.cohort)
            and (self.replica is None or other.replica is None or self.replica == other.replica)
        )


def parse_on(text: str) -> On:
    """Return what `text` names: `link`, `link/cohort`, `service`, `service[0]`. Raises ValueError."""
    match = _ON.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' names no place; write a link, link/cohort, a service or service[0]")
    return On(match[1], match[2], int(match[3]) if match[3] else None)


def bots_link(links: Mapping[str, Link], through: str | None) -> str:
    """Return the link that the bots use: the named one, else the only one that starts at the bots.

    Raises ValueError where that is none or more than one; a loaded experiment has exactly one.
    """
    starting = [name for name, link in links.items() if link.from_service is None]
    named = starting if through is None else [name for name in starting if name == through]
    if len(named) != 1:
        raise ValueError(f"the bots' link is not clear: {', '.join(starting) or 'none starts at the bots'}")
    return named[0]
