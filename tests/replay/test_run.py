"""Replays as real processes: what they print is kept, and everything that can go wrong with them is said."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import RecordingError
from chaosctl.experiment.model import Offers, Replay
from chaosctl.replay import run as module
from chaosctl.replay.run import ReplayRun, collect, first_difference, replay_all, replay_once

pytestmark = pytest.mark.e2e

# Adds up the numbers of its input log, one a tick; its digest is the sum, and with --states so is its state.
ADDER = """
import json, os, sys
log, salt = sys.argv[1], os.environ.get("SALT", "")
window = sys.argv[3].split("-") if "--states" in sys.argv else None
total = 0
for tick, line in enumerate(open(log)):
    total += int(line)
    said = {"tick": tick, "digest": f"{total}{salt if tick >= 2 else ''}"}
    if window and int(window[0]) <= tick <= int(window[1]):
        said["state"] = {"total": total}
    print(json.dumps(said))
"""
# As it, but from the third tick on its digest is another in each process.
WAVERS = ADDER.replace('os.environ.get("SALT", "")', "str(os.getpid())")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "world-0.log").write_text("".join(f"{n}\n" for n in range(10)))
    return tmp_path


def offered(program: str, within: str = "20s", *, states: bool = True) -> Replay:
    said: dict[str, Any] = {"run": [sys.executable, "-c", program, "${input_log}"], "within": within}
    return Replay.model_validate(said | ({"states": ["--states", "${from_tick}-${to_tick}"]} if states else {}))


def once(bundle: Path, replay: Replay, abort: threading.Event | None = None, **rest: Any) -> ReplayRun:
    log, out = bundle / "inputs" / "world-0.log", bundle / "digests" / "replay-1.jsonl"
    return replay_once(
        replay,
        name="replay-1",
        input_log=log,
        out=out,
        folder=bundle,
        env=dict(os.environ),
        abort=abort or threading.Event(),
        **rest,
    )


def everything(bundle: Path, replay: Replay, runs: int = 3) -> tuple[ReplayRun, ...]:
    log = bundle / "inputs" / "world-0.log"
    return replay_all(
        replay,
        runs=runs,
        input_log=log,
        bundle=bundle,
        folder=bundle,
        env=dict(os.environ),
        abort=threading.Event(),
    )


def test_a_replay_leaves_its_lines_and_says_how_it_went(bundle: Path) -> None:
    assert once(bundle, offered(ADDER)) == ReplayRun("replay-1", 0, 10, None)
    lines = (bundle / "digests" / "replay-1.jsonl").read_text().splitlines()
    assert lines[3] == '{"tick": 3, "digest": "6"}'


def test_states_are_printed_for_the_window_only(bundle: Path) -> None:
    assert once(bundle, offered(ADDER), states=(4, 6)).error is None
    lines = (bundle / "digests" / "replay-1.jsonl").read_text().splitlines()
    assert [n for n, line in enumerate(lines) if "state" in line] == [4, 5, 6]


def test_every_copy_has_a_state_folder_of_its_own_that_is_gone_after(bundle: Path) -> None:
    program = (
        "import os, sys; d = sys.argv[1]; print(os.listdir(d), d, file=sys.stderr); open(d + '/x', 'w'); sys.exit(1)"
    )
    replay = Replay(run=(sys.executable, "-c", program, "${state}"))
    first, second = once(bundle, replay).error, once(bundle, replay).error
    assert first is not None and second is not None
    assert first.count("[]") == second.count("[]") == 1
    assert first != second
    assert not Path(first.split()[-1]).exists()


@pytest.mark.parametrize(
    ("program", "code", "ticks", "sentence"),
    [
        ("import sys; print('no such tick', file=sys.stderr); sys.exit(3)", 3, 0, "exited with code 3: no such tick"),
        ("import os; os.kill(os.getpid(), 11)", -11, 0, "ended by SIGSEGV"),
        ("print('hello')", 0, 0, "line 1 is not"),
        ("print('{\"tick\": 1, \"dig', end='')", 0, 0, "its last line is cut"),
        ("pass", 0, 0, "it printed no tick"),
        ('print(\'{"tick": 1, "digest": 1}\'); 1 / 0', 1, 1, "ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_is_said(bundle: Path, program: str, code: int, ticks: int, sentence: str) -> None:
    run = once(bundle, offered(program))
    assert (run.code, run.ticks) == (code, ticks)
    assert run.error is not None and sentence in run.error


def test_a_replay_that_hangs_is_ended_with_its_children(bundle: Path) -> None:
    forks = "import os, sys, time; pid = os.fork(); pid and (print(pid, file=sys.stderr, flush=True)); time.sleep(60)"
    run = once(bundle, offered(forks, within="400ms"))
    assert run.code is None
    assert run.error is not None and "did not end within 400ms" in run.error
    child = int(run.error.split()[-1])
    until_s = time.monotonic() + 5
    while alive(child) and time.monotonic() < until_s:
        threading.Event().wait(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_replay_that_closed_its_output_is_still_waited_for_and_bounded(bundle: Path) -> None:
    run = once(bundle, offered("import os, time; os.close(1); os.close(2); time.sleep(60)", within="300ms"))
    assert run.error is not None and "did not end" in run.error


def test_a_replay_that_prints_without_end_is_ended(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**20)
    run = once(bundle, offered("while True: print('x' * 1000)"))
    assert run.error is not None and "more than 1 MiB" in run.error
    assert (bundle / "digests" / "replay-1.jsonl").stat().st_size < 2 * 2**20


def test_an_interrupted_replay_ends_at_once(bundle: Path) -> None:
    abort = threading.Event()
    abort.set()
    assert once(bundle, offered("import time; time.sleep(60)"), abort).error == "interrupted"


def test_a_command_that_is_not_there_is_said(bundle: Path) -> None:
    error = once(bundle, Replay(run=("./no-such-program",))).error
    assert error is not None and "cannot start ./no-such-program" in error


def test_a_placeholder_without_a_value_is_said(bundle: Path) -> None:
    error = once(bundle, Replay(run=("true", "${self.main}"))).error
    assert error is not None and "self.main" in error


def test_a_bundle_that_cannot_be_written_is_an_error_of_ours(bundle: Path) -> None:
    (bundle / "digests").write_text("in the way")
    with pytest.raises(RecordingError, match="cannot write"):
        once(bundle, offered(ADDER))


def test_replays_that_agree_need_no_states(bundle: Path) -> None:
    runs = everything(bundle, offered(ADDER), runs=2)
    assert [run.name for run in runs] == ["replay-1", "replay-2"]
    assert sorted(path.name for path in (bundle / "digests").iterdir()) == ["replay-1.jsonl", "replay-2.jsonl"]


def test_where_replays_part_their_states_are_asked_for(bundle: Path) -> None:
    told: list[str] = []
    runs = replay_all(
        offered(WAVERS),
        runs=2,
        input_log=bundle / "inputs" / "world-0.log",
        bundle=bundle,
        folder=bundle,
        env=dict(os.environ),
        abort=threading.Event(),
        finished=lambda run: told.append(run.name),
    )
    assert told == [run.name for run in runs] == ["replay-1", "replay-2", "states-replay-1", "states-replay-2"]
    for n in (1, 2):
        lines = (bundle / "digests" / f"states-replay-{n}.jsonl").read_text().splitlines()
        assert [tick for tick, line in enumerate(lines) if "state" in line] == [1, 2, 3]


def test_where_the_live_run_parts_from_its_replays_states_are_asked_for(bundle: Path) -> None:
    once(bundle, offered(ADDER))
    lines = (bundle / "digests" / "replay-1.jsonl").read_text().splitlines()
    lines[7] = '{"tick": 7, "digest": "other"}'
    (bundle / "digests" / "live.jsonl").write_text("\n".join(lines) + "\n")
    assert len(everything(bundle, offered(ADDER), runs=1)) == 3
    assert len(everything(bundle, offered(ADDER, states=False), runs=1)) == 1


def test_a_live_run_that_ended_earlier_gives_no_state_to_compare(bundle: Path) -> None:
    once(bundle, offered(ADDER))
    path = bundle / "digests" / "replay-1.jsonl"
    short = bundle / "digests" / "live.jsonl"
    short.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    assert first_difference([short, path]) is None
    assert first_difference([bundle / "digests" / "absent.jsonl", path]) is None


def test_what_a_service_left_is_collected_into_the_bundle(tmp_path: Path) -> None:
    state, bundle = tmp_path / "state", tmp_path / "bundle"
    state.mkdir()
    (state / "in.log").write_bytes(b"1\n2\n")
    offers = Offers(input_log="${state}/in.log", digests="${state}/digests.jsonl")
    found = collect(offers, service="world", index=0, values={"state": str(state)}, folder=tmp_path, bundle=bundle)
    assert found.input_log == bundle / "inputs" / "world-0.log"
    assert found.input_log.read_bytes() == b"1\n2\n"
    assert found.digests is None
    assert len(found.missing) == 1 and "world[0] offers digests" in found.missing[0]


def test_nothing_offered_is_nothing_missing(tmp_path: Path) -> None:
    found = collect(Offers(), service="world", index=0, values={}, folder=tmp_path, bundle=tmp_path)
    assert (found.input_log, found.digests, found.missing) == (None, None, ())
