"""The words that every reporter shares: quantities with their ±, statuses, the sentence of a finding, the command."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from chaosctl.errors import ExitCode
from chaosctl.experiment.units import format_duration
from chaosctl.verify.contract import Finding, Quantity, Status, Verdict

NOTHING = "–"
STATUS_MARKS = {Status.PASS: "✔", Status.INCONCLUSIVE: "?", Status.FAIL: "✘"}
_SPELT_UNITS = ("ns", "share", "1/s")  # here ± carries its own unit; a named unit stands once, at the end
_OPS = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}

EXIT_MEANINGS = {
    ExitCode.PASS: "every objective holds",
    ExitCode.FAIL: "an objective does not hold",
    ExitCode.USAGE: "the command line asks for something that cannot be done",
    ExitCode.INVALID_EXPERIMENT: "the experiment file is invalid",
    ExitCode.NOT_READY: "the environment or the deployment was not ready",
    ExitCode.STOPPED: "a stop condition ended the run",
    ExitCode.INCONCLUSIVE: "something that is needed for a verdict could not be seen",
    ExitCode.INTERNAL: "chaosctl itself failed",
    ExitCode.NOT_CLEAN: "something could not be cleaned up",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
    ExitCode.TERMINATED: "ended by SIGTERM",
}


def duration(value_ns: float) -> str:
    """Return nanoseconds with spaced units: `1.25 s`, `50 ms`, `2 min 5 s`, `0 s`."""
    if value_ns == 0:
        return "0 s"
    spaced = re.sub(r"(?<=[0-9])(?=[µms])", " ", format_duration(value_ns))
    return re.sub(r"m(?=\s|$)", "min", spaced)


def number(value: float) -> str:
    """Return a number with thin groups and at most four significant digits below 1000: `12 400`, `3`, `0.0125`."""
    if math.isinf(value):
        return "unlimited"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.4g}"


def amount(value: float | None, unit: str) -> str:
    """Return a value in its unit, without ±. `unit` as in `Quantity`. None and NaN: a dash."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "unlimited"
    match unit:
        case "ns":
            return duration(value)
        case "share":
            return f"{number(float(f'{value * 100:.3g}'))} %"
        case "1/s":
            return f"{number(value)}/s"
        case _:
            return f"{number(value)} {_name_of(unit)}".strip()


def quantity(measured: Quantity, uncertainty: float | None = None) -> str:
    """Return `1.25 s ± 50 ms`; `> 12 s` where the truth is beyond what was seen; a dash where nothing was seen."""
    text = amount(measured.value, measured.unit)
    if text == NOTHING:
        return text
    if measured.censored:
        return f"> {text}"
    if uncertainty is None:
        return text
    if measured.unit in _SPELT_UNITS:
        return f"{text} ± {amount(uncertainty, measured.unit)}"
    return " ".join(filter(None, (number(measured.value or 0), "±", number(uncertainty), _name_of(measured.unit))))


def _name_of(unit: str) -> str:
    return "" if unit == "count" else unit


def expectation(finding: Finding) -> str:
    """Return `≤ 3 s`."""
    return limit(finding.op, finding.expected)


def limit(op: str, expected: Quantity) -> str:
    """Return `≤ 3 s` for an op such as `<=`."""
    return f"{_OPS.get(op, op)} {quantity(expected)}".strip()


def measurement(finding: Finding) -> str:
    """Return `1.25 s ± 50 ms`, or `not measured`."""
    text = quantity(finding.measured, finding.uncertainty)
    return "not measured" if text == NOTHING else text


def status_word(status: Status) -> str:
    """Return a mark and the word, so that neither colour nor shape alone carries the meaning."""
    return f"{STATUS_MARKS[status]} {status.value}"


def sentence(finding: Finding) -> str:
    """Return the finding in one sentence: what, expected, measured, and why where there is a reason."""
    text = f"{finding.name}: expected {expectation(finding)}, measured {measurement(finding)}"
    return f"{text}. {finding.why}" if finding.why else text


def headline(verdict: Verdict) -> str:
    """Return one sentence for the whole run: `1 of 6 objectives failed, 2 are inconclusive`."""
    total = len(verdict.objectives)
    failed = sum(finding.status is Status.FAIL for finding in verdict.objectives)
    unclear = sum(finding.status is Status.INCONCLUSIVE for finding in verdict.objectives)
    if total == 0:
        return "No objective was judged"
    parts = [f"{failed} of {total} objectives failed"] if failed else []
    if unclear:
        parts.append(f"{unclear} of {total} {'is' if unclear == 1 else 'are'} inconclusive")
    return ", ".join(parts) or f"All {total} objectives hold"


def relay_name(verdict: Verdict) -> str:
    """Return `toxiproxy 2.12.0`, or `unknown`."""
    return " ".join(str(verdict.relay.get(key) or "") for key in ("kind", "version")).strip() or "unknown"


def exit_meaning(code: int) -> str:
    """Return what an exit code means, in words."""
    try:
        return EXIT_MEANINGS[ExitCode(code)]
    except ValueError:
        return "unknown"


def rerun_command(run: Mapping[str, Any], verdict: Verdict) -> str:
    """Return the command that runs it again with the same seed.

    `run["command"]` is the argument list (or line) as given. `--out` is left out, since that folder is now taken, and
    `--trials`, since this is one run of one seed.
    """
    given = run.get("command") or ("chaosctl", "run", "experiment.yaml")
    words = shlex.split(given) if isinstance(given, str) else [str(word) for word in given]
    kept = list(_without_options(words[1:], {"--out", "-o", "--seed", "--trials"}))
    return shlex.join(["chaosctl", *kept, "--seed", str(verdict.seed)])


def _without_options(words: Iterable[str], dropped: set[str]) -> Iterable[str]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in dropped:
            skip = True
        elif word.split("=", 1)[0] not in dropped:
            yield word


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with those first that a reader has to look at; otherwise in their order."""
    order = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS)
    return sorted(findings, key=lambda finding: order.index(finding.status))


def label(key: str) -> str:
    """Return a field's name for people: `lag_ms_p99` is `lag p99`, `healed_ns` is `healed`."""
    words = [word for word in key.split("_") if word not in ("ns", "ms", "s")]
    return " ".join(words) or key


def cell(key: str, value: Any) -> str:
    """Return any JSON value for a table; the unit is read from the end of its key (`_ns`, `_ms`, `share`)."""
    if value is None or value in ("", [], {}, ()):
        return NOTHING
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return _numeric_cell(key, value)
        case Mapping():
            return ", ".join(f"{label(str(name))} {cell(str(name), item)}" for name, item in value.items())
        case list() | tuple():
            return ", ".join(cell(key, item) for item in value)
        case _:
            return str(value)


def _numeric_cell(key: str, value: float) -> str:
    words = key.split("_")
    if "ns" in words:
        return duration(value)
    if "ms" in words:
        return duration(value * 1e6)
    if "share" in words:
        return amount(value, "share")
    return str(value) if isinstance(value, int) else number(value)
