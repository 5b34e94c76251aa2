"""A bot for the swarm's tests: buys numbers from a line server and reads them back."""

import time

from chaosctl.swarm.bot import Bot


class Shopper(Bot):
    rate_per_s = 10.0
    timeout_s = 0.5

    def on_connected(self) -> None:
        self.bought = getattr(self, "bought", 0)
        self.session("resumed" if self.ask(f"HELLO {self.name}") == "AGAIN" else "lost")

    def is_push(self, line: str) -> bool:
        return line.startswith("PUSH")

    def on_push(self, line: str) -> None:
        self.event(line, "started")
        self.received("pushes", 1)

    def turn(self) -> None:
        wish = self.options.get("wish", "BUY")
        if self.options.get("spin"):
            self.ask(f"BUY {self.name} 1")
            while True:
                pass
        if self.options.get("broken"):
            raise ValueError("cannot decide")
        if self.options.get("slow_once") and self.bought_none():
            time.sleep(1.0)
        number = self.random.randrange(1_000_000)
        with self.operation("buy", f="add", key=self.name, value=number) as operation:
            answer = self.ask(f"{wish} {self.name} {number}")
            if answer == "NO":
                operation.fail("sold out")
        with self.operation("look"):
            self.ask("LOOK")

    def bought_none(self) -> bool:
        first, self.told = not getattr(self, "told", False), True
        return first

    def audit(self) -> None:
        with self.operation("audit", f="read", key=self.name) as operation:
            operation.ok(self.ask(f"LIST {self.name}"))


class Plain(Bot):
    rate_per_s = 10.0
    timeout_s = 0.2

    def turn(self) -> None:
        with self.operation("ask", f="add", value=1):
            self.ask("HELLO someone")
