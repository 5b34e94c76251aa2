"""Bots that write to Redis and read back what it acknowledged, speaking its protocol themselves.

Each bot pushes the numbers 1, 2, 3 ... to a list of its own; a number is used once and never again, whatever became
of it. Redis takes inline commands, a line each (https://redis.io/docs/latest/develop/reference/protocol-spec/).

Options: `snapshot_after: N` lets the first bot of each cohort ask for one snapshot (BGSAVE) after its N-th write.
"""

from __future__ import annotations

from collections.abc import Iterable

from chaosctl.swarm.bot import Bot


class Writer(Bot):
    """Writes at a fixed cadence."""

    rate_per_s = 5.0
    line_end = "\r\n"

    number = 0

    def turn(self) -> None:
        """Push the next number."""
        self.number += 1
        with self.operation("push", f="add", value=self.number) as operation:
            answer = self.ask(f"RPUSH {self.name} {self.number}")
            if not answer.startswith(":"):
                operation.fail(answer.partition(" ")[0])
        if self.number == self.options.get("snapshot_after") and self.name.endswith("-0"):
            with self.operation("snapshot") as operation:
                if not (answer := self.ask("BGSAVE")).startswith("+"):
                    operation.fail(answer)

    def audit(self) -> None:
        """Read the list back."""
        with self.operation("read", f="read") as operation:
            head = self.ask(f"LRANGE {self.name} 0 -1")
            if head.startswith("*"):
                operation.ok(ranges(self._bulk_number() for _ in range(int(head[1:]))))
            else:
                operation.fail(head.partition(" ")[0])

    def _bulk_number(self) -> int:
        self.read_line()  # its length
        return int(self.read_line())


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as the history has sets: `1-340,342`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
