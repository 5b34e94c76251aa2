"""`extends: ./common.yaml`: mappings merge deeply, lists and values replace, `null` removes what was inherited.

A path means the file that it is written in, wherever that is inherited.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chaosctl.errors import ExperimentError
from chaosctl.experiment.interpolate import interpolate
from chaosctl.experiment.rebase import rebase
from chaosctl.experiment.yaml_source import Entry, MapNode, Node, ScalarNode, parse, read_text

_MAX_PARENTS = 16


def load_tree(path: Path, environ: Mapping[str, str]) -> tuple[MapNode, str]:
    """Return the file's tree with everything that it inherits, and its own text. Raises ExperimentError."""
    text = read_text(path)
    return _inherit(path, text, environ, (path.resolve(),)), text


def merge(parent: MapNode, child: MapNode) -> MapNode:
    """Return `child` over `parent`. Every node keeps the place where it was written."""
    entries = dict(parent.entries)
    for key, entry in child.entries.items():
        inherited = entries.get(key)
        if inherited is not None and _is_null(entry.value):
            del entries[key]
        elif inherited is not None and isinstance(inherited.value, MapNode) and isinstance(entry.value, MapNode):
            entries[key] = Entry(entry.key, merge(inherited.value, entry.value))
        else:
            entries[key] = entry
    return replace(child, entries=entries)


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _inherit(path: Path, text: str, environ: Mapping[str, str], chain: tuple[Path, ...]) -> MapNode:
    root = parse(text, str(path))
    if not isinstance(root, MapNode):
        sentence = "is not a mapping; an experiment is `key: value` lines, such as `name: world-crash`"
        raise ExperimentError((root.mark.problem(sentence),))
    if "extends" not in root.entries:
        return root
    own = replace(root, entries={key: entry for key, entry in root.entries.items() if key != "extends"})
    parent, parent_text = _parent(path, root.entries["extends"].value, environ, chain)
    inherited = _inherit(parent, parent_text, environ, (*chain, parent.resolve()))
    way = Path(os.path.relpath(parent.parent.resolve(), path.parent.resolve())).as_posix()
    return merge(rebase(inherited, way), own)


def _parent(path: Path, node: Node, environ: Mapping[str, str], chain: tuple[Path, ...]) -> tuple[Path, str]:
    filled, problems = interpolate(node, environ)
    if problems:
        raise ExperimentError(problems)
    if not isinstance(filled, ScalarNode) or not isinstance(filled.value, str):
        raise ExperimentError((node.mark.problem("extends takes one file; write `extends: ./common.yaml`"),))
    parent = path.parent / filled.text
    if parent.resolve() in chain:
        names = " -> ".join(file.name for file in (*chain, parent.resolve()))
        raise ExperimentError((node.mark.problem(f"extends goes round in a circle ({names}); remove one of them"),))
    if len(chain) > _MAX_PARENTS:
        raise ExperimentError((node.mark.problem(f"more than {_MAX_PARENTS} files extend each other; use fewer"),))
    try:
        return parent, read_text(parent)
    except ExperimentError as error:
        raise ExperimentError((node.mark.problem(f"extends {parent}: {error.problems[0].text}"),)) from error
