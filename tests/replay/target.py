"""A tiny target that replays lines of `{"tick": n, "inputs": [...]}`, and may depend on more than that."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaosctl.experiment.model import Replay
from chaosctl.replay.perturbed import Perturbing

# `set k v` and `add k n`; `stamp k` puts there what {depends} is, if `arm` came before. Other inputs are refused.
PROGRAM = """
import hashlib, json, os, sys, time
every, depends, covers = {every}, lambda: {depends}, {covers!r}
window = [int(n) for n in sys.argv[sys.argv.index("--states") + 1].split("-")] if "--states" in sys.argv else [1, 0]
state, expected = {{}}, None
for line in open(sys.argv[1]):
    row = json.loads(line)
    tick = row["tick"]
    if expected is not None and tick != expected:
        sys.exit("tick %d stands where tick %d belongs" % (tick, expected))
    expected = tick + 1
    for kind, key, value in row["inputs"]:
        if kind == "set":
            state[key] = value
        elif kind == "add":
            state[key] = state.get(key, 0) + value
        elif kind == "stamp":
            state[key] = depends() if "armed" in state else value
        else:
            print("no such input: " + kind, file=sys.stderr)
            sys.exit(4)
        if covers == "inputs":
            seen = state.get("log", "") + json.dumps([tick, kind, key, value])
            state["log"] = hashlib.sha256(seen.encode()).hexdigest()
    shown = window[0] <= tick <= window[1]
    if shown or tick % every == 0:
        said = {{"tick": tick, "digest": hashlib.sha256(json.dumps(state).encode()).hexdigest()[:8]}}
        print(json.dumps(said | ({{"state": state}} if shown else {{}})))
"""
CHANCE = "int.from_bytes(os.urandom(4), 'big')"
ENV = {name: value for name, value in os.environ.items() if name not in ("PYTHONHASHSEED", "TZ")}

Inputs = Mapping[int, Sequence[Any]]


def program(depends: str = "0", every: int = 1, covers: str = "inputs") -> str:
    """Return the target's program. `covers`: its digests cover every input, or only what inputs leave in the state."""
    return PROGRAM.format(depends=depends, every=every, covers=covers)


def offered(depends: str = "0", every: int = 1, covers: str = "inputs") -> Replay:
    """Return what the target offers."""
    command = (sys.executable, "-S", "-c", program(depends, every, covers), "${input_log}")
    return Replay(run=command, states=("--states", "${from_tick}-${to_tick}"))


def log_of(ticks: int, inputs: Inputs) -> str:
    """Return a log of ticks 0 ... ticks - 1 with these inputs."""
    return "".join(json.dumps({"tick": n, "inputs": inputs.get(n, [])}) + "\n" for n in range(ticks))


class Told:
    """What was recorded, as a run records it."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, dict[str, Any]]] = []

    def as_event(self, name: str) -> Callable[[Any], None]:
        """Return what records one of that name."""
        return lambda one: self.events.append((1, name, one.as_event() if hasattr(one, "as_event") else asdict(one)))

    def all(self, name: str, ones: Iterable[Any]) -> None:
        """Record all of them."""
        for one in ones:
            self.as_event(name)(one)


def perturbing(bundle: Path, replay: Replay, told: Told) -> Perturbing:
    """Return what replays the log `inputs/world-0.log` of the bundle."""
    return Perturbing(
        replay=replay,
        input_log=bundle / "inputs" / "world-0.log",
        bundle=bundle,
        folder=bundle,
        env=ENV,
        abort=threading.Event(),
        sighted=told.as_event("replay_canary"),
        finished=told.as_event("replay_finished"),
    )
