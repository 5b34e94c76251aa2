"""The services as processes: what a player at a socket sees when they are killed, cut off and started again."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.bank import TREASURY
from arena.ranges import Ranges
from tests.experiments.arena.deployment import ARENA, Client, Deployment, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path) as running:
        yield running


def seen(client: Client) -> Ranges:
    """Ask which numbers took effect."""
    ranges = Ranges()
    text = client.ask("SEEN").removeprefix("SEEN ")
    for part in () if text == "-" else text.split(","):
        low, _, high = part.partition("-")
        for n in range(int(low), int(high or low) + 1):
            assert n not in ranges, f"{n} took effect twice: {text}"
            ranges.add(n)
    return ranges


def play(client: Client, numbers: range, acked: set[int]) -> None:
    for n in numbers:
        assert client.ask(f"MOVE {n} 1 1").startswith(f"OK {n} ")
        acked.add(n)


def assert_replays(arena: Deployment) -> None:
    live = arena.digests()
    again = arena.replay(hash_seed="1")
    assert [row["tick"] for row in live] == list(range(len(live)))
    assert again[: len(live)] == live


def test_a_person_can_play_a_match(arena: Deployment) -> None:
    ann, bob = arena.client(0), arena.client(1)
    assert ann.ask("PING").startswith("PONG ")
    assert ann.ask("MOVE 1 1 1") == "ERR say HELLO first"
    assert ann.ask("HELLO ann").startswith("WELCOME ann fresh ")
    assert bob.ask("HELLO bob secret") == "WELCOME bob fresh secret"
    assert ann.ask("HELLO ann") == "ERR this session is ann's"
    until(lambda: ann.ask("GOLD") == bob.ask("GOLD") == "GOLD 100", "the ledger opening the accounts")
    ann.ask("QUEUE 1")
    bob.ask("QUEUE 1")
    until(lambda: "ann" in bob.ask("MATCHES"), "the match being settled")
    assert "* MATCH m1 started ann 10" in bob.pushes
    assert sorted([ann.ask("GOLD"), bob.ask("GOLD")]) == ["GOLD 110", "GOLD 90"]
    assert [push.split()[3] for push in bob.pushes if "MATCH" in push and "started" not in push] == ["settled"]
    assert arena.gold() == TREASURY
    assert ann.ask("QUIT") == "BYE"


def test_nothing_acknowledged_is_lost_over_a_sigkill_of_the_world(arena: Deployment) -> None:
    clients = {f"p{n}": arena.client(n % 2) for n in range(6)}
    acked: dict[str, set[int]] = {name: set() for name in clients}
    for name, client in clients.items():
        assert client.ask(f"HELLO {name} t-{name}").startswith(f"WELCOME {name} fresh")
        play(client, range(1, 6), acked[name])
    for client in clients.values():
        client.tell("MOVE 6 1 1")  # on the way when it happens
    arena.kill("world")
    for client in clients.values():
        client.tell("MOVE 7 1 1")  # while it is down
        client.tell("PING")
    arena.start("world")
    for name, client in clients.items():
        answers = sorted(client.hear() for _ in range(3))
        assert [answer.split()[0] for answer in answers] == ["OK", "OK", "PONG"], answers
        assert [answer.split()[1] for answer in answers[:2]] == ["6", "7"]
        play(client, range(8, 10), acked[name])
        assert str(seen(client)) == "1-9"
    for client in clients.values():
        assert any(push.startswith("* VIEW ") for push in client.pushes)
    assert arena.end("world") == 0
    assert_replays(arena)
    assert arena.gold() == TREASURY


def test_an_answer_comes_once_also_when_the_world_dies_right_behind_it(arena: Deployment) -> None:
    ann = arena.client(0)
    ann.ask("HELLO ann a")
    for n in range(1, 8):
        assert ann.ask(f"MOVE {n} 0 0").startswith(f"OK {n} ")
        arena.kill("world")
        arena.start("world")
    assert str(seen(ann)) == "1-7"


def test_a_client_resumes_its_session_over_the_other_gateway(arena: Deployment) -> None:
    ann = arena.client(0)
    ann.ask("HELLO ann secret")
    ann.ask("MOVE 1 1 1")
    arena.kill("gateway-0")
    again = arena.client(1)
    assert again.ask("HELLO ann wrong") == "ERR that name is taken; give its token"
    assert again.ask("HELLO ann secret") == "WELCOME ann resumed secret"
    assert again.ask("MOVE 1 1 1").startswith("OK 1 ")
    assert str(seen(again)) == "1"


def test_play_goes_on_without_the_ledger_and_matches_are_settled_after_it(arena: Deployment) -> None:
    ann, bob = arena.client(0), arena.client(1)
    ann.ask("HELLO ann a")
    bob.ask("HELLO bob b")
    until(lambda: ann.ask("GOLD") == bob.ask("GOLD") == "GOLD 100", "the ledger opening the accounts")
    ann.ask("QUEUE 1")
    bob.ask("QUEUE 1")
    until(lambda: bool(bob.ask("WHERE")) and "* MATCH m1 started ann 10" in bob.pushes, "the match starting")
    arena.kill("ledger")
    play(ann, range(2, 70), set())
    assert ann.ask("MATCHES") == "MATCHES m1:open"
    arena.start("ledger")
    until(lambda: ann.ask("MATCHES").startswith("MATCHES m1:settled:"), "the match being settled")
    assert arena.gold() == TREASURY


def test_pings_and_actions_wait_for_the_world_and_only_so_many(arena: Deployment) -> None:
    ann = arena.client(0)
    ann.ask("HELLO ann a")
    arena.kill("world")
    for n in range(1, 301):
        ann.tell(f"MOVE {n} 0 0")
    busy = [ann.hear() for _ in range(300 - 256)]
    assert set(busy) == {"ERR busy"}
    for _ in range(1100):
        ann.tell("PING")
    until(lambda: ann.ask("HELP").startswith("#"), "the gateway having read them")
    arena.start("world")
    lines = []
    while len(lines) < 256 + 1000:
        line = ann.hear()
        if not line.startswith("#"):
            lines.append(line.split()[0])
    assert lines.count("PONG") == 1000
    assert str(seen(ann)) == "1-256"


def test_random_lines_kill_nothing(arena: Deployment) -> None:
    chance = random.Random(7)
    starts = [b"HELLO ", b"MOVE 1 ", b"HIT 1 ", b"CHAT 1 ", b"QUEUE ", b"SEEN", b"\xff\x00", b"PING", b"HELP", b"QUIT"]
    for round_ in range(20):
        client = arena.client(round_ % 2)
        if round_ % 2:
            client.ask(f"HELLO fuzz{round_} t")
        data = b"".join(chance.choice(starts) + chance.randbytes(chance.randrange(700)) + b"\n" for _ in range(20))
        with contextlib.suppress(OSError):  # it may be told BYE in the middle
            client.send_bytes(data)
        client.close()
    for name in ("world", "ledger"):
        client = Client(arena.at[name])
        client.send_bytes(b'["hello", 1]\n["f"]\n{}\n' + chance.randbytes(500) + b"\n")
        client.close()
    for gateway in (0, 1):
        sane = arena.client(gateway)
        assert sane.ask(f"HELLO sane{gateway} t").startswith("WELCOME")
        assert sane.ask("MOVE 1 1 1").startswith("OK 1 ")
    assert all(process.poll() is None for process in arena.running.values())
    assert "Traceback" not in "".join(arena.log_of(name) for name in arena.running)


def test_everything_ends_with_code_0_on_sigterm(arena: Deployment) -> None:
    arena.client(0).ask("HELLO ann a")
    assert {name: arena.end(name) for name in ("gateway-0", "gateway-1", "world", "ledger")} == {
        "gateway-0": 0,
        "gateway-1": 0,
        "world": 0,
        "ledger": 0,
    }
    assert "Traceback" not in "".join(arena.log_of(name) for name in arena.running)


def test_the_world_recovers_within_a_second(arena: Deployment) -> None:
    ann = arena.client(0)
    ann.ask("HELLO ann a")
    arena.kill("world")
    began = time.monotonic()
    arena.start("world")
    assert ann.ask("MOVE 1 1 1").startswith("OK 1 ")
    assert time.monotonic() - began < 5  # well under 1 s on a machine that is not busy
    assert '"role": "leader"' in arena.page("world-status", "status")
    assert arena.page("world-status", "healthz") == "ok\n"


def start_world(data: Path, arena: Deployment, port: str) -> subprocess.CompletedProcess[str]:
    words = [
        "--listen",
        port,
        "--status",
        "127.0.0.1:0",
        "--ledger",
        arena.at["ledger"],
        "--data",
        str(data),
        "--seed",
        "7",
    ]
    return subprocess.run(
        [sys.executable, "-m", "arena.world", *words],
        cwd=ARENA,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def test_what_cannot_start_says_why_in_one_line(arena: Deployment, tmp_path: Path) -> None:
    in_use = start_world(tmp_path / "other", arena, arena.at["gateway-0"])
    held = start_world(arena.data, arena, "127.0.0.1:0")
    arena.end("world")
    lines = (arena.data / "input.log").read_bytes().splitlines(keepends=True)
    (arena.data / "input.log").write_bytes(b"".join([lines[0], b"garbage\n", *lines[2:]]))
    damaged = start_world(arena.data, arena, "127.0.0.1:0")
    for done, why in ((in_use, "in use"), (held, "another world works in"), (damaged, f"at byte {len(lines[0])}")):
        assert done.returncode == 1
        assert why in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stopped", ["world", "gateway-0"])
def test_a_process_that_was_stopped_for_a_while_goes_on(arena: Deployment, stopped: str) -> None:
    ann = arena.client(0)
    ann.ask("HELLO ann a")
    acked: set[int] = set()
    play(ann, range(1, 4), acked)
    arena.running[stopped].send_signal(signal.SIGSTOP)
    ann.tell("MOVE 4 1 1")
    time.sleep(1.0)  # the silence itself is what is tested
    arena.running[stopped].send_signal(signal.SIGCONT)
    assert ann.hear().startswith("OK 4 ")
    play(ann, range(5, 8), acked)
    assert str(seen(ann)) == "1-7"
