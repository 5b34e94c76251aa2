"""Fewer faults than a plan has: what is left when some are left out, and all that is left as it was. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.places import parse_on
from chaosctl.plan.model import Plan

Unit = tuple[str, ...]


def units(plan: Plan, kinds: FaultKinds) -> tuple[Unit, ...]:
    """Return the ids of the faults that can be left out together, in the order of their times.

    Each is one fault with those that follow it (a deploy with its rollback): these are nothing without it.
    """
    found: list[list[str]] = []
    heads: list[tuple[str, str, list[str]]] = []
    for fault in sorted(plan.faults, key=lambda fault: fault.inject_ns):
        follows = kinds[fault.kind].follows
        before = [unit for kind, on, unit in heads if kind == follows and parse_on(on).overlaps(parse_on(fault.on))]
        if follows is not None and before:
            before[-1].append(fault.id)
            continue
        found.append([fault.id])
        heads.append((fault.kind, fault.on, found[-1]))
    return tuple(tuple(unit) for unit in found)


def only(plan: Plan, ids: Collection[str]) -> Plan:
    """Return the plan with these faults alone, each at its time and place; load, bots and seeds stay as they are."""
    faults = tuple(fault for fault in plan.faults if fault.id in ids)
    steps = tuple(step for step in plan.steps if step.fault is None or step.fault in ids)
    return replace(plan, faults=faults, steps=steps)
