"""What surrounds the findings: how the run ended, what died, how the generator fared, where it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaosctl.recording.facts import load_window

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording

LAG_MS = 250
CPU_SHARE = 0.95
SATURATED_SHARE = 0.10  # of the seconds of the load, in any one worker
_WAYS = ("completed", "interrupted", "stopped", "failed", "crashed", "error")


def ended(recording: Recording) -> str:
    """Return the reason of `run_ended`, `interrupted` if the run never said how it ended, `error` for a strange one."""
    said = recording.events_named("run_ended")
    reason = str(said[-1].fields.get("reason")) if said else "interrupted"
    return reason if reason in _WAYS else "error"


def run_doubts(recording: Recording) -> list[str]:
    """Return why nothing about this run may pass, in sentences; empty if it is whole."""
    doubts = [_crash(event) for event in recording.events_named("crashed")]
    said = recording.events_named("run_ended")
    if not said:
        doubts.append("the run was interrupted: it never recorded its end")
    elif (how := ended(recording)) != "completed":
        error = str(said[-1].fields.get("error") or "").partition("\n")[0]  # the last lines of a log follow it
        doubts.append(f"the run did not play its plan to the end: {how}" + (f" ({error})" if error else ""))
    if not said or ended(recording) != "stopped":
        doubts += [f"stopped: {event.fields.get('condition')}" for event in recording.events_named("stopped")]
    return doubts + _impossible(recording) + list(recording.incomplete)


def _impossible(recording: Recording) -> list[str]:
    """A clock that goes back leaves operations that ended before they were sent: then no time of that file is known."""
    doubts = []
    for source in ("swarm", "probe-relay"):
        samples = recording.samples(source)
        if count := int(((samples.end_ns >= 0) & (samples.end_ns < samples.sent_ns)).sum()):
            doubts.append(f"{count} operations in samples/{source} ended before they were sent: a clock went back")
    return doubts


def _crash(event: Event) -> str:
    return f"the {event.fields.get('part')} crashed: {event.fields.get('why')}"


def generator(recording: Recording) -> dict[str, Any]:
    """Return the load generator's health: was it the bottleneck, and by what figures."""
    load = load_window(recording) or (0, 0)
    seen = [event for event in recording.events_named("generator") if load[0] <= event.at_ns <= load[1]]
    by_worker: dict[str, list[bool]] = {}
    for event in seen:
        by_worker.setdefault(str(event.fields.get("worker")), []).append(_saturated(event))
    return {
        "saturated": any(sum(flags) > SATURATED_SHARE * len(flags) for flags in by_worker.values()),
        "saturated_share": max((sum(flags) / len(flags) for flags in by_worker.values()), default=0.0),
        "lag_ms_max": max((_number(event, "lag_ms_max") for event in seen), default=None),
        "cpu_share_max": max((_number(event, "cpu_share") for event in seen), default=None),
        "workers": len(by_worker),
        "seconds": max((len(flags) for flags in by_worker.values()), default=0),
    }


def _saturated(event: Event) -> bool:
    return _number(event, "lag_ms_max") > LAG_MS or _number(event, "cpu_share") > CPU_SHARE


def _number(event: Event, name: str) -> float:
    value = event.fields.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def relay(recording: Recording) -> dict[str, Any]:
    """Return what the run recorded about the relay that carried it; empty if it never came to that."""
    said = recording.events_named("relay")
    return dict(said[-1].fields) if said else {}


def environment(recording: Recording) -> dict[str, Any]:
    """Return where and how it ran: Python, platform, cores, version, command, wall time."""
    said = recording.events_named("run_started")
    started = dict(said[0].fields) if said else {}
    known = {**started, **recording.run}
    around = dict(known.get("environment") or {})
    return around | {name: known[name] for name in ("version", "command", "wall") if name in known}


def notes(recording: Recording, health: dict[str, Any]) -> list[str]:
    """Return what a reader must know beside the findings. Comes last, since reading adds to it."""
    found = [note for note in recording.notes if note not in recording.incomplete]
    if len(swarm := recording.samples("swarm")) and not swarm.open_loop:
        found.append("the bots are closed-loop: they wait for answers, so a stall hides how many it would have met")
    if health["saturated"]:
        found.append(f"the load generator was saturated in {health['saturated_share']:.0%} of the load's seconds")
    if not health["workers"] and load_window(recording):
        found.append("the load generator's health was not recorded")
    for event in recording.events:
        if (said := _said(event)) and said not in found:
            found.append(said)
    return found


def _said(event: Event) -> str | None:
    fields = event.fields
    match event.event:
        case "note":
            return str(fields.get("text"))
        case "bot_error":
            return f"a bot raised {fields.get('error')} ({fields.get('count', 1)} times)"
        case "cleanup_failed":
            return f"not cleaned up: {fields.get('what')}"
        case "interrupted":
            return f"interrupted by {fields.get('signal')}"
        case "fault_heal_proved" if fields.get("proved") is False:
            return f"the heal of {fields.get('fault')} was not proved: {fields.get('proof')}"
        case "service_exited" if not fields.get("expected", True):
            how = fields.get("signal") or f"code {fields.get('code')}"
            return f"{fields.get('service')}[{fields.get('replica')}] ended by itself ({how})"
    return None
