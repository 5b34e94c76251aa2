"""An experiment file that has only some of a plan's faults, each where and when the plan has it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaosctl.plan.model import Plan, PlannedFault

# Written without quotes these mean just themselves, in block and in flow style (YAML 1.2, 7.3.3 Plain Style).
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./%-]*(?: [A-Za-z0-9_./%-]+)*|(?:[0-9]+(?:ns|us|ms|s|m|h|%|B|KiB|MiB))+")
_WORDS = frozenset({"true", "false", "null"})
_OWN_KEYS = frozenset({"at", "every", "for", "fault", "on"})


def excerpt(plan: Plan, extends: str, name: str, written: Mapping[str, Mapping[str, Any]], said: Sequence[str]) -> str:
    """Return an experiment that extends the one that the plan was made of, with the plan's faults as its timeline.

    `written` is each item that a fault comes from, as the experiment has it, by its `origin`; `said` are lines for
    people. What chance drew is written down as what was drawn, so that the file needs no seed for it.
    """
    start_ns = plan.phases[-1].start_ns
    items = [_item(fault, written[fault.origin], start_ns) for fault in plan.faults]
    lines = [*(f"# {line}" for line in said), f"extends: {_value(extends)}", f"name: {name}", "chaos: null"]
    return "\n".join([*lines, *(["timeline:", *items] if items else ["timeline: []"]), ""])


def _item(fault: PlannedFault, written: Mapping[str, Any], start_ns: int) -> str:
    pairs: dict[str, Any] = {"at": exact(fault.inject_ns - start_ns)}
    if fault.heal_ns is not None:
        pairs["for"] = exact(fault.heal_ns - fault.inject_ns)
    pairs |= {"fault": fault.kind, "on": fault.on}
    drawn = {"groups": fault.params["groups"]} if fault.params.get("groups") else {}
    # A shape is written down as the groups that it became.
    own = _OWN_KEYS if not drawn else _OWN_KEYS | {"isolate", "shape"}
    pairs |= {key: value for key, value in written.items() if key not in own} | drawn
    return f"  - {_value(pairs)}"


def exact(duration_ns: int) -> str:
    """Return a duration that is read again as the same number of nanoseconds: `1s500ms`."""
    parts, rest = [], duration_ns
    for unit, length_ns in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)):
        whole, rest = divmod(rest, length_ns)
        parts += [f"{whole}{unit}"] if whole else []
    return "".join(parts) or "0s"


def _value(value: Any) -> str:
    """Return a value in YAML's flow style."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_value(key)}: {_value(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Iterable):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
