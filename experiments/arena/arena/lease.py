"""Who leads, where there are two worlds: the ledger lends the lead for a short time, by epochs that only grow.

Outside the numbering of a link, from a world and back; `sent_s` is the world's own time, told back as it was:

    ["claim", who, sent_s]                      ["claimed", epoch, sent_s]           epoch 0: not granted
    ["renew", who, epoch, paired, sent_s]       ["renewed", good, paired, sent_s]

A lease counts from when it was asked for, and at the ledger from when it was given: whoever holds it knows first that
it is over. `paired` says that the standby has all that was ever acknowledged: only then it may take over.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from arena.link import LinkClient, Peer
from arena.numbering import Body
from arena.wire import Address

# Longer than a busy machine lets a process wait; about as long is nobody served when the leader dies.
LEASE_S = 1.5

_SCHEMA = "CREATE TABLE IF NOT EXISTS lead (epoch INTEGER NOT NULL, leader INTEGER NOT NULL, paired INTEGER NOT NULL)"


class Arbiter:
    """The ledger's side. What was decided is in its database; how long it holds is not, so after a restart of the
    ledger it holds for a whole lease."""

    def __init__(self, db: Path | str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._db = sqlite3.connect(db, isolation_level=None)
        self._db.execute(_SCHEMA)
        known = self._db.execute("SELECT epoch, leader, paired FROM lead").fetchone()
        if known is None:
            self._db.execute("INSERT INTO lead VALUES (0, 0, 0)")
        self.epoch, self._leader, self._paired = map(int, known or (0, 0, 0))
        self._until_s = now_s() + LEASE_S if self.epoch else 0.0

    def hear(self, peer: Peer, body: Body) -> None:
        """Answer a claim or a renewal. Raises sqlite3.Error where it cannot be kept."""
        kind, who, *rest = body
        if kind == "claim":
            (sent_s,) = rest
            peer.send_now(["claimed", self.claim(who), sent_s])
        elif kind == "renew":
            epoch, paired, sent_s = rest
            peer.send_now(["renewed", self.renew(epoch, paired), paired, sent_s])

    def claim(self, who: int) -> int:
        """Lend the lead to `who`, if it is free and `who` lacks nothing. Return its epoch, 0 where it is not lent."""
        lacks_nothing = self.epoch == 0 or self._paired or who == self._leader
        if self._now_s() < self._until_s or not lacks_nothing:
            return 0
        self._keep(self.epoch + 1, who, False)
        self._until_s = self._now_s() + LEASE_S
        return self.epoch

    def renew(self, epoch: int, paired: bool) -> bool:
        """Let the leader of an epoch go on, and note whether its standby may take over. Return False for an old one."""
        if self.is_over(epoch):
            return False
        if paired != bool(self._paired):
            self._keep(epoch, self._leader, paired)
        self._until_s = self._now_s() + LEASE_S
        return True

    def is_over(self, epoch: int) -> bool:
        """Return whether somebody else was lent the lead since."""
        return epoch != self.epoch

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _keep(self, epoch: int, leader: int, paired: bool) -> None:
        self._db.execute("UPDATE lead SET epoch = ?, leader = ?, paired = ?", (epoch, leader, paired))
        self.epoch, self._leader, self._paired = epoch, leader, paired


class Lease:
    """A world's side. `epoch` is 0 while it does not lead; `paired` is what it wants the ledger to know."""

    def __init__(self, arbiter: Sequence[Address], who: int, on_renewed: Callable[[bool], None]) -> None:
        self.link = LinkClient(arbiter, f"lease-{who}", lambda peer, number, body: None, self._told)
        self.epoch = 0
        self.paired = False
        self._who = who
        self._on_renewed = on_renewed
        self._until_s = 0.0

    @property
    def held(self) -> bool:
        """Whether it leads, for certain."""
        return self.epoch > 0 and time.monotonic() < self._until_s

    def ask(self) -> None:
        """Claim the lead, or renew it."""
        if self.epoch:
            self.link.send_now(["renew", self._who, self.epoch, self.paired, time.monotonic()])
        else:
            self.link.send_now(["claim", self._who, time.monotonic()])

    def want(self, paired: bool) -> None:
        """Tell the ledger, at once, whether the standby may take over from now on."""
        self.paired = paired
        self.ask()

    def give_up(self) -> None:
        """Lead no more."""
        self.epoch, self.paired = 0, False

    def _told(self, peer: Peer, body: Body) -> None:
        kind, *rest = body
        if kind == "claimed" and not self.epoch:
            self.epoch, sent_s = rest
            self._until_s = sent_s + LEASE_S
        elif kind == "renewed" and self.epoch:
            good, paired, sent_s = rest
            if not good:
                self.give_up()
                return
            self._until_s = max(self._until_s, sent_s + LEASE_S)
            self._on_renewed(paired)
