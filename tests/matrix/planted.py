"""Every case of the matrix: the clean arena under each experiment, and each planted defect under the one that fits."""

from __future__ import annotations

import ast

from tests.matrix.cases import FOLDER, Case

ARENA_DEFECTS = FOLDER.parents[1] / "experiments" / "arena" / "arena" / "defects.py"
PARTS_ANYWAY = "replays part without any perturbation, so that no factor can be told apart"

CASES: tuple[Case, ...] = (
    Case("", "crash"),
    Case("wall-clock", "crash", ("replay", "replay.clock"), {"replay.*": PARTS_ANYWAY}),
    Case(
        "unordered",
        "crash",
        ("replay.hash-seed",),
        {"replay": "every process has a hash seed of its own", "replay.*": PARTS_ANYWAY},
    ),
    Case("unseeded-random", "crash", ("replay",), {"replay.*": PARTS_ANYWAY}),
    Case("ack-before-log", "crash", ("lost_acks",), {"read_your_writes": "what was lost was the reader's own"}),
    Case("double-apply", "crash", ("exactly_once",)),
    Case("gold-leak", "crash", ("conserved",)),
)


def descriptions() -> dict[str, str]:
    """Return what the arena says of each of its defects."""
    tree = ast.parse(ARENA_DEFECTS.read_text())
    names = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    table = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DESCRIPTIONS"
    )
    assert isinstance(table, ast.Dict)
    return {
        names[key.id]: str(ast.literal_eval(text))
        for key, text in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Name)
    }
