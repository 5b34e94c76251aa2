"""YAML text -> a tree of plain nodes that know their file, line and column.

Built from the parser's events and not by its composer: nesting, aliases and size are bounded while they are read, so
that a hostile file costs nothing. Scalars follow the core schema of YAML 1.2 (chapter 10.3): `on` and `yes` are words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from chaosctl.errors import ExperimentError, Problem
from chaosctl.experiment.complaints import Path as TreePath

MAX_BYTES = 1024 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 32
MAX_TEXT = 400

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep; an experiment needs at most 8 levels"
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Mark:
    """Where something stands; line and column from 1."""

    file: str
    line: int
    column: int

    def problem(self, text: str) -> Problem:
        """Return the problem `text` at this place, on one line and of bearable length, whatever it quotes."""
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        if len(shown) > MAX_TEXT:
            shown = f"{shown[: MAX_TEXT // 2]} ... {shown[-MAX_TEXT // 2 :]}"
        return Problem(self.file, self.line, self.column, shown)


@dataclass(frozen=True)
class ScalarNode:
    """One value. `plain`: it stood without quotes, so its text decides its type."""

    mark: Mark
    text: str
    plain: bool

    @property
    def value(self) -> str | int | float | bool | None:
        """Return the value with its type."""
        return resolve_scalar(self.text) if self.plain else self.text


@dataclass(frozen=True)
class ListNode:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Entry:
    """One key of a mapping: where the key stands, and its value."""

    key: Mark
    value: Node


@dataclass(frozen=True)
class MapNode:
    """A mapping, in the order of the file."""

    mark: Mark
    entries: Mapping[str, Entry]


Node = ScalarNode | ListNode | MapNode


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar by the YAML 1.2 core schema (without octal, hexadecimal, inf and nan)."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and len(text) < 40 else text


def to_plain(node: Node) -> Any:
    """Return the node as dicts, lists and scalars."""
    if isinstance(node, MapNode):
        return {key: to_plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, ListNode):
        return [to_plain(item) for item in node.items]
    return node.value


def locate(root: Node, path: TreePath, at_key: bool = False) -> Mark:
    """Return where `path` stands, as far as it exists.

    The place of a mapping, and of a value that is left empty, is the key: what follows it begins a line later.
    """
    node, mark = root, root.mark
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, MapNode) and isinstance(part, str) and part in node.entries:
            entry = node.entries[part]
            node = entry.value
            empty = isinstance(node, ScalarNode) and node.plain and not node.text
            mark = entry.key if isinstance(node, MapNode) or empty or (last and at_key) else node.mark
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            mark = node.mark
        else:
            break
    return mark


def marks_below(root: Node, path: TreePath) -> Iterator[Mark]:
    """Yield where each value below `path` stands, that of `path` included; nothing where there is no such path."""
    waiting = [root]
    for part in path:
        node = waiting.pop()
        if isinstance(node, MapNode) and isinstance(part, str) and part in node.entries:
            waiting.append(node.entries[part].value)
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            waiting.append(node.items[part])
        else:
            return
    while waiting:
        node = waiting.pop()
        yield node.mark
        if isinstance(node, MapNode):
            waiting += (entry.value for entry in node.entries.values())
        elif isinstance(node, ListNode):
            waiting += node.items


def read_text(path: Path) -> str:
    """Return the file's text. Raises ExperimentError for what is not a readable UTF-8 file of at most 1 MiB."""
    place = Mark(str(path), 1, 1)
    try:
        if not path.is_file():
            raise ExperimentError((place.problem(_not_a_file(path)),))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        text = f"cannot be read ({error.strerror}); make it readable, or name another file"
        raise ExperimentError((place.problem(text),)) from error
    if len(data) > MAX_BYTES:
        raise ExperimentError((place.problem("is larger than 1 MiB; an experiment is a page of YAML"),))
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8")
        mark = Mark(str(path), good.count("\n") + 1, error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1)
        text = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file in UTF-8"
        raise ExperimentError((mark.problem(text),)) from error


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        inside = sorted(path.glob("*.yaml"))
        such_as = f", such as {inside[0]}" if inside else ""
        return f"is a folder; name an experiment file{such_as}"
    if path.exists():
        return "is not an ordinary file; name a YAML file"
    beside = sorted(other.stem for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    near = get_close_matches(path.stem, beside, n=1)
    return f"there is no such file; {f'did you mean {path.parent / near[0]}.yaml?' if near else 'check the path'}"


def parse(text: str, file: str) -> Node:
    """Return the tree of the one document in `text`. Raises ExperimentError with every problem found."""
    builder = _Builder(file, YAML(typ="safe", pure=True).parse(text))
    try:
        root = builder.document()
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)
        raise ExperimentError((mark.problem(_syntax_text(error)),)) from error
    except ReaderError as error:
        before = text[: error.position]
        mark = Mark(file, before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        sentence = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML; remove it"
        raise ExperimentError((mark.problem(sentence),)) from error
    except (YAMLError, ValueError) as error:
        sentence = f"is not YAML ({str(error).splitlines()[0]}); check the syntax"
        raise ExperimentError((Mark(file, 1, 1).problem(sentence),)) from error
    if builder.problems:
        raise ExperimentError(tuple(builder.problems))
    return root


def _syntax_text(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "\\t" in problem:
        return "a tab cannot stand here; indent with spaces"
    if "mapping values are not allowed" in problem:
        return "a second ': ' on this line; indent the key correctly, or put the value in quotes"
    if "found character" in problem:
        return f"{problem.removeprefix('found ')}; put the value in quotes"
    if "end of stream" in problem and "quoted" in str(error.context):
        return f"the quote opened in line {error.context_mark.line + 1} is never closed; close it"
    if "but got '{'" in problem:
        return "a '{' cannot stand here; inside [ ] and { }, put a text with ${...} in quotes"
    context = f" {error.context}" if error.context else ""
    return f"YAML syntax:{context} {problem}; check brackets, quotes and indentation"


@dataclass
class _Builder:
    """Builds one document's tree from the parser's events."""

    file: str
    events: Iterator[Any]
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    nodes: int = 0

    def document(self) -> Node:
        """Return the root node."""
        next(self.events)
        if type(next(self.events)).__name__ != "DocumentStartEvent":
            raise self._stop(Mark(self.file, 1, 1), "is empty; start with `name:` and `target:` (see `chaosctl init`)")
        root = self._node(next(self.events), depth=0)
        next(self.events)
        after = next(self.events)
        if type(after).__name__ == "DocumentStartEvent":
            raise self._stop(self._mark(after), "a second document begins here; keep one experiment in a file")
        return root

    def _mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, mark: Mark, text: str) -> ExperimentError:
        return ExperimentError((*self.problems, mark.problem(text)))

    def _count(self, mark: Mark, more: int) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            raise self._stop(mark, f"more than {MAX_NODES} values after aliases are expanded; write fewer")

    def _node(self, event: Any, depth: int) -> Node:
        mark, kind = self._mark(event), type(event).__name__
        if depth > MAX_DEPTH:
            raise self._stop(mark, _TOO_DEEP)
        if kind == "AliasEvent":
            return self._alias(event, mark, depth)
        self._count(mark, 1)
        if event.tag is not None and str(event.tag) not in ("!", "tag:yaml.org,2002:str"):
            self.problems.append(mark.problem(f"the tag {event.tag} is not allowed; write the plain value"))
        if event.anchor:
            self.anchors[event.anchor] = None  # still open: an alias to it would contain itself
        node: Node
        if kind == "ScalarEvent":
            node = ScalarNode(mark, event.value, event.style is None and event.tag is None)
        elif kind == "SequenceStartEvent":
            node = ListNode(mark, self._items(depth))
        else:
            node = MapNode(mark, self._entries(depth))
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, mark: Mark, depth: int) -> Node:
        if event.anchor not in self.anchors:
            raise self._stop(mark, f"*{event.anchor} names no anchor; write &{event.anchor} before the first use")
        node = self.anchors[event.anchor]
        if node is None:
            raise self._stop(mark, f"*{event.anchor} contains itself; write the value out")
        size, height = _extent(node)
        self._count(mark, size)
        if depth + height > MAX_DEPTH:
            raise self._stop(mark, _TOO_DEEP)
        return node

    def _items(self, depth: int) -> tuple[Node, ...]:
        items = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, depth + 1))
        return tuple(items)

    def _entries(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            key, value = self._node(event, depth + 1), self._node(next(self.events), depth + 1)
            if not isinstance(key, ScalarNode):
                self.problems.append(key.mark.problem("a key must be a word; write `key: value`"))
            elif key.text == "<<" and key.plain:
                merged |= self._merged(value)
            elif key.text in entries:
                first = entries[key.text].key.line
                text = f"the key '{key.text}' stands here again (first in line {first}); keep one of them"
                self.problems.append(key.mark.problem(text))
            else:
                entries[key.text] = Entry(key.mark, value)
        return entries | {key: entry for key, entry in merged.items() if key not in entries}

    def _merged(self, value: Node) -> Mapping[str, Entry]:
        if isinstance(value, MapNode):
            return value.entries
        self.problems.append(value.mark.problem("`<<` takes a mapping; write `<<: *anchor`"))
        return {}


def _extent(node: Node) -> tuple[int, int]:
    """Return how many nodes there are with and below `node`, and how many levels. Bounded: both were checked before."""
    if isinstance(node, ScalarNode):
        return 1, 1
    below = [entry.value for entry in node.entries.values()] if isinstance(node, MapNode) else node.items
    extents = [_extent(child) for child in below]
    return 1 + sum(size for size, _ in extents), 1 + max((height for _, height in extents), default=0)
