"""The summary of several trials for people and programs: trials.json, trials.html, summary.md, and the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaosctl.report import wording
from chaosctl.report.markdown import EMOJI, MAX_BYTES, cut, escape, table
from chaosctl.verify.contract import Quantity, Status
from chaosctl.verify.trials import OverTrials, Spread, TrialsSummary, Value, summary_to_dict

PAGE = "trials.html"
_WIDTH, _MARGIN = 640.0, 14.0  # of the strip of one objective, in its own units
_TRIALS = ("trial", "", "seed", "folder", "what did not pass")
_OBJECTIVES = ("", "objective", "expected", "outcomes", "median", "range")


def render_trials(summary: TrialsSummary) -> Mapping[str, str]:
    """Return the files of a summary by name. Pure."""
    return {
        "trials.json": json.dumps(summary_to_dict(summary), indent=2, ensure_ascii=False) + "\n",
        "summary.md": cut("\n".join(_markdown(summary)) + "\n", MAX_BYTES),
        PAGE: _page(summary),
    }


def outcome(one: OverTrials) -> str:
    """Return `passed 9 of 9`, `failed 9 of 9` or `flaky: failed 2, inconclusive 1 of 9`."""
    counts = [("failed", one.failed), ("inconclusive", one.inconclusive)]
    bad = ", ".join(f"{word} {count}" for word, count in counts if count) or f"passed {one.passed}"
    return f"{'flaky: ' if one.flaky else ''}{bad} of {len(one.values)}"


def headline(summary: TrialsSummary) -> str:
    """Return one sentence for all trials: `9 trials, flaky: 2 of 9 failed`."""
    statuses = [row.status for row in summary.trials]
    counts = [("failed", statuses.count(Status.FAIL)), ("inconclusive", statuses.count(Status.INCONCLUSIVE))]
    bad = " and ".join(f"{count} of {len(statuses)} {word}" for word, count in counts if count)
    said = bad or f"all {len(statuses)} passed"
    return f"{len(statuses)} trials, {'flaky: ' if summary.flaky else ''}{said}"


def median(spread: Spread | None) -> str:
    """Return `1.2 s ± 80 ms`, `1.2 s (1 s to > 12 s)` where nothing bounds it above, or `not measured`."""
    if spread is None:
        return "not measured"
    if spread.uncertainty is not None or spread.median.censored:
        return wording.quantity(spread.median, spread.uncertainty)
    ends = (spread.interval_low, spread.interval_high)
    return f"{wording.quantity(spread.median)} ({' to '.join(map(wording.quantity, ends))})"


def value_range(spread: Spread | None) -> str:
    """Return `1 s to 12 s`, or one value where all are equal."""
    if spread is None:
        return wording.NOTHING
    ends = [wording.quantity(spread.lowest), wording.quantity(spread.highest)]
    return " to ".join(dict.fromkeys(ends))


def uncertainty_notes(summary: TrialsSummary) -> list[str]:
    """Return what the ± of the medians is, a sentence for each way."""
    spreads = [one.spread for one in summary.objectives if one.spread is not None]
    return [f"The ± of a median is {words}." for words in dict.fromkeys(map(_uncertainty_words, spreads))]


def _uncertainty_words(spread: Spread) -> str:
    if spread.n == 1:
        return "that of its only value, which says nothing about further trials"
    if spread.between == 1:
        share = f"which covers the true median in {spread.coverage:.0%} of cases"
        return f"the range of {spread.n} values with their own ± ({share})"
    rank = {2: "2nd", 3: "3rd"}.get(spread.between, f"{spread.between}th")
    ends = f"from the {rank} smallest to the {rank} largest of {spread.n} values with their own ±"
    return f"its {spread.coverage:.0%} interval, {ends}"


def value_words(value: Value) -> str:
    """Return what one trial measured, with its ±."""
    text = wording.quantity(value.measured, value.uncertainty)
    return "not measured" if text == wording.NOTHING else text


def trial_line(summary: TrialsSummary, number: int) -> str:
    """Return the line of one trial."""
    row = next(row for row in summary.trials if row.trial == number)
    why = f"  ({row.why})" if row.why else ""
    return f"trial {row.trial} of {summary.asked}  {wording.status_word(row.status):<14}  seed {row.seed}{why}"


def console_lines(summary: TrialsSummary) -> list[str]:
    """Return the summary for a terminal: the verdict, every trial, and every objective with each trial's value."""
    lines = [f"{wording.status_word(summary.status)}  {summary.experiment}: {headline(summary)}"]
    lines += [f"note: {note}" for note in summary.notes]
    lines += ["", *(trial_line(summary, row.trial) for row in summary.trials), ""]
    widest = max((len(one.name) for one in summary.objectives), default=0)
    for one in summary.objectives:
        head = f"{wording.status_word(one.status):<14} {one.name:<{widest}}"
        lines.append(f"{head}  {outcome(one)}  (expected {_expected(one)})")
        if one.spread is not None:
            lines.append(f"    median {median(one.spread)}, range {value_range(one.spread)}")
        lines.append(f"    {', '.join(_marked(value) for value in one.values)}")
    return [*lines, *uncertainty_notes(summary)]


