"""Bots for the tiny server, one of them as it should be."""

from __future__ import annotations

from chaosctl.swarm.bot import Bot


class Adder(Bot):
    """Adds 1, 2, 3 ... and reads them back."""

    number = 0

    def turn(self) -> None:
        """Add the next number."""
        self.number += 1
        with self.operation("add", f="add", value=self.number) as operation:
            if self.ask(f"ADD {self.name} {self.number}") != f"OK {self.number}":
                operation.fail("odd answer")

    def audit(self) -> None:
        """Read them all back."""
        with self.operation("seen", f="read") as operation:
            operation.ok(self.ask(f"SEEN {self.name}").strip("-"))


class Raiser(Bot):
    """Raises in every operation, each time something longer."""

    number = 0

    def turn(self) -> None:
        """Begin, and break."""
        self.number += 1
        with self.operation("add"):
            raise ValueError("no such colour " * 500 * self.number)
