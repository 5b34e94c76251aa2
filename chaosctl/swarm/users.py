"""Giving each Locust user its seat: one class made for each user class and cohort.

Locust makes users by class and knows neither cohorts nor names; the made class takes the next free seat.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import gevent
import locust

from chaosctl.swarm.bot import Bot
from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.recorder import Recorder
from chaosctl.swarm.seats import Seat


class Seats:
    """The seats of one worker for one made class. A seat that was given back is taken again as another bot.

    It gets a new name (`near-3.2`, then `near-3.3`) and seed: the one before it has said things under its own name.
    """

    def __init__(self, seats: Iterable[Seat]) -> None:
        self._free = [(seat.index, seat) for seat in seats]
        heapq.heapify(self._free)
        self._lives: Counter[str] = Counter()

    def take(self) -> tuple[Seat, str, str]:
        """Return the first free seat, and the name and the seed of the bot in it."""
        _, seat = heapq.heappop(self._free)
        self._lives[seat.name] += 1
        life = self._lives[seat.name]
        return (seat, seat.name, seat.seed) if life == 1 else (seat, f"{seat.name}.{life}", f"{seat.seed}:{life}")

    def give_back(self, seat: Seat) -> None:
        """Let another bot have it."""
        heapq.heappush(self._free, (seat.index, seat))


class Roster:
    """The users of this process: who runs, and every `Bot` that ever ran (each is audited)."""

    def __init__(self, config: SwarmConfig, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self.bots: list[Bot] = []
        self.ending = False

    def seat(self, user: Any, seat: Seat, name: str, seed: str) -> None:
        """Tell a user who it is, before its own constructor runs."""
        config = self.config
        addresses = config.addresses[seat.cohort]
        user.chaosctl_seat = (name, seat.cohort)
        if isinstance(user, Bot):
            user.name, user.cohort, user.seed = name, seat.cohort, seed
            user.addresses, user.options = addresses, config.options
            user.random = random.Random(seed)
            user.recorder = self.recorder
            if config.rate_per_s is not None:
                user.rate_per_s = config.rate_per_s
            self.bots.append(user)
        elif host := replaced_host(type(user), addresses[seat.index % len(addresses)]):
            user.host = host

    def left(self, user: Any) -> None:
        """See a user end. Connections stay until after the audit, unless it ended before the load did."""
        if isinstance(user, Bot) and not self.ending:
            user.hang_up("closed")


def replaced_host(user_class: Any, address: str) -> str | None:
    """Return what takes the place of a class's `host`; None for a class that has none and needs none."""
    if isinstance(user_class.host, str):
        scheme, separator, _ = user_class.host.partition("://")
        return f"{scheme}://{address}" if separator else address
    return f"http://{address}" if issubclass(user_class, locust.HttpUser | locust.FastHttpUser) else None


def made_name(user_class: Any, cohort: str) -> str:
    """Return the name of the class that is made for a cohort."""
    return f"{user_class.__name__}:{cohort}"


def make_classes(classes: Sequence[Any], seats: Sequence[Seat], roster: Roster | None, worker: int = 0) -> list[Any]:
    """Return a class for each user class and cohort that occurs, holding the seats of `worker`.

    Without a roster they have the names only: a master makes no users.
    """
    found: dict[tuple[int, str], list[Seat]] = {}
    for seat in seats:
        mine = found.setdefault((seat.user_class, seat.cohort), [])
        if roster is not None and seat.worker == worker:
            mine.append(seat)
    return [_make(classes[number], cohort, Seats(mine), roster) for (number, cohort), mine in found.items()]


def _make(user_class: Any, cohort: str, seats: Seats, roster: Roster | None) -> Any:
    def __init__(self: Any, environment: Any) -> None:
        assert roster is not None
        self.chaosctl_taken, name, seed = seats.take()
        roster.seat(self, self.chaosctl_taken, name, seed)
        user_class.__init__(self, environment)

    def start(self: Any, group: Any) -> Any:
        greenlet = user_class.start(self, group)
        greenlet.chaosctl_seat = self.chaosctl_seat
        greenlet.link(lambda _: end(self))
        return greenlet

    def end(self: Any) -> None:
        assert roster is not None
        roster.left(self)
        seats.give_back(self.chaosctl_taken)

    # The number of users is the dispatcher's business: `weight` and `fixed_count` were settled by the deal.
    body = {"__init__": __init__, "start": start, "weight": 1, "fixed_count": 0, "__module__": user_class.__module__}
    return type(user_class)(made_name(user_class, cohort), (user_class,), body)


def current_seat() -> tuple[str, str]:
    """Return name and cohort of the user whose greenlet this is, or that started it; empty where there is none."""
    greenlet = gevent.getcurrent()
    while greenlet is not None:
        seat: tuple[str, str] | None = getattr(greenlet, "chaosctl_seat", None)
        if seat is not None:
            return seat
        spawner = getattr(greenlet, "spawning_greenlet", None)
        greenlet = spawner() if spawner is not None else None
    return "", ""


def weights(classes: Sequence[Any]) -> list[float]:
    """Return how many of all users each class is to have, by Locust's `weight`."""
    return [float(user_class.weight) or 1.0 for user_class in classes]
