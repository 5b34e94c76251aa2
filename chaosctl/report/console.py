"""The summary in the terminal: the verdict first, then why, then where to read more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chaosctl.report.releases import RELEASE_COLUMNS, release_rows
from chaosctl.report.replays import REPLAY_COLUMNS, Divergence, divergences, factors_in_short, is_factor, replay_rows
from chaosctl.report.tables import ROLLBACK_COLUMNS, recovery_rows, rollback_rows
from chaosctl.report.wording import exit_meaning, expectation, headline, measurement, status_word, worst_first
from chaosctl.verify.contract import Finding, Status, Verdict

STYLES = {Status.PASS: "bold green", Status.INCONCLUSIVE: "bold yellow", Status.FAIL: "bold red"}
MAX_FIELDS = 5
MAX_FACTORS = 3
# What stands in for our marks where the terminal's encoding has none of them.
_ASCII = str.maketrans({
    "✔": "+", "✘": "x", "±": "+/-", "≤": "<=", "≥": ">=", "≠": "!=", "µ": "u", "–": "-", "…": "...", "→": "->",
})  # fmt: skip


def print_summary(verdict: Verdict, console: Console, report_path: Path | None) -> None:
    """Print the verdict, every objective, the tables, and where the report is. Nothing is said by colour only."""
    say = _Printer(console)
    say.line(f"{status_word(verdict.status)}  {verdict.experiment}", STYLES[verdict.status])
    say.line(f"{headline(verdict)}. Run {verdict.run_id}, seed {verdict.seed}.")
    if verdict.ended != "completed":
        say.line(f"The run did not complete: {verdict.ended}.", "yellow")
    for note in verdict.notes:
        say.line(f"note: {note}", "dim")
    console.print()
    _objectives(say, verdict.objectives)
    _recovery(say, verdict)
    _rollback(say, verdict)
    _releases(say, verdict)
    _replays(say, verdict)
    if report_path is not None:
        console.print(say.text(f"Report: {report_path}"), soft_wrap=True)  # a path that wraps cannot be copied
    say.line(f"Exit code {verdict.exit_code}: {exit_meaning(verdict.exit_code)}.")


def print_lines(lines: Iterable[str], console: Console) -> None:
    """Print plain lines as they are, each on a line of its own however long, with nothing in them taken for markup."""
    say = _Printer(console)
    for line in lines:
        console.print(say.text(line), soft_wrap=True)


class _Printer:
    """Prints text that comes from recordings: markup in it stays text, control characters go, encodings are kept to."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._encoding = console.encoding

    def text(self, words: str, style: str = "") -> Text:
        shown = "".join(char if char.isprintable() else " " for char in words)
        try:
            shown.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            shown = shown.translate(_ASCII).encode("ascii", errors="replace").decode()
        return Text(shown, style)

    def line(self, words: str, style: str = "", indent: int = 0) -> None:
        self.console.print(Padding(self.text(words, style), (0, 0, 0, indent), expand=False))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", collapse_padding=True)
        for name in columns:
            table.add_column(self.text(name), overflow="fold")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else self.text(cell) for cell in row))
        self.console.print(table)


def _objectives(say: _Printer, findings: Sequence[Finding]) -> None:
    passing = [finding for finding in findings if finding.status is Status.PASS and is_factor(finding)]
    folded = passing if len(passing) > MAX_FACTORS else []
    shown = [finding for finding in worst_first(findings) if finding not in folded]
    widest = max((len(finding.name) for finding in shown), default=0)
    marks = max((len(status_word(finding.status)) for finding in findings), default=0) + 2
    for finding in shown:
        head = say.text(f"{status_word(finding.status):<{marks}}", STYLES[finding.status])
        measured, expected = f"{finding.name:<{widest}}  {measurement(finding)}", f"(expected {expectation(finding)})"
        # What does not fit beside the measured goes below it as a whole.
        fits = marks + len(measured) + 2 + len(expected) <= say.console.width
        say.console.print(head + say.text(f"{measured}  {expected}" if fits else measured))
        if not fits:
            say.line(expected, indent=marks)
        if finding.status is not Status.PASS and finding.why:
            say.line(finding.why, indent=4)
        if finding.status is Status.FAIL:
            for item in finding.evidence[:3]:
                more = "" if _but_numbers(item.text) == _but_numbers(finding.why) else f": {item.text}"
                say.line(f"see {item.file} {item.where}{more}", "dim", indent=4)
    if folded:
        head = say.text(f"{status_word(Status.PASS):<{marks}}", STYLES[Status.PASS])
        say.console.print(head + say.text(f"replay under {len(folded)} factors, named below"))
    say.console.print()


def _but_numbers(text: str) -> str:
    return re.sub(r"[0-9]+", "0", text)


def _recovery(say: _Printer, verdict: Verdict) -> None:
    rows = recovery_rows(verdict)
    if not rows:
        return
    say.line("Recovery, counted from the inject", "bold")
    say.table(("fault", "noticed", "first good", "serviceable", "steady"), [row[:5] for row in rows])


def _rollback(say: _Printer, verdict: Verdict) -> None:
    if verdict.rollback:
        say.line("Rollback, counted from the inject", "bold")
        # What the fault is stands in the table above, or in its name; here is no room for it.
        say.table(ROLLBACK_COLUMNS, [(row[0].partition(":")[0], *row[1:]) for row in rollback_rows(verdict)])


def _releases(say: _Printer, verdict: Verdict) -> None:
    if verdict.releases:
        say.line("Release rollback (good again: since the rollback)", "bold")
        say.table(RELEASE_COLUMNS, release_rows(verdict))


def _replays(say: _Printer, verdict: Verdict) -> None:
    if not verdict.replays:
        return
    say.line("Replay", "bold")
    say.table(REPLAY_COLUMNS, replay_rows(verdict))
    for line in factors_in_short(verdict.objectives):
        say.line(line)
    for divergence in divergences(verdict):
        _divergence(say, divergence)


def _divergence(say: _Printer, divergence: Divergence) -> None:
    say.line(f"First divergence: {divergence.headline}", STYLES[Status.FAIL])
    if divergence.fields:
        say.table(divergence.columns, divergence.fields[:MAX_FIELDS])
    more = len(divergence.fields) - MAX_FIELDS
    if more > 0:
        say.line(f"... and {more} more fields; the report shows them", "dim")
    for given in divergence.inputs:
        say.line(f"input: {given}")
