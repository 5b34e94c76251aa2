"""Undoing a fault on a container in another process, from nothing but its data, as the keeper and `restore` do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from chaosctl.faults.registry import faults
from chaosctl.safety.undo import Undo, to_json
from tests.faults.boxes import Box
from tests.faults.conftest import params_of

ELSEWHERE = (
    "import json, sys; from chaosctl.safety.undo import from_json, play;"
    "played = [play(from_json(one), 5.0) for one in json.loads(sys.argv[1])];"
    "print(*(one.text for one in played), sep='; '); sys.exit(not all(one.done for one in played))"
)


def undo_elsewhere(actions: Sequence[Undo]) -> str:
    """Play it there and return what was said of it."""
    data = json.dumps([to_json(action) for action in actions])
    ran = subprocess.run([sys.executable, "-c", ELSEWHERE, data], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


def undo_of(name: str, running: Box, /, **written: object) -> tuple[Undo, ...]:
    """Return what would undo this fault."""
    fault = faults()[name]
    return fault.prepare("f1", running.place, params_of(fault, written))
