"""The live picture as text: pure, from the plan and the state to lines that fit the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from chaosctl.cli.live_state import FaultState, LiveState, ReplicaState, RouteState, milliseconds
from chaosctl.experiment.units import NS_PER_S
from chaosctl.plan.model import Plan, PlannedFault

LABEL_WIDTH = 10
LEAST_WIDTH = 20
# Past, present and future of the strip, a moment, and the present moment below it.
PAST, ACTIVE, FUTURE, MOMENT, IDLE, NOW = "▒", "█", "░", "┃", "─", "▲"
_ASCII = str.maketrans({
    PAST: "=", ACTIVE: "#", FUTURE: "+", MOMENT: "|", IDLE: "-", NOW: "^",
    "●": "*", "○": "o", "✔": "+", "✘": "x", "–": "-", "µ": "u", "±": "~", "…": ".",
})  # fmt: skip


def clock(at_ns: int) -> str:
    """Return run time as `0:07.3`."""
    minutes, tenths = divmod(max(at_ns, 0) // (NS_PER_S // 10), 600)
    return f"{minutes}:{tenths // 10:02}.{tenths % 10}"


def printable(words: str, encoding: str) -> str:
    """Return words without control characters, in characters that the terminal has."""
    shown = "".join(char if char.isprintable() else " " for char in words)
    try:
        shown.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return shown.translate(_ASCII).encode("ascii", errors="replace").decode()
    return shown


def picture(plan: Plan, state: LiveState, now_ns: int, console: Console) -> Text:
    """Return the whole picture, at most as wide and one line less high than the terminal."""
    width, height = max(console.size.width, LEAST_WIDTH), max(console.size.height - 2, 2)  # below the heading
    head = _head(plan, state, now_ns)
    lines = [*_strip(plan, state, now_ns, width - LABEL_WIDTH - 1), *_load(state, width - LABEL_WIDTH)]
    services = _services(state, roomy=height >= 30)
    spare = height - len(lines) - len(services)
    faults = _faults(plan, state, now_ns, max(spare - 3, 0))
    lines += [*faults, *services]
    lines += _said(state, height - len(lines))
    shown = Text()
    labelled = [(f"{label:<{LABEL_WIDTH}}{words}", style) for label, words, style in lines[:height]]
    for words, style in [head, *labelled]:
        line = Text(printable(words, console.encoding), style)
        line.truncate(width, overflow="ellipsis" if console.encoding.startswith("utf") else "crop")
        shown.append_text(line).append("\n")
    shown.rstrip()
    return shown


Line = tuple[str, str, str]


def _head(plan: Plan, state: LiveState, now_ns: int) -> tuple[str, str]:
    length = clock(now_ns)
    if state.load_ns is not None:
        length = f"load {clock(min(now_ns - state.load_ns, plan.end_ns))} of {clock(plan.end_ns)}, run {clock(now_ns)}"
    ended = f"  {state.ended}" if state.ended else ""
    return f"{plan.experiment}  {state.phase}  {length}{ended}", "bold"


def _strip(plan: Plan, state: LiveState, now_ns: int, width: int) -> Iterator[Line]:
    """Yield the faults as a strip over the load, their numbers above it, and below it where we are."""
    if not plan.faults or plan.end_ns <= 0:
        return
    cells, names = [IDLE] * width, [" "] * width
    for fault in reversed(plan.faults):
        begin, end = _cell(fault.inject_ns, plan, width), _cell(fault.heal_ns or fault.inject_ns, plan, width)
        for place in range(begin, end + 1):
            cells[place] = MOMENT if fault.heal_ns is None else _shade(state.faults.get(fault.id))
        number = fault.id.split("-", 1)[0][: width - begin]
        names[begin : begin + len(number)] = number
    yield ("", "".join(names), "dim")
    yield ("faults", "".join(cells), "")
    if state.load_ns is not None:
        yield ("", " " * _cell(now_ns - state.load_ns, plan, width) + NOW, "cyan")


def _cell(at_ns: int, plan: Plan, width: int) -> int:
    return min(max(at_ns * width // plan.end_ns, 0), width - 1)


def _shade(fault: FaultState | None) -> str:
    if fault is None or fault.applied_ns is None:
        return FUTURE
    return ACTIVE if fault.healed_ns is None else PAST


def _faults(plan: Plan, state: LiveState, now_ns: int, room: int) -> list[Line]:
    """Return as many faults as fit, in their order: those in effect before those to come before those past."""
    if room <= 0:
        return []
    lines = [(fault, *_fault(fault, state, now_ns)) for fault in plan.faults]
    urgency = sorted(range(len(lines)), key=lambda place: (lines[place][1], _distance(lines[place][0], state, now_ns)))
    kept = sorted(urgency[:room])
    return [("", words, style) for _, _, words, style in (lines[place] for place in kept)]


def _distance(fault: PlannedFault, state: LiveState, now_ns: int) -> int:
    return abs(fault.inject_ns - (now_ns - (state.load_ns or 0)))


def _fault(fault: PlannedFault, state: LiveState, now_ns: int) -> tuple[int, str, str]:
    """Return how much a fault matters now (0 most), and the line about it with its style."""
    seen = state.faults.get(fault.id, FaultState())
    name = f"{fault.id} on {fault.on}"
    doubt = ", NOT proved" if seen.proved is False else ", proved" if seen.proved else ""
    if seen.failed:
        return 0, f"✘ {name}: could not be applied: {seen.failed}", "red"
    if seen.applied_ns is None:
        if state.load_ns is None:
            return 1, f"○ {name}", "dim"
        left_ns = max(state.load_ns + fault.inject_ns - now_ns, 0)
        return 1, f"○ {name} in {clock(left_ns)}", "dim"
    if seen.healed_ns is not None:
        return 2, f"✔ {name} healed at {clock(seen.healed_ns)}{doubt}", "green"
    if fault.heal_ns is None:
        return 2, f"✔ {name} done at {clock(seen.applied_ns)}{doubt}", "green"
    return 0, f"● {name} since {clock(seen.applied_ns)}{doubt}", "yellow"


def _load(state: LiveState, width: int) -> Iterator[Line]:
    if state.workers:
        words = status_line(state, probe=False)
        rates, latency, of_it = words.partition("  p50")
        lines = [words] if len(words) <= width else [rates, f"{latency}{of_it}".strip()]
        yield from (("" if number else "load", line, "") for number, line in enumerate(lines))
    if state.routes:
        routes = sorted(state.routes.items(), reverse=True)  # relay first
        words = "   ".join(f"{name} {_route(route)}" for name, route in routes)
        yield ("probe", words, "red" if any(route.failed for _, route in routes) else "")


def _route(route: RouteState) -> str:
    if route.failed:
        return f"✘ {route.failed:g} failed, {route.ok:g} ok"
    return f"✔ {milliseconds(route.p50_ms)}"


def status_line(state: LiveState, *, probe: bool = True) -> str:
    """Return the load in one line: users, rates by outcome, latency; with the probe's state where it is asked for."""
    load = state.load()
    words = f"{load.users} users  ok {load.ok:g}/s  fail {load.fail:g}/s  unknown {load.info:g}/s"
    words += f"  p50 {milliseconds(load.p50_ms)}  p99 {milliseconds(load.p99_ms)}"
    if probe and state.routes:
        words += "  probe " + ", ".join(f"{name} {_route(route)}" for name, route in sorted(state.routes.items()))
    return words


