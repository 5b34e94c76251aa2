"""What a run looks like at this moment: a fold over its events, touched by one thread only."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosctl.experiment.units import format_duration

LAST_LINES = 200
# What comes every second or says nothing to a person who watches.
UNSAID = frozenset({"generator", "probe", "fault_requested", "observed", "metrics", "sealed", "run_started"})


@dataclass
class FaultState:
    """One fault so far; times are run ns. `failed` says why it could not be done."""

    applied_ns: int | None = None
    healed_ns: int | None = None
    proved: bool | None = None
    failed: str = ""


@dataclass
class ReplicaState:
    """One replica so far: `starting`, `ready` or how it ended."""

    state: str = "starting"
    restarts: int = 0


@dataclass(frozen=True)
class Rates:
    """What one worker last reported, for about a second."""

    users: int
    ok: float
    fail: float
    info: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class RouteState:
    """What the probe last reported on one route."""

    ok: float
    failed: float
    p50_ms: float | None


@dataclass
class LiveState:
    """All of it. `load_ns` is when the load began (run ns), `seen_ns` the time of the last event."""

    phase: str = "starting"
    seen_ns: int = 0
    load_ns: int | None = None
    relay: str = ""
    ended: str = ""
    faults: dict[str, FaultState] = field(default_factory=dict)
    replicas: dict[str, ReplicaState] = field(default_factory=dict)
    workers: dict[str, Rates] = field(default_factory=dict)
    routes: dict[str, RouteState] = field(default_factory=dict)
    said: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    def apply(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        """Take in one event. Unknown events and fields are only said, not understood."""
        self.seen_ns = max(self.seen_ns, at_ns)
        if event.startswith("fault_"):
            self._apply_fault(event, fields, at_ns)
        elif event.startswith("service_"):
            self._apply_service(event, fields)
        else:
            self._apply_other(event, fields, at_ns)
        if event not in UNSAID:
            self.said.append((at_ns, sentence(event, fields)))

    def _apply_fault(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        fault = self.faults.setdefault(str(fields.get("fault")), FaultState())
        match event:
            case "fault_applied":
                fault.applied_ns = _whole(fields.get("called_ns"), at_ns)
            case "fault_failed":
                fault.failed = str(fields.get("why") or "no reason given")
            case "fault_proved":
                fault.proved = bool(fields.get("proved"))
            case "fault_healed":
                fault.healed_ns = _whole(fields.get("returned_ns"), at_ns)

    def _apply_service(self, event: str, fields: Mapping[str, Any]) -> None:
        replica = self.replicas.setdefault(replica_name(fields), ReplicaState())
        match event:
            case "service_started":
                replica.state = "starting"
                replica.restarts = _whole(fields.get("start"), 1) - 1
            case "service_ready":
                replica.state = "ready"
            case "service_exited":
                replica.state = how_ended(fields)

    def _apply_other(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        match event:
            case "phase":
                self.phase = str(fields.get("name"))
            case "load_started":
                self.load_ns = at_ns
            case "load_ended":
                self.workers.clear()
                self.routes.clear()
            case "relay":
                self.relay = f"{fields.get('kind', '')} {fields.get('version', '')}".strip()
            case "generator":
                self.workers[str(fields.get("worker"))] = _rates(fields)
            case "probe":
                self.routes[str(fields.get("route"))] = _route(fields)
            case "interrupted" | "stopped":
                self.ended = sentence(event, fields)
            case "run_ended":
                self.ended = str(fields.get("reason"))

    def load(self) -> Rates:
        """Return all workers together. The percentiles of a whole cannot be had from those of its parts: the median is
        weighted by the operations of each, the p99 is the worst worker's."""
        workers = list(self.workers.values())
        medians = [(worker.p50_ms, worker.ok) for worker in workers if worker.p50_ms is not None]
        weight = sum(ok for _, ok in medians)
        return Rates(
            users=sum(worker.users for worker in workers),
            ok=sum(worker.ok for worker in workers),
            fail=sum(worker.fail for worker in workers),
            info=sum(worker.info for worker in workers),
            p50_ms=sum(p50 * ok for p50, ok in medians) / weight if weight else None,
            p99_ms=max((worker.p99_ms for worker in workers if worker.p99_ms is not None), default=None),
        )


