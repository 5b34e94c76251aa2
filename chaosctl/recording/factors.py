"""What a replay may depend on beside its input log: the factors that are perturbed, one at a time."""

from __future__ import annotations

from enum import StrEnum


class Factor(StrEnum):
    """One thing that differs between machines, users or days, and that a deterministic replay must not notice."""

    HASH_SEED = "hash-seed"
    TIMEZONE = "timezone"
    LOCALE = "locale"
    ENVIRONMENT = "environment"
    WORKING_FOLDER = "working-folder"
    CPU = "cpu"
    ADDRESSES = "addresses"
    CLOCK = "clock"
    MALLOC_FILL = "malloc-fill"
    PACE = "pace"
    STDIN_CHUNKS = "stdin-chunks"
    OPEN_FILES = "open-files"
    SNAPSHOT = "snapshot"
    RESTART = "restart"


def perturbed_run(factor: str, which: int | str) -> str:
    """Return the name of a perturbed replay: its digests are in `digests/<name>.jsonl`."""
    return f"perturb-{factor}-{which}"


def factor_of(run: str) -> Factor | None:
    """Return the factor of a run named by `perturbed_run`; None for the live run and for plain replays."""
    return next((factor for factor in Factor if run.startswith(f"perturb-{factor}-")), None)


# The second replay with a factor pinned to the same value.
AGAIN = "again"
# All replays with a factor pinned to one value, where plain ones part: fewer might be equal by chance.
HELD = ("1", AGAIN, f"{AGAIN}-2", f"{AGAIN}-3")
# What stands before a perturbed run's name in that of the plain replay whose states are compared with its own.
PLAIN_FOR = "plain-for-"
