"""`metrics`: each way of measuring with a passing, a failing and an inconclusive recording."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chaosctl.errors import ExperimentError
from chaosctl.experiment.loader import load_experiment
from chaosctl.experiment.schema import experiment_schema
from chaosctl.experiment.units import WRITTEN
from chaosctl.faults.registry import fault_kinds
from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.judge import judge
from chaosctl.verify.measure.numbers import Measured, Sample, Seen, growth, rate, spread
from chaosctl.verify.registry import checkers, objective_kinds
from tests.fixtures.generator import LOAD_START, MS, S, TrueFault, Truth, make

MB = 1_000_000
HALF_S = 500 * MS
END = LOAD_START + 20 * S
CHECKER = checkers()["metrics"]
Event = tuple[int, str, Mapping[str, Any]]


def said(
    value: Callable[[float], float | None], service: str = "world", name: str = "memory_bytes", replica: int = 0
) -> Iterator[Event]:
    """What one replica said every half second; `value` of the seconds since the start of the load."""
    for turn, at in enumerate(range(LOAD_START, END, HALF_S)):
        number = value((at - LOAD_START) / S)
        values = {} if number is None else {name: number}
        fields = {"service": service, "replica": replica, "pid": 7, "round": turn, "values": values, "ok": bool(values)}
        yield at, "metrics", fields


def check(folder: Path, limits: dict[str, Any], *series: Iterator[Event], **truth: Any) -> Finding:
    """Judge one limit: `{"world": {"memory_bytes": {"growth": "2MB/min"}}}`."""
    events = [event for one in series for event in one]
    recording = make(folder, Truth(**{"faults": [], "end": END, "events": events, **truth}))
    params = CHECKER.kind.params.model_validate(limits, context=WRITTEN)
    (finding,) = CHECKER.check(recording, params).findings
    return finding


def noisy(per_s: float, noise: float, seed: int = 1) -> Callable[[float], float]:
    chance = random.Random(seed)
    return lambda s: 50 * MB + per_s * s + chance.uniform(-noise, noise)


@pytest.mark.parametrize(
    ("mb_per_min", "status"), [(1.0, Status.PASS), (2.0, Status.INCONCLUSIVE), (3.0, Status.FAIL), (-9.0, Status.PASS)]
)
def test_growth_is_a_slope_with_its_interval(tmp_path: Path, mb_per_min: float, status: Status) -> None:
    memory = said(noisy(mb_per_min * MB / 60, 0.03 * MB))
    finding = check(tmp_path, {"world": {"memory_bytes": {"growth": "2MB/min"}}}, memory)
    assert (finding.name, finding.status) == ("metrics.world.memory_bytes.growth", status), finding
    assert finding.measured.unit == finding.expected.unit == "MB/min"
    assert finding.measured.value == pytest.approx(mb_per_min, abs=finding.uncertainty)
    assert 0 < finding.uncertainty < 0.5


def test_growth_of_too_few_samples_is_inconclusive(tmp_path: Path) -> None:
    limits = {"world": {"memory_bytes": {"growth": "2MB/min", "during": "faults"}}}
    fault = TrueFault("f1-slow", "latency", "a-b", "link", inject=END - 3 * S, heal=END - S)
    assert check(tmp_path / "a", limits, said(noisy(0, 0)), faults=[fault]).status is Status.INCONCLUSIVE
    unheard = check(tmp_path / "b", {"world": {"memory_bytes": {"growth": "2MB/min"}}})
    assert (unheard.status, unheard.measured.value) == (Status.INCONCLUSIVE, None)


def test_a_restart_is_no_growth_and_hides_none(tmp_path: Path) -> None:
    """Each process fills up from 10 MB; what the second one has less than the first is no slope."""
    limits = {"world": {"memory_bytes": {"growth": "20MB/min"}}}

    def lives(per_s: float) -> Iterator[Event]:
        for at, event, fields in said(lambda s: 10 * MB + per_s * (s % 10)):
            yield at, event, {**fields, "pid": 7 if at < LOAD_START + 10 * S else 8}

    assert check(tmp_path / "a", limits, lives(0.1 * MB)).status is Status.PASS
    leaking = check(tmp_path / "b", limits, lives(1 * MB))
    assert leaking.status is Status.FAIL
    assert leaking.measured.value == pytest.approx(60)


def test_of_several_replicas_the_steepest_counts(tmp_path: Path) -> None:
    limits = {"gateway": {"memory_bytes": {"growth": "2MB/min"}}}
    tame, wild = (said(noisy(per_s, 100), "gateway", replica=at) for at, per_s in enumerate((0, 0.1 * MB)))
    finding = check(tmp_path, limits, tame, wild)
    assert finding.status is Status.FAIL
    assert "gateway[1] said memory_bytes" in finding.evidence[0].text


def test_a_rate_is_of_all_replicas_together(tmp_path: Path) -> None:
    def sent(limit: str, folder: str) -> Finding:
        replicas = [said(lambda s, n=n: n * 1000 * s, "gateway", "sent_bytes", n) for n in (1, 2)]  # type: ignore[misc]
        return check(tmp_path / folder, {"gateway": {"sent_bytes": {"rate": limit}}}, *replicas)

    assert sent("3KB/s", "a").status is Status.PASS
    assert sent("2.9KB/s", "b").status is Status.FAIL
    assert sent("3KB/s", "c").measured.value == pytest.approx(0.003)


def test_a_counter_that_starts_again_goes_on_from_zero(tmp_path: Path) -> None:
    for folder, pid in (("same-pid", 7), ("other-pid", 8)):
        counter = (
            (at, event, {**fields, "pid": 7 if at < LOAD_START + 10 * S else pid})
            for at, event, fields in said(lambda s: 10 * (s if s < 10 else s - 10) + 5, name="requests")
        )
        finding = check(tmp_path / folder, {"world": {"requests": {"rate": "11/s"}}}, counter)
        assert finding.status is Status.PASS
        assert finding.measured.value == pytest.approx(10, rel=0.06)
        assert finding.measured.unit == "1/s"


def test_a_rate_looks_only_at_its_stretch_and_not_over_its_gaps(tmp_path: Path) -> None:
    """100 a second in the faults, 1 otherwise."""
    faults = [
        TrueFault(f"f{n}", "latency", "a-b", "link", inject=LOAD_START + at * S, heal=LOAD_START + (at + 3) * S)
        for n, at in enumerate((6, 13))
    ]

    def requests() -> Iterator[Event]:
        return said(lambda s: s + 99 * (min(max(s - 6, 0), 3) + min(max(s - 13, 0), 3)), name="requests")

    during = {"rate": "50/s", "during": "faults"}
    storm = check(tmp_path / "a", {"world": {"requests": during}}, requests(), faults=faults)
    assert storm.status is Status.FAIL
    assert storm.measured.value == pytest.approx(100, rel=0.02)
    calm = {"rate": "50/s", "during": "baseline"}
    assert check(tmp_path / "b", {"world": {"requests": calm}}, requests(), faults=faults).status is Status.PASS


def test_too_few_samples_of_a_counter_are_inconclusive(tmp_path: Path) -> None:
    limits = {"world": {"requests": {"rate": "1/s", "during": "faults"}}}
    fault = TrueFault("f1-slow", "latency", "a-b", "link", inject=END - 2 * S, heal=END - 1300 * MS)
    counter = said(lambda s: s * 1000, name="requests")
    assert check(tmp_path, limits, counter, faults=[fault]).status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    ("clients", "status"), [((50, 50), Status.PASS), ((60, 40), Status.PASS), ((61, 39), Status.FAIL)]
)
def test_spread_compares_the_replicas(tmp_path: Path, clients: tuple[int, int], status: Status) -> None:
    replicas = [said(lambda s, n=n: n, "gateway", "clients", at) for at, n in enumerate(clients)]  # type: ignore[misc]
    finding = check(tmp_path, {"gateway": {"clients": {"spread": "40%"}}}, *replicas)
    assert (finding.status, finding.uncertainty) == (status, 0)
    assert finding.measured.value == pytest.approx((clients[0] - clients[1]) / 50)


def test_spread_needs_all_replicas_at_once(tmp_path: Path) -> None:
    limits = {"gateway": {"clients": {"spread": "40%"}}}
    one = said(lambda s: 1, "gateway", "clients", 0)
    assert check(tmp_path / "a", limits, one).status is Status.INCONCLUSIVE
    dead = said(lambda s: None, "gateway", "clients", 1)
    assert check(tmp_path / "b", limits, said(lambda s: 1, "gateway", "clients", 0), dead).status is Status.INCONCLUSIVE
    idle = [said(lambda s: 0, "gateway", "clients", n) for n in (0, 1)]
    assert check(tmp_path / "c", limits, *idle).status is Status.INCONCLUSIVE


def test_at_most_is_the_greatest_sample(tmp_path: Path) -> None:
    def queue(limit: Any, folder: str) -> Finding:
        length = said(lambda s: 100 if s == 7 else 3, name="queue_length")
        return check(tmp_path / folder, {"world": {"queue_length": {"at_most": limit}}}, length)

    assert queue(100, "a").status is Status.PASS
    failing = queue(99, "b")
    assert (failing.status, failing.measured.value) == (Status.FAIL, 100)
    assert failing.evidence[0].where == f"at_ns {LOAD_START + 7 * S}"


def test_what_is_mostly_not_answered_cannot_pass_but_can_fail(tmp_path: Path) -> None:
    for folder, value, status in (("a", 3.0, Status.INCONCLUSIVE), ("b", 200.0, Status.FAIL)):
        rare = said(lambda s, value=value: value if s % 3 == 0 else None, name="queue_length")  # type: ignore[misc]
        finding = check(tmp_path / folder, {"world": {"queue_length": {"at_most": 100}}}, rare)
        assert finding.status is status, finding.why


def test_one_replica_that_says_nothing_cannot_pass_on_what_the_others_say(tmp_path: Path) -> None:
    def two(other: Iterator[Event], limit: Any, folder: str) -> Finding:
        talking = said(lambda s: 3, "gateway", "queue", 0)
        return check(tmp_path / folder, {"gateway": {"queue": {"at_most": limit}}}, talking, other)

    def hung() -> Iterator[Event]:
        # It is not asked again before it has answered: asked five times in all, and each time answered.
        return itertools.islice(said(lambda s: 3, "gateway", "queue", 1), 5)

    silent = two(said(lambda s: None, "gateway", "queue", 1), 5, "silent")
    assert silent.status is Status.INCONCLUSIVE and "gateway[1] did not answer" in silent.why
    assert two(hung(), 5, "hung").status is Status.INCONCLUSIVE
    assert two(hung(), 2, "broken all the same").status is Status.FAIL
    slow = (one for turn, one in enumerate(said(lambda s: 3, "gateway", "queue", 1)) if turn % 5 == 0)
    assert two(slow, 5, "slow").status is Status.PASS


def test_asking_that_stopped_early_cannot_vouch_for_the_rest(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"world": {"requests": {"rate": "5/s"}}}
    assert check(tmp_path / "a", limits, said(lambda s: s if s < 14 else None, name="requests")).status is Status.PASS
    early = itertools.islice(said(lambda s: s, name="requests"), 15)
    assert check(tmp_path / "b", limits, early).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("limit", [{"rate": "1/s"}, {"spread": "10%"}])
def test_less_than_nothing_has_no_rate_and_no_share(tmp_path: Path, limit: dict[str, Any]) -> None:
    replicas = [said(lambda s, n=n: -n, "gateway", "clients", n) for n in (5, 10)]  # type: ignore[misc]
    finding = check(tmp_path, {"gateway": {"clients": limit}}, *replicas)
    assert finding.status is Status.INCONCLUSIVE and "less than nothing" in finding.why


def test_what_is_no_number_is_not_taken_for_one(tmp_path: Path) -> None:
    limits = {"world": {"queue_length": {"at_most": 1}}}
    for at, odd in enumerate(("many", True, None, float("nan"))):
        finding = check(tmp_path / str(at), limits, said(lambda s, odd=odd: odd, name="queue_length"))  # type: ignore[misc,arg-type]
        assert finding.status is Status.INCONCLUSIVE


@pytest.mark.parametrize(("lag_ms", "status"), [(1.0, Status.PASS), (900.0, Status.INCONCLUSIVE)])
def test_a_generator_that_was_the_bottleneck_cannot_vouch_for_a_rate(
    tmp_path: Path, lag_ms: float, status: Status
) -> None:
    objectives = {"metrics": {"world": {"requests": {"rate": "5/s"}}}}
    events = tuple(said(lambda s: s, name="requests"))
    truth = Truth(objectives=objectives, faults=[], end=END, events=events, lag_ms=lag_ms)
    assert judge(make(tmp_path, truth)).objectives[0].status is status


def seen(*values: float, replica: int = 0, first_round: int = 0) -> Seen:
    samples = [Sample(turn * HALF_S, first_round + turn, replica, 1, value, 0) for turn, value in enumerate(values)]
    return Seen(tuple(samples), len(samples), frozenset({replica}))


@given(st.lists(st.floats(0, 1e9), min_size=6, max_size=40), st.floats(-100, 100))
def test_a_slope_moves_with_what_is_added_and_lies_in_its_interval(values: list[float], per_s: float) -> None:
    plain, tilted = growth(seen(*values)), growth(seen(*(v + per_s * n / 2 for n, v in enumerate(values))))
    assert isinstance(plain, Measured) and isinstance(tilted, Measured)
    assert plain.low <= plain.value <= plain.high
    assert tilted.value == pytest.approx(plain.value + per_s, abs=1e-3, rel=1e-6)


def test_more_of_the_same_never_makes_a_slope_less_certain() -> None:
    chance = random.Random(3)
    values = [chance.gauss(100, 5) for _ in range(400)]
    widths = [growth(seen(*values[:n])) for n in (10, 40, 160, 400)]
    sure = [one.half_width for one in widths if isinstance(one, Measured)]
    assert len(sure) == 4
    assert sure == sorted(sure, reverse=True)


def test_a_long_run_fits_into_memory() -> None:
    slope = growth(seen(*(2.0 * n for n in range(50_000))))
    assert isinstance(slope, Measured)
    assert slope.value == pytest.approx(4.0)


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=30))
def test_a_rate_is_never_negative(values: list[float]) -> None:
    measured = rate(seen(*values))
    assert isinstance(measured, Measured)
    assert measured.value >= 0


def test_one_replica_has_no_spread() -> None:
    assert "fewer than two replicas" in str(spread(seen(1, 2, 3)))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"world": {"memory_bytes": {}}},
        {"world": {"memory_bytes": {"growth": 5}}},
        {"world": {"memory_bytes": {"growth": "5MB"}}},
        {"world": {"memory_bytes": {"spread": 40}}},
        {"world": {"memory_bytes": {"at_most": "much"}}},
        {"world": {"memory_bytes": {"at_most": 5, "during": "sometimes"}}},
        {"World_": {"memory_bytes": {"at_most": 5}}},
    ],
)
def test_params_refuse_nonsense(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"by_service"):
        CHECKER.kind.params.model_validate(bad, context=WRITTEN)


def test_params_survive_the_plan() -> None:
    params = CHECKER.kind.params.model_validate(
        {"world": {"memory_bytes": {"growth": "2MB/min", "at_most": "64MB"}}}, context=WRITTEN
    )
    assert CHECKER.kind.params.model_validate(params.model_dump(mode="json")) == params


EXPERIMENT = """\
name: x
hypothesis: x
target:
  services:
    world: {{ run: [w], ports: [main, status], offers: {{ metrics: {{ http: {port}/metrics }} }} }}
    ledger: {{ run: [l], ports: [main] }}
  links: {{ bots-world: {{ to: world }} }}
