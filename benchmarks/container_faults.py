"""From the call to the effect: how long kill, pause, disconnect and a split take on containers of the engine here.

    python benchmarks/container_faults.py [--times 20]

The effect is what the kernel shows: the main process has ended, is in the freezer, has no interface but loopback. It is
polled for, so each figure is too long by up to a millisecond or two. A split is of five containers into two groups,
until the last of them has its rules; its spread is the longest time that can lie between the first and the last. Prints
the median and the worst.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from chaosctl.deploy.contract import Setup
from chaosctl.deploy.docker import DockerDriver
from chaosctl.deploy.replica import SupervisedReplica
from chaosctl.experiment.model import Target
from chaosctl.faults.containers import interfaces
from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.safety.processes import running
from chaosctl.safety.undo import play

SERVICE = {
    "image": "debian:bookworm-slim",
    "run": ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"],
    "restart": {"after": "0ms", "at_most": 1000},
}
FIVE = {**SERVICE, "replicas": 5}
AIMS_S = {"kill": 0.5, "pause": 0.1, "disconnect": 0.2}
SPLIT_AIM_S, SPREAD_AIM_S = 0.5, 0.1
GROUPS = (("five[0]", "five[1]"), ("five[2]", "five[3]", "five[4]"))


def frozen(pid: int) -> bool:
    """Say whether the kernel has frozen it: by its freezer's state (version 1), or by events of its group (2)."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "freezer":
            return Path(f"/sys/fs/cgroup/freezer{path}/freezer.state").read_text().strip() == "FROZEN"
        if not names and (events := Path(f"/sys/fs/cgroup{path}/cgroup.events")).is_file():
            return "frozen 1" in events.read_text()
    return False


def wait_for(is_so: Callable[[], bool]) -> None:
    """Poll for it, for at most 10 s."""
    end_s = time.monotonic() + 10
    while not is_so():
        if time.monotonic() > end_s:
            raise SystemExit("the effect did not come")
        time.sleep(0.0005)


def once(name: str, replica: SupervisedReplica) -> float:
    """Inject, wait for the effect, heal; return the seconds from the call to the effect."""
    fault, place = faults()[name], Place("one", processes=(replica,), held=True)
    params = fault.kind.params()
    wait_for(lambda: replica.pid() is not None)
    pid, ticks = replica.pid() or 0, replica.start_ticks() or 0
    effect = {
        "kill": lambda: running(pid, ticks) is None,
        "pause": lambda: frozen(pid),
        "disconnect": lambda: interfaces(pid) == {"lo"},
    }[name]
    undo = fault.prepare("f1", place, params)
    called_s = time.monotonic()
    injecting = threading.Thread(target=fault.inject, args=("f1", place, params, time.monotonic_ns))
    injecting.start()
    wait_for(effect)
    took_s = time.monotonic() - called_s
    injecting.join()
    for action in undo:
        if not (played := play(action, 10.0)).done:
            raise SystemExit(played.text)
    fault.restore("f1", replace(place, held=name == "kill"), params)
    return took_s


def split_once(place: Place) -> tuple[float, float]:
    """Split, and undo it; return the seconds from the call to its return, and those between the first and the last."""
    fault = faults()["split"]
    params = fault.kind.params(groups=GROUPS)
    undo = fault.prepare("f1", place, params)
    applied = fault.inject("f1", place, params, time.monotonic_ns)
    for action in undo:
        if not (played := play(action, 10.0)).done:
            raise SystemExit(played.text)
    return (applied.returned_ns - applied.called_ns) / 1e9, applied.memo["within_ns"] / 1e9


def show(name: str, took_s: Iterable[float], aim_s: float) -> None:
    """Print one line."""
    ordered_s = sorted(took_s)
    median_s = statistics.median(ordered_s)
    met = "" if median_s <= aim_s else "  MISSED"
    print(f"{name:<11} median {median_s * 1e3:6.1f} ms, worst {ordered_s[-1] * 1e3:6.1f} ms, aim {aim_s} s{met}")


def main() -> None:
    """Measure each fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(
            target=Target.model_validate({"driver": "docker", "services": {"one": SERVICE, "five": FIVE}}),
            folder=Path(folder),
            bundle=Path(folder) / "bundle",
            run_id=f"bench-{uuid.uuid4().hex[:8]}",
            origin_ns=time.monotonic_ns(),
            sink=lambda event, /, **fields: None,
            start_order=("one", "five"),
            environ=os.environ,
            abort=threading.Event(),
            on_lost=print,
        )
        driver = DockerDriver(setup)
        try:
            driver.allocate()
            driver.up({})
            for name, aim_s in AIMS_S.items():
                show(name, [once(name, driver.process("one", 0)) for _ in range(times)], aim_s)
            five = tuple(driver.process("five", index) for index in range(5))
            splits = [split_once(Place("five", processes=five, held=True, groups=GROUPS)) for _ in range(times)]
            show("split", (took_s for took_s, _ in splits), SPLIT_AIM_S)
            show("its spread", (spread_s for _, spread_s in splits), SPREAD_AIM_S)
        finally:
            driver.down()


if __name__ == "__main__":
    main()
