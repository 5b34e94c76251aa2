"""The grid of the probe, and how exchanges count."""

from __future__ import annotations

import itertools
import socket

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.exchange import Exchange
from chaosctl.experiment.model import Hello
from chaosctl.probe import asking
from chaosctl.probe.asking import NO_END_NS, Answered, Route, grid, outcome_of
from chaosctl.recording.model import Outcome

PING = Hello(send="PING\n", expect="PONG")


@given(st.integers(0, 10**15), st.integers(1, 10**10), st.integers(0, 10**15))
def test_the_grid_counts_from_the_origin_and_leaves_nothing_out(origin_ns: int, every_ns: int, later_ns: int) -> None:
    now_ns = origin_ns + later_ns
    points = list(itertools.islice(grid(origin_ns, every_ns, now_ns), 5))
    assert all((point - origin_ns) % every_ns == 0 for point in points)
    assert now_ns < points[0] <= now_ns + every_ns
    assert {later - earlier for earlier, later in itertools.pairwise(points)} == {every_ns}


def test_only_silence_leaves_it_open_what_happened() -> None:
    def met(outcome: str) -> tuple[Outcome, str]:
        return outcome_of(Exchange(0, None, None, 1, outcome, 0, ""))  # type: ignore[arg-type]

    assert met("answered") == (Outcome.OK, "")
    assert met("silent") == (Outcome.INFO, "silent")
    for failed in ("refused", "reset", "closed", "wrong"):
        assert met(failed) == (Outcome.FAIL, failed)


def test_replicas_take_turns_and_every_scheduled_question_is_recorded_when_too_many_are_out() -> None:
    answered: list[Answered] = []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        route = Route("relay", (address, address), PING, 60 * 10**9, answered.append)
        scheduled = range(1, asking.OUTSTANDING_AT_MOST + 11)
        for intended_ns in scheduled:
            route.ask(intended_ns)
        assert [(one.error, one.outcome) for one in answered] == [("skipped", Outcome.INFO)] * 10
        route.end()
    assert sorted(one.question.intended_ns for one in answered) == list(scheduled)
    assert all(one.end_ns == NO_END_NS and one.outcome is Outcome.INFO for one in answered)
    by_time = sorted(answered, key=lambda one: one.question.intended_ns)
    assert [one.question.replica for one in by_time[:4]] == [0, 1, 0, 1]
