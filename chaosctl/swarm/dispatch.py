"""Telling Locust how many users of which class run on which worker, from the seats.

Takes the place of Locust's own dispatcher (`Environment.dispatcher_class`), which deals users to workers without
regard to cohorts and ramps in bursts, one a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chaosctl.swarm.seats import Seat

# Each step costs Locust a count of all users.
STEP_S = 0.1


class SeatDispatcher:
    """The part of Locust's UsersDispatcher that its runners call, for one run.

    `class_of` names the Locust class of a seat, `rank_of` the number of the worker behind Locust's node id.
    """

    def __init__(
        self,
        worker_nodes: Sequence[Any],
        user_classes: Sequence[type],
        *,
        seats: Sequence[Seat],
        class_of: Callable[[Seat], str],
        rank_of: Callable[[str], int],
    ) -> None:
        self._seats = seats
        self._class_of = class_of
        self._node_of = {rank_of(node.id): node.id for node in worker_nodes}
        names = sorted(user_class.__name__ for user_class in user_classes)
        self._counts = {node.id: dict.fromkeys(names, 0) for node in worker_nodes}
        self._users = self._target = self._from = 0
        self._rate_per_s = 1.0
        self._started_s = 0.0
        self.dispatch_in_progress = False

    def new_dispatch(self, target_user_count: int, spawn_rate: float, user_classes: Any = None) -> None:
        """Begin to move from the present number of users to `target_user_count`, `spawn_rate` users a second."""
        self._target = min(target_user_count, len(self._seats))
        self._from = self._users
        self._rate_per_s = spawn_rate
        self._started_s = time.monotonic()
        self.dispatch_in_progress = True
        self._first = True

    def __iter__(self) -> Iterator[dict[str, dict[str, int]]]:
        """Iterate over the steps of the dispatch that was begun last."""
        return self

    def __next__(self) -> dict[str, dict[str, int]]:
        """Wait for the next step, and return how many users of each class each worker shall run."""
        if not self._first:
            if self._users == self._target:
                self.dispatch_in_progress = False
                raise StopIteration
            time.sleep(max(STEP_S, 1 / self._rate_per_s))
        self._first = False
        moved = 1 + int(self._rate_per_s * (time.monotonic() - self._started_s))
        if self._target >= self._from:
            self._move_to(min(self._target, self._from + moved))
        else:
            self._move_to(max(self._target, self._from - moved))
        return {node: dict(counts) for node, counts in self._counts.items()}

    def _move_to(self, users: int) -> None:
        taken, left = self._seats[self._users : users], self._seats[users : self._users]
        for seats, change in ((taken, 1), (left, -1)):
            for seat in seats:
                if seat.worker in self._node_of:
                    self._counts[self._node_of[seat.worker]][self._class_of(seat)] += change
        self._users = users

    def add_worker(self, worker_node: Any) -> None:
        """Do nothing: workers do not join a run."""

    def remove_worker(self, worker_node: Any) -> None:
        """Do nothing: the bots of a lost worker are lost with it, and the run says so."""
