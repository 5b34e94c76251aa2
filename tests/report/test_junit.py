"""JUnit as other programs read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from junitparser import JUnitXml

from chaosctl.recording.reader import Recording
from chaosctl.report.junit import JunitReporter
from chaosctl.verify.contract import Status
from tests.report.bundle import HOSTILE, LOST, UNSEEN, empty_bundle, finding, verdict


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return empty_bundle(tmp_path / "run")


def test_a_suite_an_experiment_and_a_case_an_objective(recording: Recording) -> None:
    text = JunitReporter().render(recording, verdict(Status.FAIL, finding(), LOST, UNSEEN))
    (suite,) = JUnitXml.fromstring(text.encode())
    assert (suite.name, suite.tests, suite.failures, suite.skipped, suite.errors) == ("world-crash", 3, 1, 1, 0)
    passed, failed, skipped = suite
    assert (passed.name, passed.classname, passed.result) == ("recovery.serviceable", "world-crash.recovery", [])
    assert failed.result[0].message == LOST.why
    assert "history.jsonl id 17" in failed.result[0].text
    assert skipped.result[0].message == UNSEEN.why
    assert "measured 1.25 s ± 50 ms" in passed.system_out


def test_properties_say_which_run_it_was(recording: Recording) -> None:
    (suite,) = JUnitXml.fromstring(JunitReporter().render(recording, verdict(notes=("torn",))).encode())
    said = {item.name: item.value for item in suite.properties()}
    assert said["seed"] == "7"
    assert said["run_id"] == "run-1"
    assert said["relay"] == "toxiproxy 2.12.0"
    assert said["note.1"] == "torn"
    assert said["command"].endswith("--seed 7")


def test_characters_that_xml_cannot_hold(recording: Recording) -> None:
    judged = verdict(Status.FAIL, finding(HOSTILE, Status.FAIL, HOSTILE + "\x00\ud800"), experiment=HOSTILE)
    (suite,) = JUnitXml.fromstring(JunitReporter().render(recording, judged).encode())
    (case,) = suite
    assert "</script><script>alert(1)</script>" in case.name
    assert "\ufffd" in case.result[0].message
