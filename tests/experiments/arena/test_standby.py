"""Two worlds as processes: what a player at a socket sees when the one that leads dies, hangs, or cannot ask."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.standby import main
from tests.experiments.arena.deployment import SEED, Client, Deployment, free_port, until

pytestmark = pytest.mark.e2e

WORLDS = ("world", "world-1")


class Standby(Deployment):
    """Ledger, two worlds and two gateways."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        at = self.at
        at.update({name: f"127.0.0.1:{free_port()}" for name in ("world-1", "world-1-status")})
        both = f"{at['world']},{at['world-1']}"
        gateways = {name: words for name, words in self._commands.items() if name.startswith("gateway")}
        self._commands = {"ledger": self._commands["ledger"]}
        for index, name in enumerate(WORLDS):
            self._commands[name] = [
                *("standby", "--status", at[f"{name}-status"], "--ledger", at["ledger"], "--seed", SEED),
                *("--data", str(folder / name), "--index", str(index), "--worlds", both),
            ]
        for name, words in gateways.items():
            self._commands[name] = [both if word == at["world"] else word for word in words]

    def status(self, name: str) -> dict[str, object]:
        return dict(json.loads(self.page(f"{name}-status", "status")))

    def one_leads(self) -> str:
        """Wait until one leads and the other could. Return which one leads."""
        until(lambda: all(self.accepts(f"{name}-status") and self.status(name)["paired"] for name in WORLDS), "a pair")
        (leader,) = [name for name in WORLDS if self.status(name)["role"] == "leader"]
        return leader

    def leads(self, name: str) -> bool:
        return self.status(name)["role"] == "leader"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Standby]:
    with Standby(tmp_path) as running:
        yield running


def other(name: str) -> str:
    return WORLDS[1 - WORLDS.index(name)]


def hello(arena: Standby) -> list[Client]:
    clients = [arena.client(gateway) for gateway in (0, 1)]
    for number, client in enumerate(clients):
        assert client.ask(f"HELLO p{number} t").startswith(f"WELCOME p{number} ")
    return clients


def test_the_standby_leads_when_the_leader_is_killed_and_who_comes_back_stands_by(arena: Standby) -> None:
    clients = hello(arena)
    for epoch in (1, 2):
        leader = arena.one_leads()
        assert arena.status(leader)["epoch"] == epoch
        for n in range(5 * epoch - 4, 5 * epoch + 1):
            for client in clients:
                assert client.ask(f"MOVE {n} 1 1").startswith(f"OK {n} ")
        arena.kill(leader)
        assert {client.ask("SEEN") for client in clients} == {f"SEEN 1-{5 * epoch}"}
        assert arena.leads(other(leader))
        arena.start(leader)
    last = arena.one_leads()
    arena.end(last)
    arena.end(other(last))
    logs = [(arena.folder / name / "input.log").read_bytes() for name in WORLDS]
    assert min(logs, key=len) == max(logs, key=len)[: len(min(logs, key=len))]
    assert arena.replay("1")[: len(arena.digests())] == arena.digests()


def test_a_leader_that_hung_for_too_long_stands_by(arena: Standby) -> None:
    clients = hello(arena)
    leader = arena.one_leads()
    arena.running[leader].send_signal(signal.SIGSTOP)
    assert [client.ask("MOVE 1 1 1")[:4] for client in clients] == ["OK 1", "OK 1"]
    assert arena.leads(other(leader))
    arena.running[leader].send_signal(signal.SIGCONT)
    until(lambda: arena.one_leads() == other(leader), "the one that hung standing by")
    assert [client.ask("MOVE 2 1 1")[:4] for client in clients] == ["OK 2", "OK 2"]
    assert {client.ask("SEEN") for client in clients} == {"SEEN 1-2"}


def test_without_its_standby_the_leader_goes_on_and_that_one_alone_may_lead(arena: Standby) -> None:
    clients = hello(arena)
    leader = arena.one_leads()
    arena.kill(other(leader))
    assert [client.ask("MOVE 1 1 1")[:4] for client in clients] == ["OK 1", "OK 1"]
    arena.kill(leader)
    arena.start(other(leader))
    clients[0].tell("MOVE 2 1 1")
    assert arena.page("ledger-status", "metrics").count('"epoch": 1') == 1
    arena.start(leader)
    assert clients[0].hear().startswith("OK 2 ")
    assert arena.one_leads() == leader, "the other one lacked what was acknowledged"


def test_nobody_leads_while_the_ledger_is_away(arena: Standby) -> None:
    (client, _) = hello(arena)
    arena.one_leads()
    arena.kill("ledger")
    until(lambda: not any(map(arena.leads, WORLDS)), "nobody leading")
    client.tell("MOVE 1 1 1")
    assert arena.page("world-status", "metrics") == "{}\n"
    arena.start("ledger")
    assert client.hear().startswith("OK 1 ")
    arena.one_leads()


def test_there_are_two_worlds_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--listen", "h:1", "--status", "h:2", "--ledger", "h:3", "--data", str(tmp_path), "--seed", SEED]
    assert main([*places, "--index", "2", "--worlds", "h:1,h:2,h:3"]) == 1
    assert "there are two worlds, 0 and 1, not 3 with an index of 2" in capsys.readouterr().err
