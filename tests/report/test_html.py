"""The page: complete, offline, and safe with whatever a recording says."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chaosctl.recording.reader import Recording
from chaosctl.report.html import HtmlReporter
from chaosctl.verify.contract import Evidence, Status, Verdict
from tests.report.bundle import (
    DIVERGENCE,
    HOSTILE,
    LATE,
    LOST,
    UNSEEN,
    empty_bundle,
    finding,
    full_bundle,
    plan,
    verdict,
)

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """The page as text, elements and the network addresses that it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.words = ""
        self.loads: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")], "no inline handlers"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] not in ("style", "title"):
            self.words += data
            if self.open[-1] == "h2":
                self.headings.append(data)


def page(recording: Recording, judged: Verdict) -> Page:
    parsed = Page(HtmlReporter().render(recording, judged))
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return full_bundle(tmp_path_factory.mktemp("html") / "run")


def test_the_verdict_and_its_reasons_come_first(recording: Recording) -> None:
    seen = page(recording, verdict(Status.FAIL, finding(), LOST, UNSEEN, LATE))
    assert seen.headings[:2] == ["Objectives", "Over time"]
    order = [seen.words.index(text) for text in ("✘ fail", "world-crash", "Players play again", LOST.why, "Over time")]
    assert order == sorted(order)
    for text in ("3 ± 0 operations", "not measured", "> 12 s", "1.25 s ± 50 ms", "expected ≤ 3 s", UNSEEN.why):
        assert text in seen.words


def test_everything_a_reader_asks_for_is_there(recording: Recording) -> None:
    seen = page(recording, verdict(Status.FAIL, LOST, replays=(DIVERGENCE,), notes=("the tail is torn",)))
    for text in (
        "Operations a second", "Latency", "Probe", "Errors a second", "Generator lag", "What happened when",
        "190 resumed, 10 lost", "refused 28, reset 2", "proved: +80.3 ms through the relay",
        "replay-1 parts from live at tick 37, in players", "players.near-3.gold", '{"tick": 37, "move": "n"}',
        "near-3 was told that coin 41 was added", "toxiproxy 2.12.0", "3.11.2", "sha256:0123abcd",
        "chaosctl run 'experiments/a b.yaml' --seed 7", "samples/swarm-0.arrow", "the tail is torn",
    ):  # fmt: skip
        assert text in seen.words, text


def test_it_loads_nothing_from_anywhere(recording: Recording) -> None:
    html = HtmlReporter().render(recording, verdict())
    assert Page(html).loads == []
    assert "default-src 'none'" in html
    assert "@import" not in html and "url(" not in Page(html).words


@pytest.mark.parametrize("status", list(Status))
def test_each_status_is_said_in_words(recording: Recording, status: Status) -> None:
    seen = page(recording, verdict(status, finding(status=status, why="because")))
    assert f"{status.value}" in seen.words


def test_what_has_to_be_looked_at_comes_first(recording: Recording) -> None:
    broken = finding("lost_acks", Status.FAIL, "3 are gone")
    words = page(recording, verdict(Status.FAIL, finding(why="all is well"), broken)).words
    assert words.index("3 are gone") < words.index("all is well")


def test_the_reason_of_a_pass_opens_its_evidence(recording: Recording) -> None:
    good = finding(why="all is well", evidence=(Evidence("events.jsonl", "9", "seen"),))
    html = HtmlReporter().render(recording, verdict(Status.PASS, good))
    assert '<summary><span class="why">all is well</span></summary>' in html


def test_the_start_is_said_to_the_second(recording: Recording) -> None:
    assert "2026-01-02 03:04:05 UTC" in page(recording, verdict()).words


def test_an_interrupted_run_without_load_still_has_a_page(tmp_path: Path) -> None:
    judged = verdict(
        Status.INCONCLUSIVE, finding(status=Status.INCONCLUSIVE, why="no load"), ended="interrupted",
        faults=(), recovery=(), replays=(), relay={}, generator={}, environment={},
    )  # fmt: skip
    seen = page(empty_bundle(tmp_path / "run"), judged)
    assert "did not complete: interrupted" in seen.words
    assert "The load never began" in seen.words
    assert seen.scripts == []


def test_what_a_recording_says_stays_text(tmp_path: Path) -> None:
    recording = full_bundle(tmp_path / "run", error=HOSTILE)
    recording.plan = plan(HOSTILE)
    bad = finding(HOSTILE, Status.FAIL, HOSTILE, checker="lost_acks", evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE),))
    fault = {**verdict().faults[0], "id": HOSTILE, "on": HOSTILE, "proof": HOSTILE}
    judged = verdict(
        Status.FAIL, bad, experiment=HOSTILE, run_id=HOSTILE, faults=(fault,), notes=(HOSTILE,), replays=(DIVERGENCE,),
        relay={"kind": HOSTILE, "version": HOSTILE}, environment={HOSTILE: HOSTILE}, rollback=({"on": HOSTILE},),
    )  # fmt: skip
    seen = page(recording, judged)
    assert len(seen.scripts) == 3  # the library, the plots and the theme: none of them ended early, none was added
    assert seen.scripts[0].count("alert(1)") == seen.scripts[2].count("alert(1)") == 0
    assert "<script>alert(1)" not in seen.scripts[1]
    assert "<script>alert(1)" in seen.words


def test_a_million_operations_take_seconds(tmp_path: Path) -> None:
    recording = full_bundle(tmp_path / "run", per_s=200)
    small = recording.samples("swarm")
    repeat = 1_000_000 // len(small)
    columns = {
        name: getattr(small, name).repeat(repeat)
        for name in ("intended_ns", "sent_ns", "end_ns", "outcome", "bot", "operation", "cohort", "error")
    }
    names = (small.bots, small.operations, small.cohorts, small.errors)
    recording._samples["swarm"] = type(small)(*columns.values(), *names, True)
    begun = time.monotonic()
    html = HtmlReporter().render(recording, verdict())
    assert time.monotonic() - begun < 8
    assert len(html) < 2_500_000  # the library and the bins, not the operations
