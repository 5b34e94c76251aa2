"""junit.xml: what continuous integration shows. One suite an experiment, one case an objective."""

from __future__ import annotations

import re

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from chaosctl.recording.reader import Recording
from chaosctl.report.wording import exit_meaning, expectation, measurement, relay_name, rerun_command, sentence
from chaosctl.verify.contract import Finding, Status, Verdict

# XML 1.0 has no way at all to write these (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")


class JunitReporter:
    """A fail is a failure; inconclusive is skipped with its reason (the exit code still is not 0)."""

    name = "JUnit"
    file_name = "junit.xml"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return the document. Characters that XML cannot hold become U+FFFD."""
        suite = TestSuite(xml_text(verdict.experiment))
        for name, value in _properties(recording, verdict).items():
            suite.add_property(name, xml_text(value))
        suite.add_testcases([_case(verdict, finding) for finding in verdict.objectives])
        document = JUnitXml()
        document.add_testsuite(suite)
        return str(document.tostring().decode()) + "\n"


def xml_text(text: object) -> str:
    """Return the text without what XML cannot hold."""
    return _NOT_XML.sub("\ufffd", str(text))


def _properties(recording: Recording, verdict: Verdict) -> dict[str, str]:
    return {
        "status": verdict.status.value,
        "exit_code": f"{verdict.exit_code} ({exit_meaning(verdict.exit_code)})",
        "run_id": verdict.run_id,
        "seed": str(verdict.seed),
        "relay": relay_name(verdict),
        "ended": verdict.ended,
        "command": rerun_command(recording.run, verdict),
        **{f"note.{index}": note for index, note in enumerate(verdict.notes, start=1)},
    }


def _case(verdict: Verdict, finding: Finding) -> TestCase:
    case = TestCase(xml_text(finding.name), classname=xml_text(f"{verdict.experiment}.{finding.checker}"))
    message = xml_text(finding.why or sentence(finding))
    lines = [f"expected {expectation(finding)}", f"measured {measurement(finding)}", *_evidence(finding)]
    text = xml_text("\n".join(lines))
    if finding.status is Status.FAIL:
        failure = Failure(message, finding.checker)
        failure.text = text
        case.result = [failure]
    elif finding.status is Status.INCONCLUSIVE:
        case.result = [Skipped(message, "inconclusive")]
    case.system_out = text
    return case


def _evidence(finding: Finding) -> list[str]:
    return [f"{item.file} {item.where}: {item.text}" for item in finding.evidence]
