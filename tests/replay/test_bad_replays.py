"""Replay commands and input logs that go wrong: nothing passes or is waited for, and the verdict says why."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from chaosctl.experiment.model import Replay
from chaosctl.recording.factors import Factor
from chaosctl.recording.reader import Recording
from chaosctl.replay.perturbed import Perturbing
from chaosctl.verify.contract import Checked, Status
from chaosctl.verify.measure.comparable import damage
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import MS, Truth, make

pytestmark = pytest.mark.e2e

# A tick a line of the log; what {then} says comes after.
LINES = """
import json, sys, time
def say(tick, digest): print(json.dumps({{"tick": tick, "digest": digest}}), flush=True)
ticks = [json.loads(line)["tick"] for line in open(sys.argv[1]) if line.endswith(chr(10))]
for tick in ticks:
    say(tick, f"{{tick:032x}}")
{then}
"""
LOG = "".join(json.dumps({"tick": tick, "inputs": []}) + "\n" for tick in range(20))


def judged(
    folder: Path, program: str, log: str = LOG, within: str = "20s", perturb: Sequence[Factor] = (), live: str = ""
) -> Checked:
    """Replay `log` twice with the program, and judge that beside what the live run left."""
    recording = make(folder, Truth())
    path, events = recording.folder / "inputs" / "world-0.log", []
    path.write_text(log)
    (recording.folder / "digests" / "live.jsonl").write_text(live)
    said = {"run": [sys.executable, "-S", "-c", program, "${input_log}"], "within": within}
    Perturbing(
        replay=Replay.model_validate(said),
        input_log=path,
        bundle=recording.folder,
        folder=folder,
        env=dict(os.environ),
        abort=threading.Event(),
        sighted=lambda seen: events.append(("replay_canary", asdict(seen))),
        finished=lambda run: events.append(("replay_finished", run.as_event())),
    ).plain_and_all(2, perturb)
    with (recording.folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"at_ns": MS, "event": name, **fields}) + "\n" for name, fields in events)
    opened = Recording.open(recording.folder)
    return CHECKER.check(opened, ReplayParams.model_validate({"runs": 2, "perturb": perturb}))


def refused(checked: Checked) -> str:
    """Return why the replays show nothing."""
    finding = checked.findings[0]
    assert finding.status is Status.INCONCLUSIVE, finding.why
    return finding.why


def test_what_goes_well_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, LINES.format(then="")).findings[0].status is Status.PASS


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("time.sleep(60)", "replay-1: it did not end within 400ms and was killed"),
        ("print('no more', file=sys.stderr); sys.exit(3)", "replay-1: it exited with code 3: no more"),
        ('sys.stdout.write(\'{"tick": 20, "dig\')', 'replay-1: its last line is cut: \'{"tick": 20, "dig\''),
        ("say(3, 'd')", "replay-1: line 21: tick 3 comes after tick 19; print them in order, once"),
        ("say(20, 'd' * 32)", "replay-1: it has ticks up to 20, and its input log ends at tick 19"),
        ("print('done')", 'replay-1: line 21 is not {"tick": n, "digest": "..."}: \'done\''),
    ],
)
def test_what_a_command_does_wrong_is_the_reason(then: str, reason: str, tmp_path: Path) -> None:
    within = "400ms" if "sleep" in then else "20s"
    assert reason in refused(judged(tmp_path, LINES.format(then=then), within=within))


def test_after_plain_replays_that_hang_no_factor_is_tried(tmp_path: Path) -> None:
    checked = judged(tmp_path, "import time; time.sleep(60)", within="300ms", perturb=(Factor.TIMEZONE, Factor.PACE))
    assert {finding.status for finding in checked.findings} == {Status.INCONCLUSIVE}
    assert [row["run"] for row in checked.tables["replays"]] == ["replay-1", "replay-2"]
    assert checked.findings[1].why == "not tested: because no plain replay came to a good end"


def test_ticks_that_another_replay_does_not_have_are_named(tmp_path: Path) -> None:
    once_more = "open('again', 'x') if not __import__('os').path.exists('again') else say(20, 'x')"
    log = "".join(f"{n}\n" for n in range(20))
    program = LINES.format(then=once_more).replace('json.loads(line)["tick"]', "int(line)")
    assert "replay-2: it has ticks that replay-1 does not have: 1" in refused(judged(tmp_path, program, log))


def test_digests_of_another_length_are_no_divergence(tmp_path: Path) -> None:
    live = "".join(json.dumps({"tick": tick, "digest": f"{tick:064x}"}) + "\n" for tick in range(20))
    why = refused(judged(tmp_path, LINES.format(then=""), live=live))
    assert "replay-1: its digests have 32 characters and those of live 64" in why


def test_a_torn_last_record_is_tolerated_and_said(tmp_path: Path) -> None:
    program = LINES.format(then="print('the last 9 bytes are a torn record', file=sys.stderr)")
    (finding,) = judged(tmp_path, program, LOG + '{"tick":2').findings
    assert finding.status is Status.PASS
    assert finding.why.endswith("it said: the last 9 bytes are a torn record")


def test_a_log_that_is_damaged_in_the_middle_is_named_with_its_place(tmp_path: Path) -> None:
    program = LINES.format(then="print('the record at byte 123 is damaged', file=sys.stderr); sys.exit(4)")
    checked = judged(tmp_path, program)
    assert "replay-1: it exited with code 4: the record at byte 123 is damaged" in refused(checked)
    assert damage(checked.tables["replays"]) == "it exited with code 4: the record at byte 123 is damaged"
    assert damage(judged(tmp_path / "other", LINES.format(then="sys.exit(3)")).tables["replays"]) is None
    assert damage(()) is None
