"""Where faults act, and which links the bots and the probe use: what `on:` and `through:` mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor

from chaosctl.experiment.model import Link
from chaosctl.experiment.units import parse_share

ALL = "all"
_NAME = r"[^/\[\]\s]+"
_ON = re.compile(rf"({_NAME})(?:/({_NAME})|\[([0-9]{{1,4}}(?:\s*,\s*[0-9]{{1,4}})*)\])?")
_ROLE = re.compile(rf"(every\s+)?([A-Za-z][A-Za-z0-9_-]{{0,62}})\s+of\s+({_NAME})")
_CHANCE = re.compile(rf"(?:any\s+([0-9]{{1,4}})|([0-9.]+\s*%))\s+of\s+({_NAME})")
_RESERVED = ("any", "every", "all")


@dataclass(frozen=True)
class On:
    """What an `on:` names: a link or service, and perhaps one cohort of the link, or some replicas of the service.

    Those are either named (`replicas`), or have a `role` when the fault is due (one replica, or `every` one that has
    it), or are drawn when the plan is made: so many (`count`), or a `share`.
    """

    name: str
    cohort: str | None = None
    replicas: tuple[int, ...] | None = None
    role: str | None = None
    every: bool = False
    count: int | None = None
    share: float | None = None

    @property
    def by_chance(self) -> bool:
        """Return whether chance picks the replicas."""
        return self.count is not None or self.share is not None

    def overlaps(self, other: On) -> bool:
        """Return whether something is, or may turn out to be, part of both: `x` and `x/far` overlap, `x/near` and
        `x/far` do not; `any 1 of x` overlaps everything on `x`."""
        return (
            self.name == other.name
            and (self.cohort is None or other.cohort is None or self.cohort == other.cohort)
            and (self.replicas is None or other.replicas is None or not {*self.replicas}.isdisjoint(other.replicas))
        )

    def at_most(self, replicas: int) -> int:
        """Return on how many of a service's `replicas` it acts at most.

        A share is rounded down, so that it is never exceeded, but one replica it is at least.
        """
        if self.replicas is not None:
            return len(self.replicas)
        if self.count is not None:
            return self.count
        if self.share is not None:
            return max(1, floor(self.share * replicas + 1e-9))
        return 1 if self.role is not None and not self.every else replicas


def parse_on(text: str) -> On:
    """Return what `text` names. Raises ValueError.

    `link`, `link/cohort`, `service`, `service[0]`, `service[0,2]`, `leader of service`, `every leader of service`,
    `any 2 of service`, `30% of service`.
    """
    text = text.strip()
    if match := _CHANCE.fullmatch(text):
        share = parse_share(match[2]) if match[2] else None
        if share == 0 or (match[1] and int(match[1]) == 0):
            raise ValueError(f"'{text}' is nobody; write at least 'any 1 of {match[3]}'")
        return On(match[3], count=int(match[1]) if match[1] else None, share=share)
    if (match := _ROLE.fullmatch(text)) and match[2] not in _RESERVED:
        return On(match[3], role=match[2], every=bool(match[1]))
    if match := _ON.fullmatch(text):
        indexes = sorted({int(index) for index in match[3].split(",")}) if match[3] else None
        return On(match[1], match[2], None if indexes is None else tuple(indexes))
    raise ValueError(
        f"'{text}' names no place; write a link, link/cohort, a service, service[0], 'leader of service' "
        "or 'any 2 of service'"
    )


def replicas_text(service: str, replicas: Iterable[int]) -> str:
    """Return `service[0,2]`, which `parse_on` reads."""
    return f"{service}[{','.join(map(str, sorted(replicas)))}]"


def bots_link(links: Mapping[str, Link], through: str | None) -> str:
    """Return the link that the bots use: the named one, else the only one that starts at the bots.

    Raises ValueError where that is none or more than one; a loaded experiment has exactly one.
    """
    starting = [name for name, link in links.items() if link.from_service is None]
    named = starting if through is None else [name for name in starting if name == through]
    if len(named) != 1:
        raise ValueError(f"the bots' link is not clear: {', '.join(starting) or 'none starts at the bots'}")
    return named[0]
