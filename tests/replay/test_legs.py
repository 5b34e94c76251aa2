"""Replays that take two processes, and logs that come in pieces: of programs that can, cannot, or do so wrongly."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from chaosctl.experiment.model import Replay
from chaosctl.recording.factors import Factor
from chaosctl.replay.canary import Sighting
from chaosctl.replay.legs import cut_of
from chaosctl.replay.perturb import NotHereError
from chaosctl.replay.perturbed import Perturbing
from chaosctl.replay.run import ReplayRun
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import MS, Truth, make

pytestmark = pytest.mark.e2e

# Adds up its log, a number a tick; {restored} is done when it goes on from a state.
ADDER = """
import json, os, sys
log, arguments = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
total, odd, begun = 0, 0, -1
kept = os.path.join(arguments["--data"], "kept") if "--data" in arguments else arguments.get("--snapshot")
if kept and os.path.exists(kept):
    begun, total, odd = json.load(open(kept))
    {restored}
for tick, line in enumerate(open(log)):
    if tick <= begun:
        continue
    total += int(line)
    odd += int(line) % 2
    said = {{"tick": tick, "digest": f"{{total}} {{odd}}"}}
    if "--states" in arguments:
        said["state"] = {{"total": total, "odd": odd}}
    if "--data" in arguments and tick % 10 == 0:
        with open(kept + ".new", "w") as file:
            json.dump([tick, total, odd], file)
        os.replace(kept + ".new", kept)
    if arguments.get("--at") == str(tick):
        json.dump([tick, total, odd], open(arguments["--to"], "w"))
    print(json.dumps(said))
"""
OFFERS: dict[str, Any] = {
    "snapshot": {"write": ["--at", "${tick}", "--to", "${snapshot}"], "from": ["--snapshot", "${snapshot}"]},
    "keep": ["--data", "${state}"],
    "states": ["--states", "${from_tick}-${to_tick}"],
}
TICKS = 2_000


def judged(
    folder: Path, factor: Factor, restored: str = "", program: str | None = None, **offers: Any
) -> tuple[Finding, list[dict[str, Any]]]:
    """Replay the program twice plainly, then under the factor; return the factor's finding and all rows."""
    code = program or ADDER.format(restored=restored or "pass")
    said = {"run": [sys.executable, "-S", "-c", code, "${input_log}"], "within": "20s", **(offers or OFFERS)}
    recording = make(folder, Truth())
    log, abort = recording.folder / "inputs" / "world-0.log", threading.Event()
    log.write_text("".join(f"{n}\n" for n in range(TICKS)))
    events: list[tuple[str, dict[str, Any]]] = []

    def finished(run: ReplayRun) -> None:
        events.append(("replay_finished", run.as_event()))

    def sighted(sighting: Sighting) -> None:
        events.append(("replay_canary", asdict(sighting)))

    Perturbing(
        Replay.model_validate(said), log, recording.folder, folder, dict(os.environ), abort, sighted, finished
    ).plain_and_all(2, [factor])
    with (recording.folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"at_ns": MS, "event": name, **fields}) + "\n" for name, fields in events)
    opened = type(recording).open(recording.folder)
    checked = CHECKER.check(opened, ReplayParams(runs=2, perturb=(factor,)))
    plain, finding = checked.findings
    assert plain.status is Status.PASS
    return finding, list(checked.tables["replays"])


@pytest.mark.parametrize("factor", [Factor.SNAPSHOT, Factor.RESTART, Factor.STDIN_CHUNKS])
def test_a_program_that_keeps_all_of_its_state_is_deterministic(factor: Factor, tmp_path: Path) -> None:
    finding, rows = judged(tmp_path, factor)
    assert finding.status is Status.PASS, finding.why
    seen = {
        Factor.SNAPSHOT: "given the snapshot of tick 1000 began at tick 1001, a fresh one begins at tick 0",
        Factor.RESTART: "it was killed by us (SIGKILL) when it had printed tick 1",
        Factor.STDIN_CHUNKS: "sees reads of [1, 1, 1] bytes",
    }
    assert seen[factor] in finding.why
    second = rows[-1]
    if factor is Factor.SNAPSHOT:
        assert (second["run"], second["compared"]) == ("perturb-snapshot-2", 999)