swarm: {{ bots: bots.py, users: 1 }}
duration: 9s
objectives:
  metrics: {{ {metrics} }}
"""


@pytest.mark.parametrize(
    ("metrics", "wrong"),
    [
        ("world: { sent: { rate: 5/s } }, ledger: { threads: { at_most: 9 } }", None),
        ("wrld: { sent: { rate: 5/s } }", "11:14: there is no service 'wrld'; did you mean 'world'?"),
        ("ledger: { sent: { rate: 5/s } }", "11:24: nothing measures 'sent': 'ledger' offers no metrics; add `offers:"),
        ("world: { sent: { rte: 5/s } }", "11:31: unknown key 'rte'; did you mean 'rate'?"),
        ("world: { sent: { rate: 5 } }", "11:37: '5' is not a change over time; write it as"),
    ],
)
def test_what_nothing_measures_is_refused_where_it_stands(tmp_path: Path, metrics: str, wrong: str | None) -> None:
    (tmp_path / "bots.py").touch()
    path = tmp_path / "x.yaml"

    def load(port: str) -> list[str]:
        path.write_text(EXPERIMENT.format(metrics=metrics, port=port))
        try:
            load_experiment(path, fault_kinds(), objective_kinds(), environ={})
        except ExperimentError as error:
            return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
        return []

    problems = load("status")
    assert len(problems) == (wrong is not None), problems
    assert wrong is None or problems[0].startswith(wrong)
    assert any("the service has no port 'page'" in problem for problem in load("page"))


def test_the_schema_knows_services_numbers_and_limits() -> None:
    check = Draft202012Validator(experiment_schema({}, {"metrics": CHECKER.kind})).is_valid

    def valid(metrics: Any) -> bool:
        return check({"extends": "x.yaml", "objectives": {"metrics": metrics}})

    assert valid({"world": {"sent_bytes": {"rate": "5MB/s", "during": "all"}, "queue": {"at_most": 5}}})
    for bad in (5, {}, {"world": 5}, {"world": {"sent": {"rte": "5/s"}}}, {"world": {"sent": {"rate": 5}}}):
        assert not valid(bad), bad


@pytest.mark.parametrize("file", ["events.jsonl", "history.jsonl"])
def test_a_recording_that_was_cut_is_never_a_pass(tmp_path: Path, file: str) -> None:
    def sessions(writer: HistoryWriter) -> None:
        for at, value in enumerate(("open", "cut", "lost", "cut", "resumed", "closed")):
            writer.write(LOAD_START + at * S, Mark.OK, at, "b", "session", "s", value)

    objectives = {"metrics": {"world": {"memory_bytes": {"growth": "2MB/min"}}}, "lost_sessions": 0}
    leaking = tuple(said(noisy(MB, 100)))
    make(tmp_path, Truth(objectives=objectives, faults=[], end=END, events=leaking, history=sessions))
    whole = (tmp_path / file).read_bytes()
    for share in range(0, 100, 4):
        (tmp_path / file).write_bytes(whole[: len(whole) * share // 100])
        for finding in judge(Recording.open(tmp_path)).objectives:
            assert finding.status is not Status.PASS, (share, finding)
