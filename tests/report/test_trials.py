"""The summary of several trials as people see it."""

from __future__ import annotations

import json
import re

import pytest

from chaosctl.report.trials import console_lines, headline, outcome, render_trials, strip_of
from chaosctl.verify.contract import Finding, Quantity, Status
from chaosctl.verify.trials import Trial, TrialsSummary, summarise
from tests.report.bundle import HOSTILE, verdict

S = 1_000_000_000
MS = S // 1000
TOOK = (1.1, 1.2, 1.3, 1.2, 12.0, 1.4, 1.3, 4.0, 1.2)


def trial(number: int, took_s: float, name: str = "recovery.serviceable") -> Trial:
    status = Status.PASS if took_s <= 3 else Status.FAIL
    measured = Quantity(took_s * S, "ns", censored=took_s >= 12)
    finding = Finding(name, "recovery", status, "<=", Quantity(3 * S, "ns"), measured, 50 * MS, "")
    unseen = Finding(
        "conserved.gold", "conserved", status, "==", Quantity(None, "gold"), Quantity(None, "gold"), 0.0, ""
    )
    made = verdict(status, finding, unseen, seed=number * 11, run_id=f"t-{number}")
    return Trial(number, f"trial-{number}", made.run_id, made.seed, made)


@pytest.fixture
def flaky() -> TrialsSummary:
    """Nine trials of which two failed, one of them without an end."""
    return summarise("world-crash", "t", 9, [trial(number, took) for number, took in enumerate(TOOK, 1)])


def test_a_flaky_verdict_is_shown_as_such(flaky: TrialsSummary) -> None:
    assert outcome(flaky.objectives[0]) == "flaky: failed 2 of 9"
    assert headline(flaky) == "9 trials, flaky: 2 of 9 failed"
    for text in ("\n".join(console_lines(flaky)), *render_trials(flaky).values()):
        assert "flaky" in text
    for name in ("summary.md", "trials.html"):
        assert "flaky: failed 2 of 9" in render_trials(flaky)[name]


def test_every_trial_is_shown_with_its_value_and_its_seed(flaky: TrialsSummary) -> None:
    for text in (
        "\n".join(console_lines(flaky)),
        *(render_trials(flaky)[name] for name in ("summary.md", "trials.html")),
    ):
        plain = text.replace("\\", "").replace("&gt;", ">")
        for number, took in enumerate(TOOK, 1):
            assert f"{number * 11}" in plain
            assert (f"{took:g} s ± 50 ms" if took < 12 else "> 12 s") in plain


def test_median_and_range_say_what_is_not_known(flaky: TrialsSummary) -> None:
    said = "\n".join(console_lines(flaky))
    assert "median 1.3 s ± 2.75 s, range 1.1 s to > 12 s" in said
    assert "its 96% interval, from the 2nd smallest to the 2nd largest of 9 values" in said
    few = "\n".join(console_lines(summarise("x", "t", 2, [trial(1, 1.0), trial(2, 12.0)])))
    assert "median > 6.5 s, range 1 s to > 12 s" in few
    assert "which covers the true median in 50% of cases" in few
    assert "that of its only value" in "\n".join(console_lines(summarise("x", "t", 1, [trial(1, 1.0)])))


def test_all_that_agree_are_not_flaky() -> None:
    same = summarise("x", "t", 3, [trial(n, 1.0) for n in (1, 2, 3)])
    assert outcome(same.objectives[0]) == "passed 3 of 3"
    assert "flaky" not in "\n".join(console_lines(same)) + render_trials(same)["trials.html"]
    failed = summarise("x", "t", 3, [trial(n, 5.0) for n in (1, 2, 3)])
    assert outcome(failed.objectives[0]) == "failed 3 of 3"


def test_the_data_is_strict_json_and_has_every_value(flaky: TrialsSummary) -> None:
    data = json.loads(render_trials(flaky)["trials.json"], parse_constant=pytest.fail)
    assert (data["schema_version"], data["status"], data["exit_code"], data["flaky"]) == (1, "fail", 1, True)
    serviceable = data["objectives"][0]
    assert [value["measured"]["value"] for value in serviceable["values"]] == [took * S for took in TOOK]
    assert (serviceable["passed"], serviceable["failed"], serviceable["flaky"]) == (7, 2, True)
    assert serviceable["spread"]["highest"] == {"value": 12 * S, "unit": "ns", "censored": True}
    assert data["objectives"][1]["spread"] is None


def test_the_strip_has_a_mark_for_each_trial_that_measured_something(flaky: TrialsSummary) -> None:
    strip = strip_of(flaky.objectives[0])
    assert strip is not None and len(strip.dots) == 9
    assert [dot.beyond for dot in strip.dots] == [took >= 12 for took in TOOK]
    assert strip.limit_x is not None and strip.median_x is not None
    assert all((dot.x > strip.limit_x) == (dot.status == "fail") for dot in strip.dots)
    assert strip_of(flaky.objectives[1]) is None
    page = render_trials(flaky)["trials.html"]
    assert len(re.findall(r"<circle", page)) == 7 and page.count("trial 5: &gt; 12 s, fail") == 1


def test_hostile_names_stay_text() -> None:
    hostile = summarise(HOSTILE, HOSTILE, 1, [trial(1, 1.0, HOSTILE)])
    page = render_trials(hostile)["trials.html"]
    assert HOSTILE not in page and "<script" not in page
    assert not re.search(r"(?:src|href)=.(?!trial-1/report.html)", page), "it loads nothing and leads nowhere else"