def _marked(value: Value) -> str:
    mark = "" if value.status is Status.PASS else f"{wording.STATUS_MARKS[value.status]} "
    return f"{mark}{value_words(value)}"


def _expected(one: OverTrials) -> str:
    return wording.limit(one.op, one.expected)


def _objective_row(one: OverTrials) -> tuple[str, ...]:
    status = wording.status_word(one.status)
    return (status, one.name, _expected(one), outcome(one), median(one.spread), value_range(one.spread))


def _trial_rows(summary: TrialsSummary) -> Iterator[tuple[str, ...]]:
    for row in summary.trials:
        yield (str(row.trial), wording.status_word(row.status), str(row.seed), row.folder, row.why or wording.NOTHING)


def _values(summary: TrialsSummary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = ("trial", *(one.name for one in summary.objectives))
    rows = [
        (str(row.trial), *(_marked(one.values[place]) for one in summary.objectives))
        for place, row in enumerate(summary.trials)
    ]
    return columns, rows


def _markdown(summary: TrialsSummary) -> list[str]:
    lines = [
        f"## {EMOJI[summary.status.value]} {escape(summary.experiment)}: {summary.status.value}",
        "",
        f"{headline(summary)}. Exit code {summary.exit_code}: {wording.exit_meaning(summary.exit_code)}.",
        "",
        *(f"- {escape(note)}" for note in summary.notes),
        "",
        *table(_OBJECTIVES, map(_objective_row, summary.objectives)),
        "### Every trial",
        "",
        *table(_TRIALS, _trial_rows(summary)),
        "### Every value",
        "",
        *table(*_values(summary)),
    ]
    return [*lines, *uncertainty_notes(summary)]


@dataclass(frozen=True)
class Dot:
    """One trial in an objective's strip; `beyond`: the truth lies further to the right."""

    x: float
    trial: int
    status: str
    beyond: bool
    says: str


@dataclass(frozen=True)
class Strip:
    """One objective's values on a line of `_WIDTH`, with the place of what was expected."""

    dots: tuple[Dot, ...]
    limit_x: float | None
    median_x: float | None
    left: str
    right: str


def strip_of(one: OverTrials) -> Strip | None:
    """Return where the values lie; None where all that was measured and expected is one number, or none."""
    seen = [(value, float(value.measured.value)) for value in one.values if value.measured.value is not None]
    limit = one.expected.value
    known = [number for _, number in seen] + ([float(limit)] if limit is not None else [])
    if not seen or min(known) == max(known):
        return None
    low, high = min(known), max(known)

    def place(number: float) -> float:
        return round(_MARGIN + (number - low) / (high - low) * (_WIDTH - 2 * _MARGIN), 1)

    middle = one.spread.median.value if one.spread else None
    return Strip(
        dots=tuple(
            Dot(place(at), value.trial, value.status.value, value.measured.censored, value_words(value))
            for value, at in seen
        ),
        limit_x=None if limit is None else place(float(limit)),
        median_x=None if middle is None else place(middle),
        left=wording.quantity(Quantity(low, one.expected.unit)),
        right=wording.quantity(Quantity(high, one.expected.unit)),
    )


def _page(summary: TrialsSummary) -> str:
    environment = Environment(
        loader=PackageLoader("chaosctl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("trials.html.jinja").render(**_context(summary))


def _context(summary: TrialsSummary) -> dict[str, Any]:
    style = (files("chaosctl.report") / "templates" / "style.css").read_text(encoding="utf-8")
    return {
        "summary": summary,
        "words": wording,
        "headline": headline(summary),
        "objectives": [
            (one, _expected(one), outcome(one), median(one.spread), value_range(one.spread), strip_of(one))
            for one in summary.objectives
        ],
        "uncertainty": uncertainty_notes(summary),
        "trials": summary.trials,
        "values": _values(summary),
        "width": _WIDTH,
        "style": Markup(style),
    }
