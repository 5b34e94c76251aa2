from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaosctl.errors import RecordingError
from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from tests.fixtures.generator import LOAD_START, MS, S, TrueFault, Truth, adds_and_read, make

DIGESTS = {"live": [{"tick": n, "digest": "d"} for n in range(20)], "replay-1": [{"tick": 0, "digest": "d"}]}
TRUTH = Truth(end=LOAD_START + 8 * S, history=adds_and_read, digests=DIGESTS, rate_per_s=50)


def test_everything_comes_back(tmp_path: Path) -> None:
    recording = make(tmp_path, TRUTH)
    assert recording.run["run_id"] == "r-1"
    assert recording.plan.experiment == "truth"
    assert recording.events[0].event == "run_started" and recording.events[-1].event == "run_ended"
    assert recording.events_named("load_started")[0].at_ns == LOAD_START
    assert len(recording.samples("swarm")) == 400
    assert len(recording.samples("probe-relay")) == 160
    assert len(recording.samples("probe-direct")) == 0
    assert recording.samples("probe-direct").errors == ("",)
    history = recording.history()
    assert (len(history), history.fs, history.keys, history.bots) == (202, ("add", "read"), ("p1",), ("near-1",))
    assert history.mark[:2].tolist() == [Mark.INVOKE, Mark.OK]
    assert history.value[0].as_py() == "1" and history.value[200].as_py() is None
    assert set(recording.digest_runs()) == {"live", "replay-1"}
    assert recording.samples("swarm") is recording.samples("swarm")
    assert (recording.notes, recording.incomplete) == ((), ())


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is not a run bundle"):
        Recording.open(tmp_path)
    make(tmp_path / "run", TRUTH)
    for name, damage in (("run.json", "[]"), ("run.json", "{"), ("plan.json", "{}")):
        good = (tmp_path / "run" / name).read_text()
        (tmp_path / "run" / name).write_text(damage)
        with pytest.raises(RecordingError, match=r"damaged"):
            Recording.open(tmp_path / "run")
        (tmp_path / "run" / name).write_text(good)


def test_a_run_that_recorded_nothing_yet_is_readable(tmp_path: Path) -> None:
    make(tmp_path, TRUTH)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in ("run.json", "plan.json"):
            path.unlink()
    recording = Recording.open(tmp_path)
    assert (len(recording.events), len(recording.samples("swarm")), len(recording.history())) == (0, 0, 0)
    assert recording.digest_runs() == {}


def read_all(folder: Path) -> Recording:
    recording = Recording.open(folder)
    for source in ("swarm", "probe-relay", "probe-direct"):
        recording.samples(source)
    recording.history()
    recording.digest_runs()
    return recording


@pytest.mark.parametrize("name", ["events.jsonl", "history.jsonl", "samples/swarm-0.arrow", "digests/live.jsonl"])
def test_cutting_a_file_at_any_byte_leaves_it_readable(tmp_path: Path, name: str) -> None:
    make(tmp_path, Truth(end=LOAD_START + 6 * S, history=adds_and_read, digests=DIGESTS, rate_per_s=5))
    whole = (tmp_path / name).read_bytes()
    cuts = set(range(0, len(whole), max(1, len(whole) // 150))) | set(range(len(whole) - 40, len(whole)))
    lengths = []
    for cut in sorted(cuts):
        (tmp_path / name).write_bytes(whole[:cut])
        recording = read_all(tmp_path)
        assert recording.incomplete or name == "events.jsonl", f"the cut at {cut} was not noticed"
        lengths.append(len(recording.events) + len(recording.samples("swarm")) + len(recording.history()))
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("name", ["events.jsonl", "history.jsonl", "digests/live.jsonl", "samples/swarm-0.arrow"])
def test_flipped_bytes_never_raise(tmp_path: Path, name: str) -> None:
    make(tmp_path, TRUTH)
    whole = (tmp_path / name).read_bytes()
    draw = random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] = draw.randrange(256)
        (tmp_path / name).write_bytes(damaged)
        read_all(tmp_path)


def test_corrupt_lines_in_the_middle_are_left_out_and_noted(tmp_path: Path) -> None:
    make(tmp_path, TRUTH)
    good = '{"at_ns":1,"mark":"ok","id":9,"bot":"b","f":"add","key":"k","value":"1"}\n'
    half = good.replace('"1"', '"\\ud800"')
    bad = ["\n", "torn\n", half, "[1]\n", '{"at_ns":1}\n', good.replace('"ok"', '"odd"'), good.replace("9", "1e30")]
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write("".join(bad) + good)
    recording = read_all(tmp_path)
    assert len(recording.history()) == 203
    assert "history.jsonl: 6 line(s) could not be read and were left out" in recording.notes


def test_lines_with_other_fields_and_a_null_bot_are_read_the_fast_way(tmp_path: Path) -> None:
    make(tmp_path, TRUTH)
    line = '{"later":[1,{"x":2}],"at_ns":1,"mark":"ok","id":9,"bot":null,"f":"add","key":"k","value":"1"}\n'
    no_mark = '{"at_ns":1,"id":9,"bot":"b","f":"add","key":"k","value":"1"}\n'
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(line + no_mark)
    history = read_all(tmp_path).history()
    assert len(history) == 203
    assert history.bots[history.bot[-1]] == ""


def test_a_file_of_something_else_among_the_samples_is_noted(tmp_path: Path) -> None:
    recording = make(tmp_path, TRUTH)
    (tmp_path / "samples" / "swarm-9.arrow").write_bytes(b"not arrow at all")
    recording = read_all(tmp_path)
    assert len(recording.samples("swarm")) == 400
    assert any("swarm-9.arrow" in note for note in recording.notes)


def test_histories_longer_than_a_block_are_read_in_order(tmp_path: Path) -> None:
    def history(writer) -> None:  # type: ignore[no-untyped-def]
        for n in range(60_000):
            writer.write(n, Mark.OK, n, f"bot-{n % 1000}", "add", f"key-{n // 10_000}", str(n))

    found = make(tmp_path, Truth(end=LOAD_START + 6 * S, history=history, faults=[TrueFault()])).history()
    assert (tmp_path / "history.jsonl").stat().st_size > 4 * MS
    assert found.at_ns.tolist() == list(range(60_000))
    assert found.value.to_pylist() == [str(n) for n in range(60_000)]
    assert [found.keys[code] for code in found.key[[0, 30_000, 59_999]]] == ["key-0", "key-3", "key-5"]
    assert found.bots[found.bot[59_999]] == "bot-999"
