"""The Redis bots against a real redis-server: what they say they wrote is what is there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.exchange import exchange
from chaosctl.experiment.model import Hello
from chaosctl.recording.columns import read_history
from chaosctl.verify.measure.objects import judge_object, objects
from chaosctl.verify.measure.search import Answer, Budget
from tests.swarm.playground import StartSwarm, until

ROOT = Path(__file__).parents[2]
PING = Hello(send="PING\r\n", expect="+PONG")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    serve = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    try:
        until(lambda: exchange(address, PING, 1.0).outcome == "answered")
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.mark.e2e
@pytest.mark.needs("redis")
def test_what_was_acknowledged_is_read_back(make_swarm: StartSwarm, redis: str) -> None:
    swarm, heard, bundle = make_swarm(
        ROOT / "bots/redis.py", {"all": (redis,)}, {"all": 5}, rate_per_s=20.0, bots_class="Writer"
    )
    swarm.start()
    swarm.users(5, 0.0)
    until(lambda: sum(line["operations"] for line in heard.of("generator")) > 80)
    swarm.end_load(3.0)
    audited = swarm.audit(5.0)
    swarm.stop()
    assert (audited["bots"], audited["failed"]) == (5, 0)
    lines = [json.loads(line) for line in (bundle / "history.jsonl").read_text().splitlines()]
    acknowledged: dict[str, int] = {}
    for line in lines:
        if line["f"] == "add" and line["mark"] == "ok":
            acknowledged[line["key"]] = int(line["value"])
    read = {line["key"]: line["value"] for line in lines if line["f"] == "read" and line["mark"] == "ok"}
    assert read == {key: f"1-{last}" for key, last in acknowledged.items()}
    assert len(read) == 5
    assert not heard.of("bot_error")


@pytest.mark.e2e
@pytest.mark.needs("redis")
def test_what_registers_answered_fits_one_order(make_swarm: StartSwarm, redis: str) -> None:
    swarm, heard, bundle = make_swarm(
        ROOT / "bots/redis.py", {"all": (redis,)}, {"all": 5}, rate_per_s=20.0, bots_class="Registers"
    )
    swarm.start()
    swarm.users(5, 0.0)
    until(lambda: sum(line["operations"] for line in heard.of("generator")) > 150)
    swarm.end_load(3.0)
    audited = swarm.audit(5.0)
    swarm.stop()
    assert (audited["bots"], audited["failed"]) == (5, 0)
    history = read_history(bundle / "history.jsonl", lambda sentence: None)
    assert {"write", "get", "cas"} <= set(history.fs)
    found = objects(history)
    assert len(found) == 5
    budget = Budget(500_000, 1, lambda: 0)
    assert {judge_object(history, one, budget).answer for one in found} == {Answer.YES}
    assert not heard.of("bot_error")


def test_ranges() -> None:
    program = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("redis_bot", {str(ROOT / "bots/redis.py")!r})
bot = importlib.util.module_from_spec(spec); spec.loader.exec_module(bot)
sys.exit([bot.ranges(one) for one in ([], [3], [2, 1, 3, 7, 9, 8, 12, 2])] != ["", "3", "1-3,7-9,12"])
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
