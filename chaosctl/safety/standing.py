"""Which version of its program a replica runs: what a driver says of it, and what faults and proofs look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """How a replica stands. A `version` of None is the one that the target declares.

    `outdated`: its last start was by another command than the one that is wanted now. `argv` is what it was started
    with, `added` the variables that this version has more in its environment, `image` what it runs from where that is
    not what the target declares. `ready`: the process that runs now was seen to be ready.
    """

    wanted: str | None
    version: str | None
    outdated: bool
    argv: tuple[str, ...]
    added: Mapping[str, str]
    ready: bool
    image: str = ""
