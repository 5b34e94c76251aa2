"""Minimising with a real target: what is left is what it takes, in its format, with the command that shows it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from chaosctl.experiment.model import InputLines, Replay
from chaosctl.recording.factors import Factor
from chaosctl.replay.chance import replays_to_be_sure
from chaosctl.replay.inputs import InputLogs, NotEditableError, Tick, lines_of, numbered_like, parse
from chaosctl.replay.minimise import about, minimise
from chaosctl.replay.reproducer import Minimised
from tests.replay.target import CHANCE, ENV, Inputs, Told, log_of, offered, perturbing

pytestmark = pytest.mark.e2e

MINUTE_NS = 60_000_000_000
NOISE: Inputs = {n: [["set", f"k{n}", n], ["add", "n", n]] for n in range(16)}
# Of all these inputs, arming and stamping are what it takes.
LOG: Inputs = {**NOISE, 7: [*NOISE[7], ["set", "armed", 1]], 12: [["add", "n", 1], ["stamp", "x", 5], ["add", "n", 2]]}


def bundle_of(folder: Path, inputs: Inputs, ticks: int = 16) -> Path:
    for name in ("inputs", "digests"):
        (folder / name).mkdir()
    (folder / "inputs" / "world-0.log").write_text(log_of(ticks, inputs))
    return folder


def minimised(
    bundle: Path, replay: Replay, factors: tuple[Factor, ...] = (), within_ns: int = MINUTE_NS
) -> list[Minimised]:
    shared = perturbing(bundle, replay, Told())
    shared.plain_and_all(2, factors)
    return list(minimise(shared, factors, within_ns, bundle))


def test_what_parts_by_chance_is_cut_down_to_what_it_takes(tmp_path: Path) -> None:
    (found,) = minimised(bundle_of(tmp_path, LOG), offered(CHANCE))
    assert (found.factor, found.from_ticks, found.to_ticks, found.inputs) == ("plain", 16, 2, 2)
    assert found.minimal and found.why is None
    assert found.from_inputs == sum(map(len, LOG.values()))
    assert found.file == "reproducer/plain/input.log"
    log = tmp_path / found.file
    assert log.read_text().splitlines() == [
        '{"tick":0,"inputs":[["set","armed",1]]}',
        '{"tick":1,"inputs":[["stamp","x",5]]}',
    ]
    assert (log.parent / "inputs.jsonl").read_bytes() == log.read_bytes()
    assert found.shown == f"chaosctl replay {tmp_path} --input {log} --perturb none --runs 5"
    said = (log.parent / "README.txt").read_text()
    assert f"\n  {found.shown}\n" in said
    assert "Replays part at tick 1" in said and "  x: " in said
    assert "None of them can be left out." in said


def test_a_factor_that_parts_replays_is_minimised_under_it(tmp_path: Path) -> None:
    factors = (Factor.TIMEZONE, Factor.ENVIRONMENT)
    (found,) = minimised(bundle_of(tmp_path, LOG), offered("time.strftime('%z', time.localtime(0))"), factors)
    assert (found.factor, found.to_ticks, found.inputs, found.pinned) == ("timezone", 2, 2, False)
    assert found.shown is not None and found.shown.endswith("--perturb timezone")


def test_what_parts_plain_replays_is_minimised_by_two_values_of_it(tmp_path: Path) -> None:
    (found,) = minimised(bundle_of(tmp_path, LOG), offered("hash('x')"), (Factor.HASH_SEED,))
    assert (found.factor, found.to_ticks, found.inputs, found.pinned) == ("hash-seed", 2, 2, True)


def test_where_nothing_parts_there_is_nothing_to_minimise(tmp_path: Path) -> None:
    assert minimised(bundle_of(tmp_path, LOG), offered(), (Factor.TIMEZONE,)) == []


def test_where_only_the_live_run_parts_that_is_said(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, LOG)
    (bundle / "digests" / "live.jsonl").write_text('{"tick": 3, "digest": "other"}\n')
    (found,) = minimised(bundle, offered())
    assert found.file is None and found.why is not None and "only the live run parts" in found.why


def test_at_the_bound_the_best_so_far_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.replay.minimise.MOST_TRIALS", 6)
    (found,) = minimised(bundle_of(tmp_path, LOG), offered(CHANCE))
    assert not found.minimal and found.file is not None
    assert 2 < found.to_ticks < 16
    assert found.trials == 6
    assert "The time was over" in (tmp_path / "reproducer" / "plain" / "README.txt").read_text()


def test_without_any_time_nothing_is_tried(tmp_path: Path) -> None:
    (found,) = minimised(bundle_of(tmp_path, LOG), offered(CHANCE), within_ns=1)
    assert (found.file, found.trials) == (None, 0)
    assert found.why is not None and "the time was over" in found.why


def test_an_interruption_ends_it(tmp_path: Path) -> None:
    shared = perturbing(bundle_of(tmp_path, LOG), offered(CHANCE), Told())
    shared.plain_and_all(2, ())
    shared.abort.set()
    began_s = time.monotonic()
    (found,) = minimise(shared, (), MINUTE_NS, tmp_path)
    assert found.file is None
    assert time.monotonic() - began_s < 30


# A format of its own: `tick|inputs|length` in one line each.
DECODE = (
    "import json, sys\nfor line in open(sys.argv[1]):\n"
    "    tick, inputs, length = line.split('|')\n"
    "    print(json.dumps({'tick': int(tick), 'inputs': json.loads(inputs)}))"
)
ENCODE = (
    "import json, sys\nrows = [json.loads(line) for line in sys.stdin]\n"
    "text = [(row['tick'], json.dumps(row['inputs'])) for row in rows]\n"
    "open(sys.argv[1], 'w').writelines(f'{t}|{i}|{len(i)}\\n' for t, i in text)"
)
OWN_FORM = InputLines(
    decode=(sys.executable, "-S", "-c", DECODE, "${input_log}"),
    encode=(sys.executable, "-S", "-c", ENCODE, "${output}"),
)


def logs(folder: Path, inputs: InputLines | None) -> InputLogs:
    return InputLogs(offered().model_copy(update={"inputs": inputs}), folder, ENV)


def test_a_log_in_a_form_of_its_own_goes_through_the_commands_of_the_target(tmp_path: Path) -> None:
    there = logs(tmp_path, OWN_FORM)
    ticks = (Tick(3, ()), Tick(4, (["say", "ab"], 7)))
    there.write(ticks, tmp_path / "own.log")
    assert (tmp_path / "own.log").read_text() == '3|[]|2\n4|[["say", "ab"], 7]|18\n'
    assert there.read(tmp_path / "own.log") == ticks


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("3|[]|2", "offers no `replay.inputs`, and its log is not of such lines itself: line 1 of x.log is not"),
        ('{"tick": 1, "inputs": [], "crc": "ff"}', "line 1 of x.log is not"),
        ('{"tick": 1, "inputs": {}}', "line 1 of x.log is not"),
        ('{"tick": true, "inputs": []}', "line 1 of x.log is not"),
        ('{"tick": 2, "inputs": []}\n{"tick": 2, "inputs": []}', "line 2 of x.log: tick 2 comes after tick 2"),
        ("", "x.log has no tick"),
    ],
)
def test_a_log_that_is_no_data_is_never_guessed_at(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "x.log").write_text(line)
    with pytest.raises(NotEditableError, match=why.replace("|", "[|]")):
        logs(tmp_path, None).read(tmp_path / "x.log")


def test_what_the_commands_of_the_target_do_wrong_is_said(tmp_path: Path) -> None:
    def said(decode: str) -> str:
        lines = InputLines(decode=(sys.executable, "-S", "-c", decode), encode=OWN_FORM.encode)
        with pytest.raises(NotEditableError) as raised:
            logs(tmp_path, lines).read(tmp_path / "x.log")
        return str(raised.value)

    assert "ended with code 4: damaged at byte 7" in said(
        "import sys; print('damaged at byte 7', file=sys.stderr); sys.exit(4)"
    )
    assert "what `inputs.decode` printed is not" in said("print('hello')")
    lazy = InputLines(decode=OWN_FORM.decode, encode=(sys.executable, "-S", "-c", "pass"))
    with pytest.raises(NotEditableError, match="wrote no file"):
        logs(tmp_path, lazy).write((Tick(1, ()),), tmp_path / "out.log")


def test_ticks_keep_their_gaps_or_get_new_numbers() -> None:
    dense = parse(lines_of([Tick(5, ()), Tick(6, ()), Tick(7, ())]), "dense")
    assert [one.tick for one in numbered_like(dense, dense[1:])] == [5, 6]
    sparse = parse(lines_of([Tick(5, ()), Tick(9, ()), Tick(30, ())]), "sparse")
    assert [one.tick for one in numbered_like(sparse, sparse[1:])] == [9, 30]
    assert numbered_like(dense, ()) == ()


def test_how_many_replays_make_it_nearly_sure() -> None:
    assert replays_to_be_sure([1, 2, 3, 4, 5, 6, 7, 8]) == 5
    assert replays_to_be_sure([1, 2, 1, 2]) == 11
    assert replays_to_be_sure([1, 1, 1]) == 100
    assert replays_to_be_sure([]) == 2


def test_what_is_about_one_input_shares_a_word_with_it() -> None:
    ticks = (Tick(1, (["hello", "a"], ["hello", "b"])), Tick(2, ({"who": ["b"]}, 7, ["hit", "b"])), Tick(3, (["b"],)))
    kept = (Tick(1, (["hello", "a"],)), Tick(2, (["hit", "b"],)), Tick(3, ()))
    assert about(["hit", {"a": 1}], ticks) == kept
    assert about([1], ticks) == (Tick(1, ()), Tick(2, ()), Tick(3, ()))


def test_in_a_long_log_what_the_last_tick_is_about_is_tried_first(tmp_path: Path) -> None:
    noise: Inputs = {n: [["set", f"k{n}-{m}", m] for m in range(50)] for n in range(11)}
    inputs: Inputs = {**noise, 7: [*noise[7], ["set", "armed", "now"]], 11: [["stamp", "x", "now"]]}
    (found,) = minimised(bundle_of(tmp_path, inputs), offered(CHANCE))
    assert (found.to_ticks, found.inputs, found.from_inputs) == (2, 2, 552)
    assert found.trials < 30
