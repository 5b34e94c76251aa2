"""report.html: one file that opens offline. The verdict and its reasons first, then everything on one time axis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaosctl.recording.reader import Recording
from chaosctl.report import wording
from chaosctl.report.plots import draw
from chaosctl.report.releases import RELEASE_COLUMNS, release_rows
from chaosctl.report.replays import REPLAY_COLUMNS, divergences, factors_in_short, replay_rows
from chaosctl.report.tables import (
    FAULT_COLUMNS,
    RECOVERY_COLUMNS,
    ROLLBACK_COLUMNS,
    fault_rows,
    pairs,
    recovery_rows,
    rollback_rows,
)
from chaosctl.report.timeline import NS_PER_S, Timeline, bands_of, timeline_of
from chaosctl.verify.contract import Finding, Verdict

MAX_EVIDENCE = 50
MAX_FILES = 200
NUMBER_ROWS = 60
REPORTS = ("verdict.json", "junit.xml", "summary.md", "report.html")


class HtmlReporter:
    """The page. Everything in it is escaped but our own templates and what Bokeh made of binned arrays."""

    name = "HTML"
    file_name = "report.html"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return the page. It loads nothing: script and style are inside, and its own policy forbids the network."""
        environment = Environment(
            loader=PackageLoader("chaosctl.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(cell=wording.cell, duration=wording.duration)
        return environment.get_template("report.html.jinja").render(**_context(recording, verdict))


def _context(recording: Recording, verdict: Verdict) -> dict[str, Any]:
    timeline = timeline_of(recording)
    bands = () if timeline.bins is None else bands_of(verdict, recording.plan, timeline.bins)
    plots = draw(timeline, bands)
    return {
        "verdict": verdict,
        "words": wording,
        "phases": timeline.phases,
        "lost": [finding for finding in verdict.objectives if finding.checker == "lost_acks" and finding.evidence],
        "evidence": evidence_of,
        "tables": _tables(verdict),
        "divergences": divergences(verdict),
        "factors": factors_in_short(verdict.objectives),
        "pairs": pairs,
        "plots": [(plot, Markup(plot.div)) for plot in plots.plots],
        "numbers": list(_numbers(timeline)),
        "length": _length(timeline),
        "wall": _wall(recording),
        "command": wording.rerun_command(recording.run, verdict),
        "plan": recording.plan,
        "files": _files(recording.folder),
        "style": _inline("style.css"),
        "theme": _inline("theme.js"),
        "library": Markup(plots.library),
        "script": Markup(plots.script),
    }


def evidence_of(finding: Finding) -> tuple[Any, ...]:
    """Return as much evidence as the page shows."""
    return finding.evidence[:MAX_EVIDENCE]


def _inline(name: str) -> Markup:
    return Markup((files("chaosctl.report") / "templates" / name).read_text(encoding="utf-8"))


def _tables(verdict: Verdict) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    return {
        "recovery": (RECOVERY_COLUMNS, recovery_rows(verdict)),
        "faults": (FAULT_COLUMNS, fault_rows(verdict)),
        "rollback": (ROLLBACK_COLUMNS, rollback_rows(verdict)),
        "releases": (RELEASE_COLUMNS, release_rows(verdict)),
        "replays": (REPLAY_COLUMNS, replay_rows(verdict)),
    }


def _length(timeline: Timeline) -> str | None:
    if timeline.bins is None:
        return None
    return wording.duration((timeline.bins.end_s - float(timeline.bins.left_s[0])) * NS_PER_S)


def _wall(recording: Recording) -> str | None:
    started = [event.fields.get("wall") for event in recording.events if event.event == "run_started"]
    return next((_to_the_second(str(wall)) for wall in started if wall), None)


def _to_the_second(wall: str) -> str:
    try:
        return f"{datetime.fromisoformat(wall).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return wall


def _numbers(timeline: Timeline) -> Iterator[tuple[str, ...]]:
    """Yield what the plots show as rows of text, for those who cannot see them: at most about 60, bins joined."""
    bins, load = timeline.bins, timeline.load
    if bins is None or load is None:
        return
    step = -(-len(bins) // NUMBER_ROWS)
    for start in range(0, len(bins), step):
        part = slice(start, start + step)
        rates = (wording.number(float(f"{values[part].mean():.3g}")) for values in load.rates.values())
        worst = (_worst(values[part]) for values in load.latency_ms.values())
        yield (f"{bins.left_s[start]:g} s", *rates, *worst)


def _worst(values_ms: Any) -> str:
    seen = values_ms[np.isfinite(values_ms)]
    return wording.duration(float(seen.max()) * 1e6) if len(seen) else wording.NOTHING


def _files(folder: Path) -> list[tuple[str, str]]:
    """Return what lies in the bundle with its size; the reports too, though some are not written yet."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    listed = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]
    sizes = [(name, f"{wording.number(size)} B") for name, size in listed if name not in REPORTS]
    more = [(f"and {len(sizes) - MAX_FILES} more", "")] if len(sizes) > MAX_FILES else []
    return [*sizes[:MAX_FILES], *more, *((name, "report") for name in REPORTS)]
