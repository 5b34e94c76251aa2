"""A plan for people: rows of a table, and a timeline strip of text. Pure; the colours are the caller's business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.experiment.units import format_duration, format_size
from chaosctl.plan.model import Phase, Plan, PlannedFault

Row = tuple[str, str, str, str, str]
MIN_WIDTH = 40
_NICE_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


def plan_rows(plan: Plan) -> tuple[Row, ...]:
    """Return what happens, in its order: time since the start of the load, what, on, parameters in words, until."""
    faults = {fault.id: fault for fault in plan.faults}
    rows: list[tuple[int, Row]] = []
    for step in plan.steps:
        at = format_duration(step.at_ns)
        if step.do == "users":
            until = format_duration(step.at_ns + (step.over_ns or 0)) if step.over_ns else ""
            rows.append((step.at_ns, (at, "users", plan.bots_link, f"{step.users} users", until)))
        elif step.do == "inject" and step.fault is not None:
            rows.append((step.at_ns, _fault_row(faults[step.fault])))
        elif step.do == "heal_all":
            rows.append((step.at_ns, (at, "heal all", "", "every fault, then the end", "")))
    rows += [(phase.start_ns, _phase_row(phase)) for phase in plan.phases if phase.name == "baseline"]
    return tuple(row for _, row in sorted(rows, key=lambda timed: timed[0]))


def _fault_row(fault: PlannedFault) -> Row:
    until = "" if fault.heal_ns is None else format_duration(fault.heal_ns)
    on = fault.on if fault.asked is None else f"{fault.on} ({fault.asked})"
    return format_duration(fault.inject_ns), fault.id, on, in_words(fault.params), until


def _phase_row(phase: Phase) -> Row:
    return format_duration(phase.start_ns), phase.name, "", "load without faults", format_duration(phase.end_ns)


def in_words(params: Mapping[str, Any]) -> str:
    """Return parameters in words: `latency 80ms, jitter 20ms`. What is off, empty or no time at all is left out."""
    return ", ".join(words for name, value in params.items() if (words := _word(name, value)))


def _word(name: str, value: Any) -> str:
    if value is None or value is False or value in ("", [], {}) or (value == 0 and name.endswith("_ns")):
        return ""
    if value is True:
        return _plain(name)
    for ending, shown in (("_ns", format_duration), ("_bytes", format_size)):
        if name.endswith(ending):
            return f"{_plain(name.removesuffix(ending))} {shown(value)}"
    if name.endswith("_bytes_per_s"):
        return f"{_plain(name.removesuffix('_bytes_per_s'))} {format_size(value)}/s"
    if name.endswith("_per_s"):
        return f"{_plain(name.removesuffix('_per_s'))} {value:g}/s"
    return f"{_plain(name)} {_listed(value)}"


def _listed(value: Any) -> str:
    """Return a list in words; one of lists with bars between them."""
    if not isinstance(value, (list, tuple)):
        return str(value)
    return (" | " if any(isinstance(one, (list, tuple)) for one in value) else ", ").join(map(_listed, value))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def strip(plan: Plan, width: int) -> tuple[str, ...]:
    """Return the timeline as lines of at most `width` columns (40 at least): phases, a bar for each fault, seconds."""
    width = max(width, MIN_WIDTH)
    labels = [f"{fault.id} {fault.on}" for fault in plan.faults]
    label_width = min(max(map(len, ["load", *labels])), width // 3)
    columns = width - label_width - 1
    lines = [f"{'load':<{label_width}} {_phase_line(plan, columns)}"]
    for label, fault in zip(labels, plan.faults, strict=True):
        lines.append(f"{_shorten(label, label_width):<{label_width}} {_bar(plan, fault, columns)}")
    lines.append(f"{'':<{label_width}} {_axis(plan, columns)}")
    return tuple(line.rstrip() for line in lines)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _column(plan: Plan, at_ns: int, columns: int) -> int:
    return min(columns - 1, at_ns * columns // max(plan.end_ns, 1))


def _phase_line(plan: Plan, columns: int) -> str:
    """Draw the phases in three shades, with their names where there is room."""
    cells = [" "] * columns
    for phase, shade in zip(plan.phases, "░▒▓", strict=False):
        start = _column(plan, phase.start_ns, columns)
        end = columns if phase is plan.phases[-1] else _column(plan, phase.end_ns, columns)
        room = end - start
        name = f" {phase.name} " if room >= len(phase.name) + 4 else ""
        cells[start:end] = f"{name:{shade}^{room}}" if room > 0 else ""
    return "".join(cells)


def _bar(plan: Plan, fault: PlannedFault, columns: int) -> str:
    """Draw a fault: a bar while it lasts, a single mark for a moment."""
    start = _column(plan, fault.inject_ns, columns)
    if fault.heal_ns is None:
        return " " * start + "◆"
    eighths = max(1, round(fault.heal_ns * columns * 8 / max(plan.end_ns, 1)) - start * 8)
    full, rest = divmod(min(eighths, (columns - start) * 8), 8)
    return " " * start + "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")


def _axis(plan: Plan, columns: int) -> str:
    """Draw seconds at round distances, each label beginning at its moment."""
    end_s = plan.end_ns / 1e9
    longest = len(f"{end_s:g}s") + 2
    step_s = next((nice for nice in _NICE_S if nice * columns / max(end_s, 1e-9) >= longest), max(end_s, 1.0))
    line = ""
    for index in range(columns):
        at_s = index * step_s
        column = int(at_s * columns / max(end_s, 1e-9))
        label = f"{at_s:g}s"
        if at_s > end_s or column + len(label) > columns:
            break
        line = f"{line:<{column}}{label}"
    return line
