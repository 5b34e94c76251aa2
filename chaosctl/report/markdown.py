"""summary.md: what a pull request or a GitHub step summary shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chaosctl.recording.reader import Recording
from chaosctl.report.releases import RELEASE_COLUMNS, release_rows
from chaosctl.report.replays import REPLAY_COLUMNS, Divergence, divergences, factors_in_short, replay_rows
from chaosctl.report.tables import (
    FAULT_COLUMNS,
    RECOVERY_COLUMNS,
    ROLLBACK_COLUMNS,
    fault_rows,
    recovery_rows,
    rollback_rows,
)
from chaosctl.report.wording import (
    exit_meaning,
    expectation,
    headline,
    measurement,
    relay_name,
    rerun_command,
    status_word,
)
from chaosctl.verify.contract import Finding, Verdict

MAX_BYTES = 1024 * 1024 - 1  # GitHub refuses a step summary of more than 1 MiB
MAX_ROWS = 200
EMOJI = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}
_CUT = "\n\n*Cut here: the rest is in report.html and verdict.json.*\n"


class MarkdownReporter:
    """Tables in GitHub's Markdown, with everything that a name could break escaped."""

    name = "Markdown"
    file_name = "summary.md"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return the summary, less than 1 MiB."""
        return cut("\n".join(_lines(recording, verdict)) + "\n", MAX_BYTES)


def escape(text: object) -> str:
    """Return text as plain words inside a table cell: no markup, no HTML, no links, no mentions, one line."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", line)


def code(text: object) -> str:
    """Return text as a code block that it cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", str(text))), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def cut(text: str, max_bytes: int) -> str:
    """Return the text in at most `max_bytes` of UTF-8, cut at a line and marked where it is."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    kept = data[: max_bytes - len(_CUT.encode())].decode(errors="ignore")
    return kept[: kept.rfind("\n")] + _CUT


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines with every cell escaped, an empty line last; at most 200 rows and a word on the rest."""
    listed = list(rows)
    lines = [f"| {' | '.join(map(escape, columns))} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(map(escape, row))} |" for row in listed[:MAX_ROWS]]
    if len(listed) > MAX_ROWS:
        lines += ["", f"{len(listed) - MAX_ROWS} more rows are in verdict.json."]
    return [*lines, ""]


def _objective(finding: Finding) -> tuple[str, ...]:
    return (status_word(finding.status), finding.name, expectation(finding), measurement(finding), finding.why)


def _lines(recording: Recording, verdict: Verdict) -> list[str]:
    lines = [
        f"## {EMOJI[verdict.status.value]} {escape(verdict.experiment)}: {verdict.status.value}",
        "",
        f"{headline(verdict)}. Exit code {verdict.exit_code}: {exit_meaning(verdict.exit_code)}.",
        "",
        f"Run {escape(verdict.run_id)}, seed {verdict.seed}, ended: {escape(verdict.ended)}. "
        f"Relay: {escape(relay_name(verdict))}.",
        "",
        *(f"- {escape(note)}" for note in verdict.notes),
        "",
        *table(("", "objective", "expected", "measured", "why"), map(_objective, verdict.objectives)),
    ]
    if verdict.recovery:
        lines += ["### Recovery", "", *table(RECOVERY_COLUMNS, recovery_rows(verdict))]
    if verdict.rollback:
        lines += ["### Rollback", "", *table(ROLLBACK_COLUMNS, rollback_rows(verdict))]
    if verdict.releases:
        lines += ["### Release rollback", "", *table(RELEASE_COLUMNS, release_rows(verdict))]
    if verdict.replays:
        lines += ["### Replay", "", *table(REPLAY_COLUMNS, replay_rows(verdict))]
        lines += [f"- {escape(line)}" for line in factors_in_short(verdict.objectives)] + [""]
        for divergence in divergences(verdict):
            lines += _divergence(divergence)
    if verdict.faults:
        lines += ["### Faults", "", *table(FAULT_COLUMNS, fault_rows(verdict))]
    return [*lines, "### Run it again", "", code(rerun_command(recording.run, verdict))]


def _divergence(divergence: Divergence) -> list[str]:
    lines = [f"First divergence: {escape(divergence.headline)}.", ""]
    if not divergence.fields:
        return lines
    return [*lines, *table(divergence.columns, divergence.fields)]
