"""The swarm as processes: real Locust, real sockets."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chaosctl.errors import NotReadyError
from chaosctl.swarm.config import SwarmConfig
from tests.swarm.playground import BOTS, LineServer, StartSwarm, until

pytestmark = pytest.mark.e2e
OK, FAIL, INFO = range(3)
Rows = list[dict[str, Any]]


def samples(bundle: Path, worker: int = 0, *, open_loop: bool = True) -> Rows:
    with pa.ipc.open_stream(bundle / "samples" / f"swarm-{worker}.arrow") as stream:
        assert stream.schema.metadata[b"open_loop"] == (b"true" if open_loop else b"false")
        return stream.read_all().to_pylist()


def history(bundle: Path) -> Rows:
    return [json.loads(line) for line in (bundle / "history.jsonl").read_text().splitlines()]


def bought(server: LineServer) -> int:
    return sum(map(len, server.bought.values()))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_run_of_bots(make_swarm: StartSwarm, server: LineServer) -> None:
    here = (server.address,)
    swarm, heard, bundle = make_swarm(
        "shopper.py", {"near": here, "far": here}, {"near": 8, "far": 2}, bots_class="Shopper"
    )
    swarm.start()
    swarm.users(10, 0.5)
    until(lambda: len(server.bought) == 10 and min(map(len, server.bought.values())) >= 8)
    swarm.users(5, 0.0)
    until(lambda: heard.of("generator") and heard.of("generator")[-1]["users"] == 5)
    swarm.users(10, 0.0)
    until(lambda: len(server.bought) == 15)
    assert swarm.end_load(3.0)
    audited = swarm.audit(5.0)
    pid = swarm.pid
    swarm.stop()
    assert (audited["bots"], audited["failed"]) == (15, 0)
    assert pid is not None
    assert gone(pid)
    assert not heard.of("crashed")
    assert not heard.of("bot_error")
    check_bots(server)
    check_samples(samples(bundle), server)
    check_history(history(bundle), server)
    line = heard.of("generator")[0]
    assert {"worker", "lag_ms_p99", "lag_ms_max", "cpu_share", "users", "operations", "ok", "p50_ms"} <= line.keys()


def check_bots(server: LineServer) -> None:
    """Each bot made the draws of its own seed; one that came back is a new bot with a seed of its own."""
    names = Counter(name.partition("-")[0] for name in server.bought if "." not in name)
    assert names == {"near": 8, "far": 2}
    assert sum(".2" in name for name in server.bought) == 5
    for name, numbers in server.bought.items():
        first, _, life = name.partition(".")
        source = random.Random(f"7:{first}:{life}" if life else f"7:{first}")
        assert numbers == [source.randrange(1_000_000) for _ in numbers]


def check_samples(rows: Rows, server: LineServer) -> None:
    assert {row["outcome"] for row in rows} == {OK}
    buys, looks = ([row for row in rows if row["operation"] == what] for what in ("buy", "look"))
    assert len(buys) == len(looks) == bought(server)
    turns = defaultdict(list)
    for row in buys:
        turns[row["bot"]].append(row["intended_ns"])
        assert row["cohort"] == row["bot"].partition("-")[0]
        assert row["intended_ns"] <= row["sent_ns"] <= row["end_ns"]
    for intended in turns.values():
        assert all(abs(later - earlier - 100_000_000) <= 2 for earlier, later in itertools.pairwise(sorted(intended)))
    ends = {(row["bot"], row["end_ns"]) for row in buys}
    assert all((row["bot"], row["intended_ns"]) in ends for row in looks), (
        "a second operation begins at the first's end"
    )


def check_history(lines: Rows, server: LineServer) -> None:
    adds = [line for line in lines if line["f"] == "add"]
    assert sorted(line["value"] for line in adds if line["mark"] == "ok") == sorted(
        str(number) for numbers in server.bought.values() for number in numbers
    )
    marks = defaultdict(list)
    for line in adds:
        marks[line["id"]].append(line["mark"])
    assert all(both == ["invoke", "ok"] for both in marks.values())
    assert {line["value"] for line in lines if line["f"] == "event"} == {"started"}
    assert {(line["key"], line["value"]) for line in lines if line["f"] == "receive"} == {("pushes", "1")}
    sessions = defaultdict(list)
    for line in lines:
        if line["f"] == "session":
            sessions[line["key"]].append(line["value"])
    # Those who left before the end closed, and connected again to be audited.
    assert {tuple(values) for values in sessions.values()} == {
        ("open", "lost", "closed"),
        ("open", "lost", "closed", "resumed", "closed"),
    }
    audits = {line["key"]: line["value"] for line in lines if line["f"] == "read" and line["mark"] == "ok"}
    assert audits == {name: ",".join(map(str, sorted(numbers))) for name, numbers in server.bought.items()}


def test_a_late_bot_catches_up_and_its_intended_times_do_not_shift(make_swarm: StartSwarm, server: LineServer) -> None:
    swarm, _, bundle = make_swarm(
        "shopper.py", {"all": (server.address,)}, {"all": 1}, bots_class="Shopper", options={"slow_once": True}
    )
    swarm.start()
    swarm.users(1, 0.0)
    until(lambda: bought(server) >= 20)
    swarm.end_load(3.0)
    swarm.stop()
    buys = sorted((row for row in samples(bundle) if row["operation"] == "buy"), key=lambda row: row["intended_ns"])
    gaps = [later["intended_ns"] - earlier["intended_ns"] for earlier, later in itertools.pairwise(buys)]
    assert all(abs(gap - 100_000_000) <= 2 for gap in gaps)
    late = [row for row in buys if row["sent_ns"] - row["intended_ns"] > 50_000_000]
    assert len(late) >= 8, "the turns that came due while it slept were late"
    assert buys[0]["sent_ns"] - buys[0]["intended_ns"] >= 1_000_000_000
    caught_up = buys[9]["sent_ns"] - buys[0]["sent_ns"]
    assert caught_up < 500_000_000, "it caught up without waiting between the turns"


@pytest.fixture
def cutter() -> Iterator[str]:
    """Serves one line, and ends the connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_each_way_to_fail_has_its_outcome(make_swarm: StartSwarm, server: LineServer, cutter: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    with socket.create_server(("127.0.0.1", 0), backlog=512) as mute:
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        addresses = {"good": server.address, "refused": nobody, "silent": silent, "cut": cutter}
        swarm, heard, bundle = make_swarm(
            "shopper.py",
            {cohort: (address,) for cohort, address in addresses.items()} | {"either": (nobody, server.address)},
            dict.fromkeys([*addresses, "either"], 1),
            bots_class="Plain",
        )
        swarm.start()
        swarm.users(5, 0.0)
        until(lambda: sum(line["operations"] for line in heard.of("generator")) > 60)
        swarm.end_load(3.0)
        swarm.stop()
    rows = samples(bundle)
    met = {cohort: {(row["outcome"], row["error"]) for row in rows if row["cohort"] == cohort} for cohort in addresses}
    assert met == {
        "good": {(OK, "")},
        "refused": {(FAIL, "refused")},
        "silent": {(INFO, "silent")},
        "cut": {(INFO, "cut")},
    }
    either = [row["outcome"] for row in rows if row["cohort"] == "either"]
    assert either.count(FAIL) <= 1, "after a failed connect it went to the other address"
    assert either.count(OK) > 5
    sessions = [line["value"] for line in history(bundle) if line["f"] == "session" and line["key"] == "cut-0"]
    assert sessions[:3] == ["open", "cut", "cut"]
    assert not heard.of("bot_error")


def test_a_bot_that_raises_in_every_turn_neither_floods_nor_ends_the_run(
    make_swarm: StartSwarm, server: LineServer
) -> None:
    swarm, heard, _ = make_swarm(
        "shopper.py", {"all": (server.address,)}, {"all": 5}, bots_class="Shopper", options={"broken": True}
    )
    swarm.start()
    swarm.users(5, 0.0)
    until(lambda: len(heard.of("generator")) >= 2)
    assert swarm.alive()
    swarm.end_load(3.0)
    swarm.stop()
    first, last = heard.of("bot_error")
    assert (first["count"], first["bot"][:4]) == (1, "all-")
    assert "ValueError: cannot decide (shopper.py:" in first["error"]
    assert last["count"] > 10


def test_two_workers_share_the_bots_and_one_that_dies_is_reported(make_swarm: StartSwarm, server: LineServer) -> None:
    here = (server.address,)
    swarm, heard, bundle = make_swarm(
        "shopper.py", {"near": here, "far": here}, {"near": 6, "far": 2}, bots_class="Shopper", workers=2
    )
    swarm.start()
    swarm.users(8, 0.3)
    until(lambda: len(server.bought) == 8 and min(map(len, server.bought.values())) >= 3)
    until(lambda: {line["worker"] for line in heard.of("generator")} == {0, 1})
    workers = children_of(swarm.pid)
    assert len(workers) == 2
    assert swarm.end_load(3.0)
    assert swarm.audit(5.0) == {"event": "audited", "bots": 8, "failed": 0}
    assert not heard.of("crashed")
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: heard.of("crashed"))
    assert "SIGKILL" in heard.of("crashed")[0]["why"]
    swarm.stop()
    until(lambda: all(gone(worker) for worker in workers), within_s=2.0)
    check_workers(server, bundle)


