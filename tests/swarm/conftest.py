"""A line server, and swarms that are stopped at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.launcher import Swarm
from tests.swarm.playground import BOTS, Heard, LineServer, StartSwarm


@pytest.fixture
def server() -> Iterator[LineServer]:
    line_server = LineServer()
    yield line_server
    line_server.close()


@pytest.fixture
def make_swarm(tmp_path: Path) -> Iterator[StartSwarm]:
    """Make swarms that are stopped at the end, whatever happened."""
    swarms: list[Swarm] = []

    def make(
        bots: str | Path, addresses: Mapping[str, tuple[str, ...]], users: Mapping[str, int], **config: Any
    ) -> Any:
        bundle = tmp_path / f"bundle{len(swarms)}"
        (bundle / "samples").mkdir(parents=True)
        seed = config.pop("seed", 7)
        made = SwarmConfig(
            run_id="test-run",
            bundle=str(bundle),
            origin_monotonic_ns=time.monotonic_ns(),
            bots_file=str(BOTS / bots),
            bots_class=config.pop("bots_class", None),
            addresses=addresses,
            bots=tuple((f"{c}-{i}", c, f"{seed}:{c}-{i}") for c, n in users.items() for i in range(n)),
            seed=seed,
            **config,
        )
        heard = Heard()
        swarm = Swarm(made, heard, dict(os.environ), tmp_path / f"swarm{len(swarms)}.log")
        swarms.append(swarm)
        return swarm, heard, bundle

    yield make
    for swarm in swarms:
        swarm.stop()
