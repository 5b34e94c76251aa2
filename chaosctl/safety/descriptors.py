"""The file descriptors of a process on this machine: which it has open, how many it may have, and changing that from
outside (prlimit(2)). Standard library only: the keeper heals with it.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

from chaosctl.errors import NotReadyError
from chaosctl.safety.processes import PROC, Process, shown


@dataclass(frozen=True)
class Descriptors:
    """The numbers that are open, and the soft limit: the number that no new one reaches (getrlimit(2))."""

    numbers: frozenset[int]
    limit: int

    @property
    def free(self) -> int:
        """How many more can be opened."""
        return self.limit - sum(number < self.limit for number in self.numbers)

    def limit_leaving(self, free: int) -> int:
        """Return the limit under which so many more can be opened. A new one gets the lowest number that is not used,
        so gaps between those that are open count as free; how many are open says nothing."""
        limit = 0
        while limit in self.numbers or free > 0:
            free -= limit not in self.numbers
            limit += 1
        return limit


def descriptors_of(process: Process) -> Descriptors:
    """Look at a process. Raises NotReadyError when it has ended, or belongs to another user."""
    try:
        numbers = frozenset(int(one.name) for one in (PROC / str(process.pid) / "fd").iterdir())
        return Descriptors(numbers, resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0])
    except OSError as error:
        raise _not_ready(process, error) from error


def limit_descriptors(process: Process, limit: int) -> None:
    """Set its soft limit, at most to the hard one. Raises NotReadyError as `descriptors_of` does."""
    try:
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit if hard < 0 else min(limit, hard), hard))
    except (OSError, ValueError) as error:
        raise _not_ready(process, error) from error


def _not_ready(process: Process, error: OSError | ValueError) -> NotReadyError:
    if isinstance(error, PermissionError):
        return NotReadyError(f"{shown(process)} belongs to another user; run chaosctl as root")
    return NotReadyError(f"{shown(process)} has just ended")
