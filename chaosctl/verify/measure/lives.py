"""The lives of a service's replicas, from the events of a run: which version ran when, was ready when, ended how."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chaosctl.recording.facts import Window

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

FOREVER_NS = 1 << 62


@dataclass(frozen=True)
class Life:
    """One process of a replica. `version` None is the target's own. Times are run ns, None for what never happened.

    `by_itself`: nobody had asked it to end. `said` are its last words, where it ended before it was ready. `line` is
    that of its end in events.jsonl.
    """

    replica: int
    version: str | None
    started_ns: int
    ready_ns: int | None = None
    ended_ns: int | None = None
    by_itself: bool = False
    how: str = ""
    said: tuple[str, ...] = ()
    line: int = 0

    @property
    def served(self) -> Window | None:
        """From when to when it was ready; None if it never was."""
        return None if self.ready_ns is None else (self.ready_ns, self.end_ns)

    @property
    def end_ns(self) -> int:
        """When it ended, or a time after everything."""
        return FOREVER_NS if self.ended_ns is None else self.ended_ns


def lives_of(recording: Recording, service: str, replicas: Collection[int] | None) -> tuple[Life, ...]:
    """Return every life of a service's replicas (or of these), in the order of their starts."""
    ended: list[Life] = []
    running: dict[int, Life] = {}
    for event in recording.events_named("service_started", "service_ready", "service_exited"):
        fields, index = event.fields, int(event.fields.get("replica", 0))
        if fields.get("service") != service or (replicas is not None and index not in replicas):
            continue
        if event.event == "service_started":
            if index in running:
                ended.append(running[index])
            running[index] = Life(index, fields.get("version"), event.at_ns)
        elif index in running and event.event == "service_ready":
            running[index] = replace(running[index], ready_ns=event.at_ns)
        elif index in running:
            ended.append(
                replace(
                    running.pop(index),
                    ended_ns=event.at_ns,
                    by_itself=not fields.get("expected", True),
                    how=str(fields.get("signal") or f"code {fields.get('code')}"),
                    said=tuple(map(str, fields.get("said") or ())),
                    line=event.line,
                )
            )
    return tuple(sorted([*ended, *running.values()], key=lambda life: life.started_ns))


def union(windows: Iterable[Window]) -> list[Window]:
    """Return the same time as disjoint stretches in order."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif start < end:
            merged.append((start, end))
    return merged


def common(some: list[Window], others: list[Window]) -> list[Window]:
    """Return the stretches that are in both; each is disjoint and in order."""
    both = [(max(a, c), min(b, d)) for a, b in some for c, d in others]
    return [(start, end) for start, end in both if start < end]


def without(some: list[Window], others: list[Window]) -> list[Window]:
    """Return the stretches of the first that are not in the second."""
    left = some
    for start, end in others:
        cut = [piece for a, b in left for piece in ((a, min(b, start)), (max(a, end), b))]
        left = [(a, b) for a, b in cut if a < b]
    return left


def length_ns(windows: list[Window]) -> int:
    """Return how long disjoint stretches are together."""
    return sum(end - start for start, end in windows)
