from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.blast import START_NS, Down, count_down, downs_of, excesses
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Restart, Service
from chaosctl.experiment.places import On, parse_on

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]
S = 1_000_000_000
KILL = FaultKind("kill", "service", Params, "optional", "life", "", "", takes_down="while")
RESTART = FaultKind("restart", "service", Params, "never", "life", "", "", takes_down="moment")
COMES_BACK = Service(run=("x",), replicas=3, restart=Restart(after_ns=S))
STAYS_DOWN = Service(run=("x",), replicas=3)


@pytest.mark.parametrize(
    ("kind", "service", "heal_ns", "spans"),
    [
        (KILL, COMES_BACK, 9 * S, [(5 * S, 9 * S)]),
        (KILL, COMES_BACK, None, [(5 * S, 6 * S + START_NS)]),
        (KILL, STAYS_DOWN, None, [(5 * S, 40 * S)]),
        (RESTART, STAYS_DOWN, None, [(5 * S, 5 * S + START_NS)]),
        (RESTART, STAYS_DOWN, 9 * S, [(5 * S, 5 * S + START_NS), (9 * S, 9 * S + START_NS)]),
    ],
)
def test_how_long_replicas_are_down(
    kind: FaultKind, service: Service, heal_ns: int | None, spans: list[tuple[int, int]]
) -> None:
    downs = downs_of(0, On("x"), kind, service, (5 * S, heal_ns, 40 * S))
    assert [(down.start_ns, down.end_ns, down.count) for down in downs] == [(*span, 3) for span in spans]
    rolling = downs_of(0, On("x"), kind, service, (5 * S, heal_ns, 40 * S), SimpleNamespace(rolling=True))
    assert {down.count for down in rolling} == {1}


def test_what_slows_a_replica_takes_nothing_down() -> None:
    slow = FaultKind("slow", "service", Params, "always", "cpu", "", "")
    assert downs_of(0, On("x"), slow, STAYS_DOWN, (0, S, 40 * S)) == ()


def down(by: int, text: str, start: int, end: int, of: int = 4) -> Down:
    on = parse_on(text)
    return Down(by, on, of, start, end, on.at_most(of))


def test_the_same_replica_counts_once_and_whom_chance_picks_counts_as_another() -> None:
    assert count_down([down(0, "x[0]", 0, 9), down(1, "x[0,1]", 0, 9)]) == 2
    assert count_down([down(0, "x[0]", 0, 9), down(1, "any 2 of x", 0, 9)]) == 3
    assert count_down([down(0, "x", 0, 9), down(1, "leader of x", 0, 9)]) == 4


def test_the_fault_that_is_one_too_many_is_named_with_those_before_it() -> None:
    downs = [down(0, "x[0]", 0, 5), down(1, "x[1]", 4, 9), down(2, "any 1 of x", 5, 9), down(3, "x[2]", 8, 9)]
    found = list(excesses(downs, 0.5))
    assert [(one.by, one.at_ns, one.count) for one in found] == [((1, 2, 3), 8, 3)]
    assert [one.by for one in excesses(downs, 0.25)] == [(0, 1), (1, 2), (1, 2, 3)]
    assert list(excesses(downs, 0.75)) == []


DOWNS = st.lists(
    st.tuples(
        st.sampled_from(["x", "x[0]", "x[1,2]", "any 1 of x", "50% of x", "leader of x", "y[0]"]),
        st.integers(0, 20),
        st.integers(1, 10),
    ),
    max_size=8,
)


@given(DOWNS, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_nothing_is_blamed_just_when_at_no_time_too_much_is_down(
    drawn: list[tuple[str, int, int]], at_most: float
) -> None:
    downs = [down(by, text, start, start + long) for by, (text, start, long) in enumerate(drawn)]
    kept = all(
        count_down([one for one in downs if one.on.name == name and one.start_ns <= at < one.end_ns]) <= at_most * 4
        for at in range(31)
        for name in "xy"
    )
    assert kept == (not list(excesses(downs, at_most)))


LIMIT = "blast_radius: {{ at_most: {} }}\n"
ITEM = "  - { at: 12s, fault: kill, on: world }\n"


def test_a_plan_beyond_the_blast_radius_is_refused_at_the_fault(wrong: Wrong, load: Load) -> None:
    text = LIMIT.format("50%") + load().source.replace(ITEM, "  - { at: 12s, fault: kill, on: gateway }\n")
    (problem,) = wrong(text)
    line = 1 + text[: text.index("fault: kill")].count("\n")
    assert problem.startswith(f"{line}:")
    assert problem.endswith(
        "kill takes down 2 of 2 replicas of 'gateway' at once; blast_radius allows 50%; "
        "write 'any 1 of gateway', or raise blast_radius.at_most"
    )


def test_faults_that_are_too_much_together_name_each_other(wrong: Wrong, load: Load) -> None:
    two = "  - { at: 12s, fault: kill, on: 'gateway[0]' }\n  - { at: 13s, for: 1s, fault: kill, on: 'gateway[1]' }\n"
    (problem,) = wrong(LIMIT.format("50%") + load().source.replace(ITEM, two))
    assert "kill with timeline[1] takes down 2 of 2 replicas of 'gateway' at once" in problem
    assert "; move one of them, or raise blast_radius.at_most" in problem


def test_a_service_of_one_has_nothing_to_spare(wrong: Wrong, load: Load) -> None:
    (problem,) = wrong(LIMIT.format("50%") + load().source)
    assert "takes down 1 of 1 replicas of 'world' at once; blast_radius allows 50%, which is none of them" in problem


def test_what_keeps_within_the_blast_radius_is_loaded(load: Load, wrong: Wrong) -> None:
    one = load().source.replace(ITEM, "  - { at: 12s, for: 2s, fault: kill, on: 50% of gateway }\n")
    loaded = load(LIMIT.format("50%") + one)
    assert loaded.experiment.blast_radius is not None and loaded.experiment.blast_radius.at_most == 0.5
    assert load(LIMIT.format("100%") + load().source)
    (problem,) = wrong("blast_radius: { at_most: 50 }\n" + one)
    assert "'50' is not a share; write it as 15%" in problem
    (problem,) = wrong("blast_radius: 50%\n" + one)
    assert "'50%' is not a mapping" in problem
