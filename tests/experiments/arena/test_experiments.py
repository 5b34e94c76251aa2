"""The arena's experiments are valid, and its bots play: with real Locust, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from arena.bank import TREASURY
from chaosctl.experiment.loader import load_experiment
from chaosctl.faults.registry import fault_kinds
from chaosctl.verify.registry import objective_kinds
from tests.experiments.arena.deployment import ARENA, Deployment

FOLDER = ARENA
NAMES = (
    *("world-crash", "long-outage", "slow-link", "gateway-loss", "ledger-partition", "bad-release", "random-faults"),
    *("leader-kill", "parted-worlds", "split-brain", "one-way", "slow-ledger"),
)
NS_PER_S = 1_000_000_000


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_valid_and_lasts_under_a_minute(name: str) -> None:
    loaded = load_experiment(FOLDER / f"{name}.yaml", fault_kinds(), objective_kinds(), environ={})
    experiment = loaded.experiment
    assert experiment.name == name
    load_ns = experiment.swarm.ramp_ns + experiment.baseline_ns + experiment.duration_ns
    assert load_ns <= 40 * NS_PER_S


def test_a_defect_is_planted_from_outside() -> None:
    environ = {"ARENA_DEFECT": "wall-clock"}
    loaded = load_experiment(FOLDER / "world-crash.yaml", fault_kinds(), objective_kinds(), environ=environ)
    services = loaded.experiment.target.services
    assert services["world"].env == services["ledger"].env == environ


PLAY = """
import json, random, sys
from locust.env import Environment
from bots.arena import Player

class Written:
    def __init__(self):
        self.lines, self.ids = [], 0
    def next_id(self):
        self.ids += 1
        return self.ids
    def sample(self, *fields, **more):
        pass
    def history(self, at_ns, mark, id, bot, f, key, value):
        self.lines.append([mark.name, id, bot, f, key, value])

def player(name, address):
    kind = type(name, (Player,), {"abstract": True})
    kind.name, kind.cohort, kind.seed, kind.options = name, "all", name, {}
    kind.random, kind.addresses, kind.recorder = random.Random(name), (address,), written
    return kind(Environment(user_classes=[]))

written = Written()
bots = [player(f"near-{n}", sys.argv[1 + n % 2]) for n in range(4)]
for _ in range(int(sys.argv[3])):
    for bot in bots:
        bot.turn()
for bot in bots:
    bot.hang_up("cut")
    bot.turn()
    bot.audit()
print(json.dumps(written.lines))
"""


@pytest.mark.e2e
def test_bots_play_and_read_back_what_they_were_promised(tmp_path: Path) -> None:
    turns = 25
    with Deployment(tmp_path) as arena:
        done = subprocess.run(
            [sys.executable, "-c", PLAY, arena.at["gateway-0"], arena.at["gateway-1"], str(turns)],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert arena.gold() == TREASURY
    lines = json.loads(done.stdout.splitlines()[-1])
    for bot in (f"near-{n}" for n in range(4)):
        mine = [line for line in lines if line[2] == bot]
        added = [line[5] for line in mine if line[0] == "OK" and line[3] == "add"]
        assert added == [str(n) for n in range(1, len(added) + 1)]
        reads = [int(line[5].removeprefix("1-") or 0) for line in mine if line[0] == "OK" and line[3] == "read"]
        assert len(added) + len(reads) == turns + 3  # one more after the cut, and one in the audit
        assert reads == sorted(reads)
        assert reads[-1] == len(added)
        assert [line[5] for line in mine if line[3] == "session"] == ["open", "cut", "resumed"]
        # Told again after the cut, and no news then.
        assert sorted(line[4:] for line in mine if line[3] == "version") == [["gateway", "1"], ["world", "1"]]
