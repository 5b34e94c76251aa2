"""`${...}` in an experiment: upper-case names from the environment at load, lower-case ones at run time.

${NAME}  ${NAME:-default}  ${NAME:?message}     the environment, as Compose has it; unset and no default: an error
${self.main}  ${link.world-ledger}  ${state}    known only when the deployment is up; kept as they are
$$                                              a literal $
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chaosctl.errors import ChaosctlError, Problem
from chaosctl.experiment.complaints import Path, mend
from chaosctl.experiment.yaml_source import Entry, ListNode, MapNode, Node, ScalarNode

_TOKEN = re.compile(r"\$\$|\$\{([^{}]*)\}?")
_ENVIRONMENT = re.compile(r"([A-Z_][A-Z0-9_]*)(?:(:-|:\?)(.*))?", re.DOTALL)
_RUN_TIME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*")

# Keys below target.services.NAME whose texts are completed when the deployment is up.
_FILLED_IN = (
    ("run",),
    ("env",),
    ("ready", "command"),
    ("offers", "status", "command"),
    ("offers", "totals", "command"),
    ("offers", "digest", "command"),
    ("offers", "backup"),
    ("offers", "restore"),
    ("offers", "input_log"),
    ("offers", "digests"),
    ("offers", "replay", "run"),
    ("offers", "replay", "states"),
    ("offers", "replay", "snapshot", "write"),
    ("offers", "replay", "snapshot", "from"),
    ("offers", "replay", "keep"),
    ("offers", "replay", "inputs", "decode"),
    ("offers", "replay", "inputs", "encode"),
)


# Commands that a fault plays: they are written down in the run's bundle, so that anybody can undo it.
_WRITTEN_DOWN = ("inject", "heal", "prove")
# Keys of a fault of which the same is true: another version's command (see FaultKind.filled_in).
_FILLED_IN_ITEM = ("run", "env", *_WRITTEN_DOWN)


def is_filled_in(path: Path) -> bool:
    """Return whether the text at `path` is completed at run time."""
    if (key := _key_of_fault(path)) is not None:
        return key in _FILLED_IN_ITEM
    below = path[3:] if path[:2] == ("target", "services") else ()
    return any(below[: len(keys)] == keys for keys in _FILLED_IN)


def _key_of_fault(path: Path) -> str | None:
    """Return the key that `path` leads to or below, of an item of `timeline` or `chaos.faults`."""
    below = path[2:] if path[:1] == ("timeline",) else path[3:] if path[:2] == ("chaos", "faults") else ()
    return str(below[0]) if below else None


def interpolate(root: Node, environ: Mapping[str, str]) -> tuple[Node, tuple[Problem, ...]]:
    """Return the tree with every environment variable filled in, and what could not be."""
    problems: list[Problem] = []
    return _visit(root, (), environ, problems), tuple(problems)


def placeholders(text: str) -> Iterator[str]:
    """Yield the run-time names in `text`: `self.main` for `${self.main}`."""
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            yield match[1]


def expand(words: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Return `words` with `${name}` replaced by `values["name"]` and `$$` by `$`.

    Raises ChaosctlError for a name that has no value here.
    """

    def value_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if match[1] not in values:
            known = mend(match[1], values, "nothing is filled in here")
            raise ChaosctlError(f"'{match[0]}' has no value here; {known}")
        return values[match[1]]

    return tuple(_TOKEN.sub(value_of, word) for word in words)


def _visit(node: Node, path: Path, environ: Mapping[str, str], problems: list[Problem]) -> Node:
    if isinstance(node, MapNode):
        entries = {
            key: Entry(entry.key, _visit(entry.value, (*path, key), environ, problems))
            for key, entry in node.entries.items()
        }
        return replace(node, entries=entries)
    if isinstance(node, ListNode):
        items = (_visit(item, (*path, index), environ, problems) for index, item in enumerate(node.items))
        return replace(node, items=tuple(items))
    if "$" not in node.text:
        return node
    if _key_of_fault(path) in _WRITTEN_DOWN and (names := _from_environment(node.text)):
        text = f"'{names[0]}' would be written down in the run, where secrets must not be"
        problems.append(node.mark.problem(f"{text}; have a shell read it: [sh, -c, 'COMMAND \"$NAME\"']"))
        return node
    return _fill_in(node, is_filled_in(path), environ, problems)


def _from_environment(text: str) -> list[str]:
    matches = _TOKEN.finditer(text)
    return [match[0] for match in matches if match[1] is not None and _ENVIRONMENT.fullmatch(match[1])]


def _fill_in(node: ScalarNode, later: bool, environ: Mapping[str, str], problems: list[Problem]) -> ScalarNode:
    """Fill in one scalar. In texts that are completed later, `$` stays doubled until then."""

    def value_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$$" if later else "$"
        try:
            value = _value(match[0], match[1], later, environ)
        except ValueError as error:
            problems.append(node.mark.problem(str(error)))
            return match[0]
        return match[0] if value is None else value.replace("$", "$$") if later else value

    return replace(node, text=_TOKEN.sub(value_of, node.text))


def _value(token: str, inside: str, later: bool, environ: Mapping[str, str]) -> str | None:
    """Return the value of one `${inside}`; None: it is filled in at run time. Raises ValueError."""
    if not token.endswith("}"):
        raise ValueError(f"'{token}' is not closed; write '}}' after the name, or $$ for a literal $")
    if match := _ENVIRONMENT.fullmatch(inside):
        name, operator, rest = match.groups()
        # As in Compose, with `:` an empty variable counts as unset.
        if (operator is None and name in environ) or environ.get(name):
            return environ[name]
        if operator == ":-":
            return str(rest)
        if operator == ":?":
            raise ValueError(f"{name} is not set in the environment: {rest or 'it is required'}; set {name}")
        raise ValueError(f"{name} is not set in the environment; set it, or write ${{{name}:-default}}")
    if _RUN_TIME.fullmatch(inside):
        if later:
            return None
        raise ValueError(f"'{token}' is filled in only in commands and env; write a value here, or $$ for a literal $")
    raise ValueError(f"'{token}' is neither ${{NAME}}, ${{NAME:-default}} nor ${{NAME:?message}}; write one of them")
