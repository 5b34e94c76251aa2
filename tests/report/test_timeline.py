"""What is drawn is what was recorded: nothing is lost in the bins, and their number is bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.model import Event, Outcome, Samples
from chaosctl.recording.reader import Recording
from chaosctl.report.timeline import MAX_BINS, NS_PER_S, Bins, bands_of, bin_load, bin_route, timeline_of
from tests.report.bundle import LOAD_NS, MS, S, empty_bundle, full_bundle, plan, verdict


def samples_of(rows: list[tuple[int, int, Outcome]], errors: tuple[str, ...] = ("", "reset")) -> Samples:
    """Operations from (intended, taken ns or -1, outcome)."""
    rows = sorted(rows)
    intended = np.array([row[0] for row in rows], np.int64)
    end = np.array([row[0] + row[1] if row[1] >= 0 else -1 for row in rows], np.int64)
    outcome = np.array([row[2] for row in rows], np.int8)
    zeros = np.zeros(len(rows), np.int32)
    error = (outcome != Outcome.OK).astype(np.int32)
    names = ("one",)
    return Samples(intended, intended, end, outcome, zeros, zeros, zeros, error, names, names, names, errors, True)


TEN_SECONDS = Bins(np.arange(10) * 1.0, 1.0)
OPERATIONS = st.tuples(
    st.integers(-S, 11 * S), st.one_of(st.just(-1), st.integers(0, 5 * S)), st.sampled_from(list(Outcome))
)


@given(st.lists(OPERATIONS, min_size=1, max_size=60))
def test_every_operation_of_the_window_is_counted_once(rows: list[tuple[int, int, Outcome]]) -> None:
    load = bin_load(samples_of(rows), TEN_SECONDS)
    for outcome in Outcome:
        inside = sum(0 <= at < 10 * S and seen == outcome for at, _, seen in rows)
        assert load.rates[outcome.name.lower()].sum() == pytest.approx(inside)
    bad = sum(0 <= at < 10 * S and seen != Outcome.OK for at, _, seen in rows)
    assert sum(values.sum() for values in load.errors.values()) == pytest.approx(bad)


@given(st.lists(OPERATIONS, min_size=1, max_size=60))
def test_percentiles_are_latencies_that_were_seen(rows: list[tuple[int, int, Outcome]]) -> None:
    load = bin_load(samples_of(rows), TEN_SECONDS)
    for place in range(10):
        taken = {round(ns / 1e6, 6) for at, ns, seen in rows if at // S == place and ns >= 0 and seen == Outcome.OK}
        ordered = [float(load.latency_ms[name][place]) for name in ("p50", "p95", "p99")]
        if taken:
            assert {round(value, 6) for value in ordered} <= taken
            assert ordered == sorted(ordered)
        else:
            assert np.isnan(ordered).all()


def test_latency_counts_where_it_was_intended() -> None:
    load = bin_load(samples_of([(2 * S, 5 * S, Outcome.OK)]), TEN_SECONDS)
    assert load.latency_ms["p99"][2] == 5000
    assert np.isnan(load.latency_ms["p99"][7])


def test_rare_errors_are_put_together() -> None:
    names = ("", *(f"error {index}" for index in range(20)))
    rows = [(index * MS, 0, Outcome.FAIL) for index in range(20)]
    samples = samples_of(rows, names)
    samples.error[:] = np.arange(1, 21)
    load = bin_load(samples, TEN_SECONDS)
    assert len(load.errors) == 6
    assert load.errors["other errors"].sum() == 15


def test_a_route_knows_what_share_failed() -> None:
    route = bin_route(
        "x", samples_of([(0, MS, Outcome.OK), (1, 3 * MS, Outcome.OK), (2, -1, Outcome.INFO)]), TEN_SECONDS
    )
    assert route.failed_share[0] == pytest.approx(1 / 3)
    assert (route.median_ms[0], route.worst_ms[0]) == (2.0, 3.0)
    assert np.isnan(route.failed_share[1])


def test_a_whole_run(tmp_path: Path) -> None:
    seen = timeline_of(full_bundle(tmp_path / "run"))
    assert seen.bins is not None and seen.load is not None and seen.generator is not None
    assert seen.bins.left_s[0] == LOAD_NS / S
    assert seen.bins.end_s == 27
    assert [phase.name for phase in seen.phases] == ["ramp", "baseline", "timeline"]
    (down,) = seen.downs
    assert (down.replica, down.from_s, down.to_s, down.how) == ("world[0]", 16, 17, "ended by SIGKILL")
    outage = (seen.bins.left_s >= 16) & (seen.bins.left_s < 17.5)
    assert (seen.load.rates["ok"][outage] == 0).all()
    assert (seen.load.rates["ok"][~outage] > 0).all()
    assert [route.failed_share[outage].min() for route in seen.routes] == [1, 1]
    assert not np.isnan(seen.generator.lag_ms).any()


def test_the_bands_of_faults(tmp_path: Path) -> None:
    bins = timeline_of(full_bundle(tmp_path / "run")).bins
    assert bins is not None
    latency, kill = bands_of(verdict(), plan(), bins)
    assert (latency.name, latency.from_s, latency.to_s) == ("f1-latency", 7.001, 11)
    assert kill.from_s == kill.to_s == 16.001
    never = verdict(faults=({"id": "f1-latency", "applied_ns": None},))
    assert bands_of(never, plan(), bins) == ()
    unhealed = verdict(faults=({"id": "f1-latency", "on": "x", "applied_ns": 7 * S, "healed_ns": None},))
    assert bands_of(unhealed, plan(), bins)[0].to_s == bins.end_s


def test_a_run_that_never_began_has_no_bins(tmp_path: Path) -> None:
    assert timeline_of(empty_bundle(tmp_path / "run")).bins is None


@pytest.mark.parametrize("length_s", [1, 60, 3600, 86_400 * 30])
def test_the_number_of_bins_is_bounded(tmp_path: Path, length_s: int) -> None:
    recording = empty_bundle(tmp_path / "run")
    recording.events = (Event(0, "load_started", {}), Event(length_s * NS_PER_S, "load_ended", {}))
    bins = timeline_of(recording).bins
    assert bins is not None
    assert 1 <= len(bins) <= MAX_BINS
    assert length_s - bins.width_s < bins.end_s <= length_s


def test_a_load_that_was_interrupted_before_its_first_operation_is_drawn_as_nothing(tmp_path: Path) -> None:
    recording = empty_bundle(tmp_path / "run")
    at = recording.folder / "events.jsonl"
    at.write_text(at.read_text() + '{"at_ns": 2000000000, "event": "load_started"}\n')
    timeline = timeline_of(Recording(recording.folder, recording.run, recording.plan))
    assert timeline is not None
    assert timeline.load is None or sum(rates.sum() for rates in timeline.load.rates.values()) == 0