def check_workers(server: LineServer, bundle: Path) -> None:
    bots = [{row["bot"] for row in samples(bundle, worker)} for worker in range(2)]
    assert [len(names) for names in bots] == [4, 4]
    assert bots[0] | bots[1] == set(server.bought)
    invoked = [line["id"] for line in history(bundle) if line["mark"] == "invoke"]
    assert len(invoked) == len(set(invoked))


def children_of(pid: int | None) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_end_of_the_pipe_ends_even_a_bot_that_spins(tmp_path: Path, server: LineServer) -> None:
    (tmp_path / "samples").mkdir()
    config = SwarmConfig(
        run_id="r",
        bundle=str(tmp_path),
        origin_monotonic_ns=0,
        bots_file=str(BOTS / "shopper.py"),
        bots_class="Shopper",
        addresses={"all": (server.address,)},
        bots=(("all-0", "all", "7"),),
        options={"spin": True},
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "chaosctl.swarm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        for message in (asdict(config), {"do": "users", "count": 1, "over_s": 0}):
            child.stdin.write(json.dumps(message).encode() + b"\n")
        child.stdin.flush()
        assert b"ready" in child.stdout.readline()
        until(lambda: bought(server))
        child.stdin.close()
        child.wait(timeout=5)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_swarm_that_is_killed_is_reported(make_swarm: StartSwarm, server: LineServer) -> None:
    swarm, heard, _ = make_swarm("shopper.py", {"all": (server.address,)}, {"all": 1}, bots_class="Plain")
    swarm.start()
    assert swarm.pid is not None
    os.kill(swarm.pid, signal.SIGKILL)
    until(lambda: heard.of("crashed"))
    assert heard.of("crashed")[0]["part"] == "swarm"
    assert "SIGKILL" in heard.of("crashed")[0]["why"]
    assert not swarm.alive()
    began_s = time.monotonic()
    assert not swarm.end_load(30.0)
    audited = swarm.audit(30.0)
    assert (audited["bots"], audited["failed"]) == (1, 1)
    assert "SIGKILL" in audited["why"]
    assert time.monotonic() - began_s < 10


def test_a_full_disk_ends_the_swarm_with_the_reason(make_swarm: StartSwarm, server: LineServer) -> None:
    swarm, heard, bundle = make_swarm("shopper.py", {"all": (server.address,)}, {"all": 1}, bots_class="Plain")
    (bundle / "history.jsonl").symlink_to("/dev/full")
    swarm.start()
    swarm.users(1, 0.0)
    until(lambda: heard.of("crashed"))
    assert "the disk is full" in heard.of("crashed")[0]["why"]
    until(lambda: not swarm.alive())


def test_a_bots_file_that_does_not_import_is_one_sentence(make_swarm: StartSwarm, tmp_path: Path) -> None:
    bots = tmp_path / "bots.py"
    bots.write_text("import json\n\nimport not_there\n")
    swarm, heard, _ = make_swarm(bots, {"all": ("127.0.0.1:1",)}, {"all": 1})
    with pytest.raises(NotReadyError) as caught:
        swarm.start()
    assert str(caught.value).startswith(f"{bots}:3: ModuleNotFoundError: No module named 'not_there'")
    assert "\n" not in str(caught.value)
    assert not heard.messages
    assert not swarm.alive()


def test_stopping_while_it_starts_ends_the_wait(make_swarm: StartSwarm, server: LineServer) -> None:
    swarm, _, _ = make_swarm("shopper.py", {"all": (server.address,)}, {"all": 1}, bots_class="Plain")
    threading.Timer(0.1, swarm.stop).start()
    began_s = time.monotonic()
    with pytest.raises(NotReadyError):
        swarm.start()
    assert time.monotonic() - began_s < 20


def test_the_orchestrators_side_does_not_import_locust() -> None:
    program = "import sys, chaosctl.swarm.launcher; sys.exit('locust' in sys.modules or 'gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_config_survives_its_pipe() -> None:
    config = SwarmConfig("r", "/b", 1, "/f.py", None, {"a": ("h:1",)}, (("a-0", "a", "7:a-0"),), 2.5, {"x": [1]}, 3, 9)
    assert SwarmConfig.from_json(config.to_json()) == config