def _services(state: LiveState, *, roomy: bool) -> list[Line]:
    """Return the services: a line each where there is room; otherwise how many are ready, and which are not."""
    replicas = state.replicas
    if not replicas:
        return []
    if roomy and len(replicas) <= 12:
        lines = [("", f"{name:<16} {_replica(replica)}", _style(replica)) for name, replica in replicas.items()]
        return [("services", *lines[0][1:]), *lines[1:]]
    troubled = [f"{name} {_replica(one)}" for name, one in replicas.items() if one.state != "ready" or one.restarts]
    ready = sum(one.state == "ready" for one in replicas.values())
    words = "; ".join([f"{ready} of {len(replicas)} ready", *troubled])
    return [("services", words, "" if ready == len(replicas) else "yellow")]


def _replica(replica: ReplicaState) -> str:
    again = f", {replica.restarts} restart{'s' * (replica.restarts > 1)}" if replica.restarts else ""
    return f"{replica.state}{again}"


def _style(replica: ReplicaState) -> str:
    return "" if replica.state == "ready" else "yellow"


def _said(state: LiveState, room: int) -> Sequence[Line]:
    """Return the last events, as many as there is room for, but at most eight."""
    count = max(min(room, 8), 0)
    last = list(state.said)[-count:] if count else []
    return [("" if place else "events", f"{clock(at_ns)} {words}", "dim") for place, (at_ns, words) in enumerate(last)]
