"""Every case of the matrix: the clean arena under each experiment, and each planted defect under the one that fits."""

from __future__ import annotations

import ast

from tests.matrix.cases import FOLDER, Case

ARENA_DEFECTS = FOLDER.parents[1] / "experiments" / "arena" / "arena" / "defects.py"
PARTS_ANYWAY = {"replay.*": "plain replays part already, so that no factor can be told apart"}
LOSES = {
    "lost_acks": "what is gone was acknowledged",
    "read_your_writes": "what is gone was the reader's own",
    "monotonic_reads": "what is gone had been read before",
    "rollback.depth": "what is gone was acknowledged before the kill",
    "rollback.lost": "what is gone was acknowledged before the kill",
    "atomic": "the end of a match that one player was told is gone, and the other is told another",
    "rollback.ends": "the end of a match that one player was told is gone, and the other is told another",
    "rollback.settled": "players wait for ends that are gone",
}
OTHER_STATE = {
    **dict.fromkeys(("atomic", "rollback.*"), "the recovered world has other matches than the one that players knew"),
    **PARTS_ANYWAY,
}
NOT_SETTLED = {"atomic": "it is the same end", "rollback.settled": "what has no end, or two, settles late or never"}
STAYS_DOWN = {
    "release.*": "the good version never serves again",
    "recovery.*": "nobody is served again, or not in time",
    "latency.*": "no answer comes, or too few for a percentile",
    "errors": "no answer comes",
    "lost_sessions": "not every session could be resumed",
    "conserved.*": "the fault was never over, so no total was read after it",
    **dict.fromkeys(
        ("lost_acks*", "exactly_once", "read_your_writes", "monotonic_reads"), "not all could be read back"
    ),
    **dict.fromkeys(("atomic", "rollback.*"), "nobody could ask what became of the matches, or not in time"),
}
OLD_READS = {
    "read_your_writes": "an old read lacks what the reader wrote",
    "lost_acks": "the last read of a key can be an old one",
    "rollback.*": "an old read looks like a loss",
}
FACTORS = ("faketime", "locale")
SHORT_RESUME = {"ARENA_RESUME_WITHIN": "1"}

CASES: tuple[Case, ...] = (
    Case("", "crash", needs=FACTORS),
    Case("", "outage", env=SHORT_RESUME),
    Case("", "cut"),
    Case("", "ledger"),
    Case("", "steady"),
    Case("", "release"),
    Case("", "parted"),
    # The same inputs do not lead to the same state.
    Case("wall-clock", "crash", ("replay", "replay.clock"), PARTS_ANYWAY, needs=FACTORS),
    Case("unordered", "crash", ("replay", "replay.hash-seed"), OTHER_STATE, needs=FACTORS),
    Case("unseeded-random", "crash", ("replay",), OTHER_STATE, needs=FACTORS),
    Case("thread-race", "crash", ("replay",), OTHER_STATE, needs=FACTORS),
    Case("locale-format", "crash", ("replay.locale",), needs=FACTORS),
    Case("unlogged-input", "crash", ("replay",), {**LOSES, **OTHER_STATE}, needs=FACTORS),
    # A promise is broken.
    Case("ack-before-log", "crash", ("lost_acks",), LOSES, needs=FACTORS),
    Case("no-flush", "crash", ("lost_acks",), LOSES, needs=FACTORS),
    Case("lost-hole", "crash", ("rollback.order",), LOSES, needs=FACTORS),
    Case("double-apply", "crash", ("exactly_once",), needs=FACTORS),
    Case("gold-leak", "crash", ("conserved.*",), {"rollback.conserved": "it is the same total"}, needs=FACTORS),
    Case("half-rollback", "outage", ("rollback.ends",), NOT_SETTLED, SHORT_RESUME),
    Case("neither", "crash", ("rollback.ends",), NOT_SETTLED, needs=FACTORS),
    Case("both", "outage", ("rollback.ends",), NOT_SETTLED, SHORT_RESUME),
    Case("stale-reads", "crash", ("read_your_writes",), OLD_READS, needs=FACTORS),
    Case("non-monotonic", "crash", ("monotonic_reads",), OLD_READS, needs=FACTORS),
    Case("lost-sessions", "crash", ("lost_sessions",), needs=FACTORS),
    Case("split-brain", "cut", ("lost_acks",), LOSES),
    Case("two-leaders", "parted", ("lost_acks",), LOSES),
    # It does not come back, or not for good.
    Case("slow-recovery", "crash", ("recovery.serviceable",), STAYS_DOWN, needs=FACTORS),
    Case("never-recovers", "crash", ("recovery.serviceable",), STAYS_DOWN, needs=FACTORS),
    Case("falls-again", "crash", ("recovery.relapses",), STAYS_DOWN, needs=FACTORS),
    Case("dead-link", "cut", ("recovery.serviceable",), STAYS_DOWN),
    Case("unreadable-release", "release", ("release.unreadable",), STAYS_DOWN),
    # It harms itself.
    Case("hung-dependency", "ledger", ("latency.*", "errors")),
    Case("retry-storm", "ledger", ("metrics.world.ledger_requests.*",)),
    Case("unbalanced-gateways", "steady", ("metrics.gateway.clients.*",)),
    Case("broadcast", "steady", ("metrics.world.sent_bytes.*",)),
    Case("memory-leak", "steady", ("metrics.world.memory_bytes.*",)),
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
