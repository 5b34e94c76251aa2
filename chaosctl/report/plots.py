"""The plots of the page: which there are, what each says in words, and the script that draws them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.embed import components
from bokeh.resources import Resources

from chaosctl.report.figures import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    YELLOW,
    Lane,
    Series,
    lines,
    rows,
    shade,
    share_axis,
    stacked,
)
from chaosctl.report.timeline import Band, Bins, Floats, Load, Route, Timeline

OUTCOMES = (("ok", "took effect", BLUE, ""), ("fail", "failed", VERMILION, "/"), ("info", "unknown", YELLOW, "."))
PERCENTILES = {"p50": (BLUE, "solid"), "p95": (PURPLE, "dashed"), "p99": (VERMILION, "solid")}
# The names that Bokeh draws by chance for each page: its document and the elements of its plots.
_CHANCE_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ERROR_LOOKS = ((VERMILION, ""), (YELLOW, "."), (PURPLE, "/"), (BLUE, "x"), (GREEN, "-"), (GREY, ""))


@dataclass(frozen=True)
class Plot:
    """One plot of the page: its heading, what it shows in words, its legend, and the element it is drawn into."""

    title: str
    says: str
    legend: tuple[Series, ...]
    div: str


@dataclass(frozen=True)
class Plots:
    """All plots, the script that draws them, and the library that the script needs."""

    plots: tuple[Plot, ...]
    script: str
    library: str


@dataclass(frozen=True)
class _Drawn:
    title: str
    says: str
    legend: tuple[Series, ...]
    figure: Any


def draw(timeline: Timeline, bands: Sequence[Band]) -> Plots:
    """Return the plots of a run, top to bottom; none when the load never began."""
    bins = timeline.bins
    if bins is None:
        return Plots((), "", "")
    drawn = list(_drawn(timeline, bins, bands))
    if not drawn:
        return Plots((), "", "")
    figures = [one.figure for one in drawn]
    share_axis(figures, bins)
    for one in drawn:
        if one.legend:  # the overview has a row a fault instead
            for band in bands:
                shade(one.figure, band)
    script, *divs = _named_by_place(*components(figures, wrap_script=False))
    plots = tuple(Plot(one.title, one.says, one.legend, div) for one, div in zip(drawn, divs, strict=True))
    return Plots(plots, script, library())


def _named_by_place(script: str, divs: Sequence[str]) -> list[str]:
    """Return the script and the elements with names that count up, so that the same run gives the same page."""
    drawn = dict.fromkeys(_CHANCE_NAME.findall(" ".join((script, *divs))))
    names = {name: f"plot-{number}" for number, name in enumerate(drawn)}
    return [_CHANCE_NAME.sub(lambda met: names[met[0]], text) for text in (script, *divs)]


def library() -> str:
    """Return Bokeh's script, only the part that draws plots, so that the page needs no network."""
    script = "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)
    return script.replace("</script", "<\\/script")


def _drawn(timeline: Timeline, bins: Bins, bands: Sequence[Band]) -> Iterator[_Drawn]:
    lanes = lanes_of(timeline, bins, bands)
    if lanes:
        says = "When each fault was in effect, when a service was gone, and when the probe failed."
        yield _Drawn("What happened when", says, (), rows(lanes, bins))
    if timeline.load is not None:
        yield from _drawn_load(timeline.load, bins)
    if timeline.routes:
        probe = _probe(timeline.routes)
        says = "One question at a fixed cadence, through the relay and beside it. Logarithmic."
        yield _Drawn("Probe", says, probe, lines(probe, bins, 200, log=True))
    if timeline.load is not None and timeline.load.errors:
        errors = _errors(timeline.load)
        says = "Failed and unknown operations a second, by what the bots saw."
        yield _Drawn("Errors a second", says, errors, stacked(errors, bins, 180))
    if timeline.generator is not None:
        lag = (Series("p99 of the worst worker", timeline.generator.lag_ms, GREY),)
        says = "How late the load generator sent what was due. Where this is high, it was itself the bottleneck."
        yield _Drawn("Generator lag", says, lag, lines(lag, bins, 130, log=False))


def _drawn_load(load: Load, bins: Bins) -> Iterator[_Drawn]:
    outcomes = tuple(Series(name, load.rates[key], colour, hatch=hatch) for key, name, colour, hatch in OUTCOMES)
    says = "What became of the operations that were due: took effect, definitely did not, nobody knows."
    yield _Drawn("Operations a second", says, outcomes, stacked(outcomes, bins, 200))
    percentiles = tuple(Series(name, load.latency_ms[name], *look) for name, look in PERCENTILES.items())
    says = "From the intended start to the answer, of operations that took effect. Logarithmic."
    yield _Drawn("Latency", says, percentiles, lines(percentiles, bins, 220, log=True))


def _probe(routes: Sequence[Route]) -> tuple[Series, ...]:
    series: list[Series] = []
    for route, colour in zip(routes, (BLUE, GREEN), strict=False):
        series.append(Series(f"{route.name}, median", route.median_ms, colour))
        series.append(Series(f"{route.name}, worst", route.worst_ms, colour, dash="dotted"))
    return tuple(series)


def _errors(load: Load) -> tuple[Series, ...]:
    looks = zip(load.errors.items(), ERROR_LOOKS, strict=False)
    return tuple(Series(shorten(name), values, colour, hatch=hatch) for (name, values), (colour, hatch) in looks)


def shorten(text: str, width: int = 60) -> str:
    """Return the text on one line, cut where it is too long for a legend."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def lanes_of(timeline: Timeline, bins: Bins, bands: Sequence[Band]) -> list[Lane]:
    """Return the rows of the overview: phases, one a fault, one a replica that was gone, one a route that failed."""
    lanes = [Lane("phases", tuple((p.from_s, p.to_s, p.name) for p in timeline.phases), GREY)] * bool(timeline.phases)
    lanes += [Lane(band.name, ((band.from_s, band.to_s, shorten(band.text)),), VERMILION, "/") for band in bands]
    for replica in dict.fromkeys(down.replica for down in timeline.downs):
        gone = [down for down in timeline.downs if down.replica == replica]
        spans = [(down.from_s, bins.end_s if down.to_s is None else down.to_s) for down in gone]
        lanes.append(Lane(replica, _named(spans, f"{replica} {gone[0].how}"), PURPLE, "x"))
    for route in timeline.routes:
        spans = _runs(np.nan_to_num(route.failed_share), bins)
        if spans:
            lanes.append(Lane(route.name, _named(spans, f"probe fails {route.name}"), YELLOW, "."))
    return lanes


def _named(spans: Sequence[tuple[float, float]], text: str) -> tuple[tuple[float, float, str], ...]:
    """Return bars of which only the first carries the text: the others of its row mean the same."""
    return tuple((from_s, to_s, "" if index else text) for index, (from_s, to_s) in enumerate(spans))


def _runs(shares: Floats, bins: Bins) -> list[tuple[float, float]]:
    """Return the stretches of bins in which the share is not zero."""
    flags = np.concatenate(([0], shares > 0, [0])).astype(np.int8)
    turns = np.flatnonzero(np.diff(flags))
    edges_s = np.append(bins.left_s, bins.end_s)
    return [(float(edges_s[begin]), float(edges_s[end])) for begin, end in zip(turns[::2], turns[1::2], strict=True)]