def _maybe(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _number(value: Any) -> float:
    return _maybe(value) or 0.0


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _rates(fields: Mapping[str, Any]) -> Rates:
    ok, fail, info = (_number(fields.get(key)) for key in ("ok", "fail", "info"))
    return Rates(
        int(_number(fields.get("users"))), ok, fail, info, _maybe(fields.get("p50_ms")), _maybe(fields.get("p99_ms"))
    )


def _route(fields: Mapping[str, Any]) -> RouteState:
    return RouteState(_number(fields.get("ok")), _number(fields.get("failed")), _maybe(fields.get("p50_ms")))


def replica_name(fields: Mapping[str, Any]) -> str:
    """Return `world[0]`."""
    return f"{fields.get('service')}[{fields.get('replica')}]"


def how_ended(fields: Mapping[str, Any]) -> str:
    """Return `ended by SIGKILL` or `exited with 1`."""
    return f"ended by {fields['signal']}" if fields.get("signal") else f"exited with {fields.get('code')}"


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return one event in words, for a person; an unknown one as its name and fields."""
    words = _fault_words(event, fields) or _service_words(event, fields) or _replay_words(event, fields)
    if words:
        return words
    match event:
        case "phase":
            return f"phase: {fields.get('name')}"
        case "load_started":
            return "the load begins"
        case "load_ended":
            return "the load has ended"
        case "relay":
            return f"relay: {fields.get('kind')} {fields.get('version', '')}".rstrip()
        case "note":
            return str(fields.get("text"))
        case "run_ended":
            first_line = str(fields.get("error") or "").partition("\n")[0]  # a log's last lines follow elsewhere
            error = f": {first_line}" if first_line else ""
            return f"the run has ended: {fields.get('reason')}{error}"
    return _unknown(event, fields)


def _fault_words(event: str, fields: Mapping[str, Any]) -> str:
    fault = fields.get("fault")
    match event:
        case "fault_resolved":
            return f"{fault}: {fields.get('asked')} is {fields.get('on')}"
        case "fault_applied":
            return f"{fault} applied to {_listed(fields.get('targets'))}"
        case "fault_failed":
            return f"{fault} could not be applied: {fields.get('why')}"
        case "fault_proved":
            return f"{fault} {'proved' if fields.get('proved') else 'NOT proved'}: {fields.get('proof')}"
        case "fault_healed":
            return f"{fault} healed"
        case "fault_heal_proved":
            return f"{fault} {'gone' if fields.get('proved') else 'NOT seen to be gone'}: {fields.get('proof')}"
    return ""


def _service_words(event: str, fields: Mapping[str, Any]) -> str:
    match event:
        case "service_started":
            start = _whole(fields.get("start"), 1)
            again = f", start {start}" if start > 1 else ""
            version = f" as version {fields['version']}" if fields.get("version") else ""
            return f"{replica_name(fields)} started{version} (process {fields.get('pid')}{again})"
        case "service_ready":
            return f"{replica_name(fields)} is ready"
        case "service_exited":
            said = f" before it was ready: {fields['said'][-1]}" if fields.get("said") else ""
            return f"{replica_name(fields)} {how_ended(fields)}{said}"
    return ""


def _replay_words(event: str, fields: Mapping[str, Any]) -> str:
    match event:
        case "replay_finished":
            killed = fields.get("until_tick") is not None
            ended = f", killed at tick {fields['until_tick']}" if killed else f", exited with {fields.get('code')}"
            ended = ended if killed or fields.get("code") != 0 else ""
            return f"{fields.get('run')}: {fields.get('ticks')} ticks replayed{ended}"
        case "replay_canary":
            return f"{fields.get('factor')} {'reached' if fields.get('reached') else 'NOT seen to reach'} the replay"
        case "tampered":
            noticed = fields.get("noticed")
            said = "nobody knows" if noticed is None else "noticed" if noticed else "not noticed"
            return f"replay with a changed log, {fields.get('text')}: {said}"
    return ""


def _unknown(event: str, fields: Mapping[str, Any]) -> str:
    words = ", ".join(f"{key} {_listed(value)}" for key, value in fields.items() if value not in (None, ""))
    return f"{event.replace('_', ' ')}: {words}" if words else event.replace("_", " ")


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def milliseconds(value: float | None) -> str:
    """Return `12.3ms`, a dash where there is none that could be shown."""
    return "–" if value is None or not math.isfinite(value * 1e6) else format_duration(value * 1e6)
