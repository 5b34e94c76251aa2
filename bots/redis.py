"""Bots that write to Redis and read back what it acknowledged, speaking its protocol themselves.

`Writer`: each bot pushes the numbers 1, 2, 3 ... to a list of its own; a number is used once and never again, whatever
became of it. `Registers`: all bots write, read and compare-and-swap a few keys that they share. Redis takes inline
commands, a line each (https://redis.io/docs/latest/develop/reference/protocol-spec/).

Options: `snapshot_after: N` lets the first bot of each cohort ask for one snapshot (BGSAVE) after its N-th write;
`registers: N` is how many keys there are to share.
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


SWAP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[1], ARGV[2]) end return 0"


class Registers(Bot):
    """Writes, reads and compares-and-swaps a register a turn. Every value is written once, so that it tells its origin.

    A swap that found something else is a failed operation: it definitely did nothing.
    """

    rate_per_s = 5.0
    line_end = "\r\n"

    number = 0
    seen: dict[str, str]

    def on_start(self) -> None:
        """Begin without having seen anything."""
        super().on_start()
        self.seen = {}

    def turn(self) -> None:
        """Read, write, or swap what was last seen."""
        key = f"register-{self.random.randrange(int(self.options.get('registers', 5)))}"
        match self.random.choice(("get", "get", "write", "cas") if key in self.seen else ("get", "write")):
            case "get":
                self._get(key)
            case "write":
                self._write(key, self._fresh())
            case _:
                self._swap(key, self.seen[key], self._fresh())

    def audit(self) -> None:
        """Read every register, whatever happened before."""
        for n in range(int(self.options.get("registers", 5))):
            self._get(f"register-{n}")

    def _fresh(self) -> str:
        self.number += 1
        return f"{self.name}:{self.number}"

    def _get(self, key: str) -> None:
        with self.operation("get", f="get", key=key) as operation:
            length = self.ask(f"GET {key}")
            if length.startswith("$") and length != "$-1":
                self.seen[key] = self.read_line()
                operation.ok(self.seen[key])
            elif length != "$-1":
                operation.fail(length.partition(" ")[0])

    def _write(self, key: str, value: str) -> None:
        with self.operation("write", f="write", key=key, value=value) as operation:
            answer = self.ask(f"SET {key} {value}")
            if answer.startswith("+"):
                self.seen[key] = value
            else:
                operation.fail(answer.partition(" ")[0])

    def _swap(self, key: str, old: str, new: str) -> None:
        with self.operation("cas", f="cas", key=key, value=f"{old}>{new}") as operation:
            answer = self.ask(f'EVAL "{SWAP}" 1 {key} {old} {new}')
            if answer.startswith("+"):
                self.seen[key] = new
            else:
                del self.seen[key]
                operation.fail("held something else" if answer == ":0" else answer.partition(" ")[0])


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as the history has sets: `1-340,342`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
