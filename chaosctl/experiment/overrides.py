"""`--set path=value`: values of the experiment, set from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaosctl.errors import ExperimentError, Problem
from chaosctl.experiment.complaints import Path, dotted, mend
from chaosctl.experiment.yaml_source import Entry, ListNode, MapNode, Mark, Node, ScalarNode, parse

FILE = "--set"
_PATH = re.compile(r"[^.\[\]=]+(\[[0-9]{1,4}\])*(\.[^.\[\]=]+(\[[0-9]{1,4}\])*)*")
_PART = re.compile(r"\[([0-9]+)\]|[^.\[\]]+")

# Below these, the names are the experiment's own: a new one on the way to a value is a slip, not a wish.
_NAMED_BY_THE_FILE = {("target", "services"), ("target", "links"), ("swarm", "cohorts")}


@dataclass(frozen=True)
class _Override:
    path: Path
    value: Node
    mark: Mark


def apply_overrides(root: MapNode, overrides: Sequence[str]) -> tuple[MapNode, tuple[Problem, ...]]:
    """Return the tree with each `path=value` set, and what could not be.

    The line of a problem is the number of the override.
    """
    problems: list[Problem] = []
    for number, text in enumerate(overrides, 1):
        mark = Mark(FILE, number, 1)
        try:
            changed = _set(root, 0, _parse(text, mark))
        except ValueError as error:
            problems.append(mark.problem(str(error)))
        else:
            assert isinstance(changed, MapNode)
            root = changed
    return root, tuple(problems)


def _parse(text: str, mark: Mark) -> _Override:
    path, equals, value = text.partition("=")
    if not equals or not _PATH.fullmatch(path.strip()):
        raise ValueError(f"'{text}' is not path=value; write it as swarm.users=500 or timeline[0].for=2s")
    parts = tuple(int(match[1]) if match[1] else match[0] for match in _PART.finditer(path.strip()))
    return _Override(parts, _value(value.strip(), mark), mark)


def _value(text: str, mark: Mark) -> Node:
    """Return the value: a YAML scalar, or a list, a mapping or a quoted text where it begins like one."""
    if text[:1] not in ("[", "{", '"', "'"):
        return ScalarNode(mark, text, plain=True)
    try:
        return _at(parse(text, FILE), mark)
    except ExperimentError as error:
        raise ValueError(f"the value {text}: {error.problems[0].text}") from error


def _at(node: Node, mark: Mark) -> Node:
    """Return the node with `mark` everywhere: the command line has no lines."""
    if isinstance(node, MapNode):
        return MapNode(mark, {key: Entry(mark, _at(entry.value, mark)) for key, entry in node.entries.items()})
    if isinstance(node, ListNode):
        return ListNode(mark, tuple(_at(item, mark) for item in node.items))
    return replace(node, mark=mark)


def _set(node: Node, depth: int, override: _Override) -> Node:
    """Return `node` with the rest of the path, from `depth` on, set. Raises ValueError."""
    if depth == len(override.path):
        return override.value
    part, here = override.path[depth], dotted(override.path[:depth])
    if isinstance(part, int):
        return _set_item(node, part, here, depth, override)
    if not isinstance(node, MapNode):
        kind = "a list; write its place, as in [0]" if isinstance(node, ListNode) else "one value; set it as a whole"
        raise ValueError(f"there is no '{dotted(override.path)}': '{here}' is {kind}")
    last = depth == len(override.path) - 1
    if last and isinstance(override.value, ScalarNode) and override.value.value is None:
        if part not in node.entries:
            raise ValueError(f"there is no '{dotted(override.path)}' to remove; {_mend(part, node)}")
        return replace(node, entries={key: entry for key, entry in node.entries.items() if key != part})
    if part not in node.entries and not last and override.path[:depth] in _NAMED_BY_THE_FILE:
        raise ValueError(f"there is no '{dotted(override.path[: depth + 1])}'; {_mend(part, node)}")
    entry = node.entries.get(part, Entry(override.mark, MapNode(override.mark, {})))
    changed = Entry(override.mark if last else entry.key, _set(entry.value, depth + 1, override))
    return replace(node, entries={**node.entries, part: changed})


def _set_item(node: Node, index: int, here: str, depth: int, override: _Override) -> ListNode:
    if not isinstance(node, ListNode):
        raise ValueError(f"there is no '{dotted(override.path)}': '{here}' is not a list; name one of its keys")
    if index >= len(node.items):
        there = f"its last item is [{len(node.items) - 1}]" if node.items else "it is empty"
        raise ValueError(f"there is no '{here}[{index}]'; {there}")
    items = list(node.items)
    items[index] = _set(items[index], depth + 1, override)
    return replace(node, items=tuple(items))


def _mend(part: str, node: MapNode) -> str:
    return mend(part, node.entries, "nothing stands there")
