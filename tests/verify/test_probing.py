from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.columns import read_samples
from chaosctl.recording.model import Outcome, Samples
from chaosctl.recording.writer import SampleWriter
from chaosctl.verify.measure.probing import BAD, GOOD, MISSING, Found, bursts, scheduled, serviceable

states = st.lists(st.sampled_from([GOOD, GOOD, GOOD, BAD, MISSING]), min_size=1, max_size=40)


def samples(path: Path, *probes: tuple[int, Outcome, str]) -> Samples:
    writer = SampleWriter(path / "probe-relay.arrow", open_loop=True)
    for at, outcome, error in probes:
        writer.add(at, at, at + 1, outcome, "world[0]", "probe", "relay", error)
    writer.close()
    return read_samples([path / "probe-relay.arrow"], lambda sentence: None)


def test_probes_are_laid_on_their_schedule(tmp_path: Path) -> None:
    probes = scheduled(
        samples(
            tmp_path,
            (5, Outcome.OK, ""),  # before the load
            (10, Outcome.OK, ""),
            (21, Outcome.FAIL, "refused: nobody"),
            (30, Outcome.INFO, "skipped"),
            (50, Outcome.INFO, "silent"),
            (60, Outcome.INFO, "unfinished"),
            (99, Outcome.OK, ""),  # after the load
        ),
        every_ns=10,
        load=(10, 70),
    )
    assert probes.at_ns.tolist() == [10, 21, 30, 40, 50, 60, 70]
    assert probes.state.tolist() == [GOOD, BAD, MISSING, MISSING, BAD, MISSING, MISSING]
    assert probes.met() == {"refused": 1, "silent": 1, "missing": 4}
    assert probes.between(21, 50).state.tolist() == [BAD, MISSING, MISSING]


def test_what_was_open_when_the_next_fault_struck_tells_about_that_fault(tmp_path: Path) -> None:
    """Each answer here takes 1: who asked at 30 was still waiting at 30."""
    good, silent = (Outcome.OK, ""), (Outcome.INFO, "silent")
    probes = scheduled(samples(tmp_path, (10, *good), (20, *silent), (25, *good), (30, *silent)), 5, (10, 30))
    assert probes.unspoiled(30).at_ns.tolist() == [10, 15, 20, 25]
    assert probes.unspoiled(31).at_ns.tolist() == [10, 15, 20, 25, 30]
    assert probes.between(10, 21).unspoiled(20).at_ns.tolist() == [10, 15]
    assert probes.between(20, 31).unspoiled(21).at_ns.tolist() == [20, 25, 30], "an outage was on"


def test_of_two_answers_in_one_slot_the_worse_counts(tmp_path: Path) -> None:
    found = scheduled(samples(tmp_path, (10, Outcome.FAIL, "reset"), (11, Outcome.OK, "")), 10, (0, 12))
    assert found.state.tolist() == [BAD]


@given(states, st.integers(1, 5))
def test_serviceable_is_the_first_run_after_the_first_that_is_not_good(given_states: list[int], length: int) -> None:
    state = np.array(given_states, np.int8)
    found = serviceable(state, length, after_error=True)
    wrong = [i for i, one in enumerate(given_states) if one != GOOD]
    runs = [i for i in range(len(state) - length + 1) if (state[i : i + length] == GOOD).all()]
    expected = 0 if not wrong else next((i for i in runs if i > wrong[0]), None)
    assert found.seen == expected
    assert found.seen is None or found.least <= found.seen


def test_what_is_missing_may_have_been_good() -> None:
    state = np.array([GOOD, BAD, MISSING, GOOD, BAD, GOOD, MISSING], np.int8)
    assert serviceable(state, 2, after_error=True) == Found(2, None)
    assert serviceable(state, 3, after_error=True) == Found(5, None)
    assert serviceable(state[:1], 3, after_error=True) == Found(0, 0)


def test_bursts_are_runs_of_bad_ones() -> None:
    assert bursts(np.array([BAD, BAD, GOOD, BAD, MISSING, BAD, GOOD, MISSING, BAD], np.int8)).tolist() == [0, 3, 8]
    assert bursts(np.array([], np.int8)).tolist() == []
