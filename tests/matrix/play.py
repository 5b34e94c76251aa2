"""Runs a case from the command line, as a user would, and reads what its verdict says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.cases import Case

WITHIN_S = 180.0


@dataclass(frozen=True)
class Outcome:
    """What became of a case: the status of every finding by its name, and what is wrong with that, a sentence each."""

    case: Case
    exit_code: int
    statuses: Mapping[str, str]
    wrong: tuple[str, ...]


def play(case: Case, folder: Path, *, seed: int = 1) -> Outcome:
    """Run the case into `folder/<its name>-<seed>`, over the embedded relay."""
    bundle = folder / f"{case.name}-{seed}"
    said = bundle.with_suffix(".txt")
    command = [sys.executable, "-m", "chaosctl", "run", case.file, "--relay", "embedded", "--seed", seed]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHAOSCTL_", "ARENA_"))}
    env = {**clean, **case.env, "ARENA_DEFECT": case.defect, "XDG_STATE_HOME": str(folder / "state")}
    with said.open("wb") as out:
        try:
            code = subprocess.run(
                [str(word) for word in (*command, "--out", bundle)],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=WITHIN_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return Outcome(case, -1, {}, (f"it did not end within {WITHIN_S:g} s; see {said}",))
    try:
        verdict = json.loads((bundle / "verdict.json").read_text())
    except OSError:
        return Outcome(case, code, {}, (f"it left no verdict; see {said}",))
    if verdict["ended"] != "completed":
        return Outcome(case, code, {}, (f"the run was not played to its end: {verdict['ended']}; see {said}",))
    statuses = {one["name"]: one["status"] for one in verdict["objectives"]}
    whys = {one["name"]: one["why"] for one in verdict["objectives"]}
    wrong = complaints(case, statuses, whys)
    if not case.defect and code != 0 and not wrong:
        wrong = (f"it ended with code {code}; see {said}",)
    return Outcome(case, code, statuses, wrong)


def complaints(case: Case, statuses: Mapping[str, str], whys: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is wrong: a defect that was not caught by what is meant for it, and alarms that nothing explains."""
    found = []
    if case.defect and not any(case.is_meant(name) and status == "fail" for name, status in statuses.items()):
        seen = {name: status for name, status in statuses.items() if case.is_meant(name)}
        found.append(f"not caught by {' or '.join(case.caught_by)}: {seen or 'no such finding'}")
    for name, status in statuses.items():
        if status != "pass" and not case.is_meant(name) and case.explanation(name) is None:
            found.append(f"{name} is {status} without a reason: {whys.get(name, '')}")
    return tuple(found)