@pytest.mark.parametrize("factor", [Factor.SNAPSHOT, Factor.RESTART])
def test_a_program_that_forgets_something_is_broken_by_it(factor: Factor, tmp_path: Path) -> None:
    finding, rows = judged(tmp_path, factor, "odd = 0")
    assert finding.status is Status.FAIL
    assert f"broken by it: perturb-{factor}-2 parts from replay-1 at tick 1" in finding.why
    assert rows[-1]["diff"][0]["path"] == "odd"


@pytest.mark.parametrize(
    ("factor", "said"), [(Factor.SNAPSHOT, "offers no `snapshot`"), (Factor.RESTART, "offers no `keep`")]
)
def test_what_the_service_does_not_offer_is_not_tested(factor: Factor, said: str, tmp_path: Path) -> None:
    finding, _ = judged(tmp_path, factor, states=OFFERS["states"])
    assert finding.status is Status.INCONCLUSIVE
    assert finding.why.startswith(f"not tested: because the service {said}")


@pytest.mark.parametrize("factor", [Factor.SNAPSHOT, Factor.RESTART])
def test_a_program_that_begins_anew_shows_nothing(factor: Factor, tmp_path: Path) -> None:
    finding, _ = judged(tmp_path, factor, "begun, total, odd = -1, 0, 0")
    assert finding.status is Status.INCONCLUSIVE
    assert "began at tick 0 nevertheless" in finding.why


def test_a_snapshot_that_is_not_written_or_cannot_be_read_is_not_tested(tmp_path: Path) -> None:
    unwritten = {**OFFERS, "snapshot": {"write": ["--quietly", "nothing"], "from": ["--snapshot", "${snapshot}"]}}
    finding, _ = judged(tmp_path / "one", Factor.SNAPSHOT, **unwritten)
    assert finding.why == "not tested: because no snapshot of tick 1000 was written"
    finding, _ = judged(tmp_path / "two", Factor.SNAPSHOT, "sys.exit('cannot read it')")
    assert "perturb-snapshot-2: it exited with code 1: cannot read it" in finding.why
    assert finding.status is Status.INCONCLUSIVE


def test_a_program_that_has_ended_before_it_could_be_killed_shows_nothing(tmp_path: Path) -> None:
    program = """
import json, os
os.write(1, "".join(json.dumps({"tick": tick, "digest": tick}) + chr(10) for tick in range(3)).encode())
"""
    finding, _ = judged(tmp_path, Factor.RESTART, program=program)
    assert finding.status is Status.INCONCLUSIVE
    assert "before it could be killed at tick 1" in finding.why


def test_a_log_that_is_read_in_one_go_from_a_pipe_is_read_wrongly(tmp_path: Path) -> None:
    program = """
import json, os, sys
log = os.open(sys.argv[1], os.O_RDONLY)
length = len(os.read(log, 65536))
[print(json.dumps({"tick": tick, "digest": length + tick})) for tick in range(5)]
"""
    finding, _ = judged(tmp_path, Factor.STDIN_CHUNKS, program=program, keep=["--x"])
    assert finding.status is Status.FAIL
    assert "perturb-stdin-chunks-1 parts from replay-1 at tick 0" in finding.why


def test_a_program_that_cannot_read_a_pipe_is_not_tested(tmp_path: Path) -> None:
    program = """
import json, sys
with open(sys.argv[1], "rb") as log:
    log.seek(0, 2)
    length = log.tell()
print(json.dumps({"tick": 0, "digest": length}))
"""
    finding, _ = judged(tmp_path, Factor.STDIN_CHUNKS, program=program, keep=["--x"])
    assert finding.status is Status.INCONCLUSIVE
    assert "not tested: because perturb-stdin-chunks-1: it exited with code 1" in finding.why
    assert "Illegal seek" in finding.why or "seekable" in finding.why


def test_a_program_that_never_reads_its_log_is_not_waited_for(tmp_path: Path) -> None:
    program = "import json; print(json.dumps({'tick': 0, 'digest': 0}))"
    finding, _ = judged(tmp_path, Factor.STDIN_CHUNKS, program=program, keep=["--x"])
    assert finding.status is Status.PASS


def test_a_replay_is_cut_at_a_tick_that_it_printed() -> None:
    assert cut_of((3, 6, 9, 12)) == 9
    with pytest.raises(NotHereError, match="of 2 ticks cannot be cut"):
        cut_of((0, 1))
