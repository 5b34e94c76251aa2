"""The kinds of figure on the page, drawn with Bokeh from binned arrays: stacked bars, lines, and rows of bars.

Text, axes and grids take their colours from CSS variables (`--bk-...`, set in `style.css`), so that they follow the
reader's light or dark scheme; what is drawn uses mid tones of the Okabe-Ito palette, which read on both and by the
colour-blind. Bands and failures carry a hatch or a dash besides their colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CrosshairTool,
    HoverTool,
    Label,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from chaosctl.report.timeline import Band, Bins, Floats

BLUE, VERMILION, YELLOW, GREEN, PURPLE, GREY = "#3b82c4", "#d55e00", "#d99a00", "#219274", "#a86bb3", "#808a94"
AXIS_WIDTH_PX = 56
LANE_PX = 36
FONT = {"text_font": "system-ui, sans-serif", "text_font_size": "11px"}
HATCH = {"hatch_alpha": 0.45, "hatch_scale": 6.0, "hatch_weight": 1.0, "hatch_color": GREY}


@dataclass(frozen=True)
class Series:
    """One row of numbers, a bin each, and how it looks: `dash` for lines, `hatch` for bars."""

    name: str
    values: Floats
    colour: str
    dash: str = "solid"
    hatch: str = ""


@dataclass(frozen=True)
class Lane:
    """One row of the overview: bars (from, to, text), drawn in one colour."""

    name: str
    bars: tuple[tuple[float, float, str], ...]
    colour: str
    hatch: str = ""


def stacked(series: Sequence[Series], bins: Bins, height: int) -> Any:
    """Return bars a bin wide, stacked in the order given, in events a second."""
    shown = _blank(height, "per second", y_range=(0, 1))
    source = _source(series, bins)
    floor = np.zeros(len(bins))
    for index, one in enumerate(series):
        source.data[f"bottom{index}"], source.data[f"top{index}"] = floor, floor + one.values
        floor = floor + one.values
        bars = shown.quad(
            left="left",
            right="right",
            bottom=f"bottom{index}",
            top=f"top{index}",
            source=source,
            fill_color=one.colour,
            fill_alpha=0.8,
            line_color=None,
            **_hatch(one.hatch),
        )
        if index == 0:
            _hover(shown, bars, series, "/s")
    shown.y_range.end = max(float(floor.max(initial=0)) * 1.12, 1.0)
    return shown


def lines(series: Sequence[Series], bins: Bins, height: int, *, log: bool) -> Any:
    """Return lines of milliseconds through the middle of the bins; a bin without a value is a gap."""
    seen = np.concatenate([one.values[np.isfinite(one.values) & (one.values > 0)] for one in series])
    least, most = (float(seen.min()), float(seen.max())) if len(seen) else (0.1, 10.0)
    if log:
        shown = _blank(height, "ms", y_axis_type="log", y_range=(least / 1.5, most * 2))
    else:
        shown = _blank(height, "ms", y_range=(0, max(most * 1.2, 1.0)))
    source = _source(series, bins)
    # Drawn last to first, so that the first one lies on top.
    for index, one in reversed(list(enumerate(series))):
        line = shown.line("middle", f"c{index}", source=source, color=one.colour, line_dash=one.dash, line_width=1.8)
        shown.scatter("middle", f"c{index}", source=source, size=2.5, color=one.colour)
        if index == 0:
            _hover(shown, line, series, "ms")
    shown.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    return shown


def rows(lanes: Sequence[Lane], bins: Bins) -> Any:
    """Return the overview: a row a lane, each bar with its text above it."""
    shown = _blank(LANE_PX * len(lanes) + 46, "", y_range=(-0.05, len(lanes)))
    shown.yaxis.visible = False
    shown.ygrid.grid_line_color = None
    for row, lane in enumerate(reversed(lanes)):
        for bar in lane.bars:
            _bar(shown, lane, bar, row, bins)
    return shown


def _bar(shown: Any, lane: Lane, bar: tuple[float, float, str], row: int, bins: Bins) -> None:
    from_s, to_s, text = bar
    first_s = float(bins.left_s[0])
    right_s = max(to_s, from_s + (bins.end_s - first_s) / 250)  # a moment must be seen, too
    shown.quad(
        left=from_s,
        right=right_s,
        bottom=row + 0.1,
        top=row + 0.42,
        fill_color=lane.colour,
        fill_alpha=0.35,
        line_color=lane.colour,
        **_hatch(lane.hatch),
    )
    late = from_s > (first_s + bins.end_s) / 2 and lane.name != "phases"  # its text would leave the plot
    shown.add_layout(
        Label(
            x=right_s if late else from_s,
            y=row + 0.45,
            text=text,
            text_align="right" if late else "left",
            text_baseline="bottom",
            **FONT,
        )
    )


def share_axis(figures: Sequence[Any], bins: Bins) -> None:
    """Give all figures one range and one crosshair; only the last says what the axis is."""
    first_s = float(bins.left_s[0])
    shared = Range1d(first_s, bins.end_s, bounds=(first_s, bins.end_s))
    crosshair = Span(dimension="height", line_color=GREY, line_alpha=0.7, line_dash="dotted")
    for shown in figures:
        shown.x_range = shared
        shown.add_tools(CrosshairTool(overlay=crosshair, dimensions="height"))
        shown.xaxis.formatter = NumeralTickFormatter(format="0.[00]")
    figures[-1].xaxis.axis_label = "seconds since the run's start"


def shade(shown: Any, band: Band) -> None:
    """Draw a fault behind what a figure shows: hatched from inject to heal, a dashed line and its number."""
    if band.to_s > band.from_s:
        area = BoxAnnotation(left=band.from_s, right=band.to_s, level="underlay", line_color=None)
        area.update(fill_color=GREY, fill_alpha=0.10)
        area.update(hatch_pattern="/", hatch_alpha=0.12, hatch_scale=10.0, hatch_color=GREY)
        shown.add_layout(area)
    began = Span(location=band.from_s, dimension="height", line_color=GREY, line_dash="dashed", level="underlay")
    number = Label(x=band.from_s, y=0, y_units="screen", x_offset=3, y_offset=2, text=band.name.split("-", 1)[0][:8])
    number.update(text_font_style="bold", anchor="bottom_left", **FONT)
    shown.add_layout(began)
    shown.add_layout(number)


def _blank(height: int, y_label: str, **options: Any) -> Any:
    shown = figure(
        height=height,
        sizing_mode="stretch_width",
        min_width=200,
        tools="xpan,xwheel_zoom,xbox_zoom,reset,save",
        active_drag=None,  # a finger must be able to scroll the page; theme.js switches it on for a mouse
        active_scroll=None,
        active_tap=None,
        toolbar_location="above",
        toolbar_inner=True,
        y_axis_label=y_label,
        **options,
    )
    shown.toolbar.logo = None
    shown.toolbar.autohide = True
    shown.min_border_left, shown.min_border_right = AXIS_WIDTH_PX, 12
    shown.outline_line_color = shown.background_fill_color = shown.border_fill_color = None
    shown.xgrid.grid_line_color = None
    shown.axis.minor_tick_line_color = None
    shown.axis.axis_label_text_font_style = "normal"
    shown.axis.major_label_text_font = shown.axis.axis_label_text_font = FONT["text_font"]
    shown.axis.major_label_text_font_size = shown.axis.axis_label_text_font_size = FONT["text_font_size"]
    return shown


def _hatch(pattern: str) -> dict[str, Any]:
    return {"hatch_pattern": pattern, **HATCH} if pattern else {}


def _source(series: Sequence[Series], bins: Bins) -> ColumnDataSource:
    right_s = bins.left_s + bins.width_s
    columns = {f"c{index}": one.values for index, one in enumerate(series)}
    return ColumnDataSource(
        {"left": bins.left_s, "right": right_s, "middle": (bins.left_s + right_s) / 2, **columns},
    )


def _hover(shown: Any, renderer: Any, series: Sequence[Series], unit: str) -> None:
    tips = [(one.name, f"@c{index}{{0,0.[00]}} {unit}") for index, one in enumerate(series)]
    tips = [("from", "@left{0.[0]} s"), *tips]
    shown.add_tools(HoverTool(renderers=[renderer], tooltips=tips, mode="vline", attachment="horizontal"))
