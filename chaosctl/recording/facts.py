"""What follows from a recording without any judgement: when faults were in force, and which stretches are which.

All times are run nanoseconds; all functions are pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chaosctl.experiment.places import parse_on

if TYPE_CHECKING:  # checkers are imported to validate experiments, and the reader is heavy
    from chaosctl.plan.model import PlannedFault
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording

During = Literal["baseline", "steady", "faults", "all"]
Window = tuple[int, int]


@dataclass(frozen=True)
class FaultFacts:
    """One planned fault and what became of it. Times are None for what did not happen.

    `on` is where it acted: where the experiment leaves that to a role or to chance, what came of it, if something did;
    `asked` is then what the experiment says, and `said` what each replica answered when it was asked for its role.
    `healed_ns`: a lasting fault's heal returned; for a fault at one moment, all replicas that it hit were ready again.
    `heal_called_ns`: the heal of a lasting fault was asked for. `proved`, `heal_proved`: None if nobody looked.
    `failed`: why it could not be injected.
    """

    id: str
    kind: str
    on: str
    acts_on: str
    lasting: bool
    due_ns: int | None
    requested_ns: int | None
    called_ns: int | None
    returned_ns: int | None
    heal_called_ns: int | None
    healed_ns: int | None
    targets: tuple[str, ...]
    proved: bool | None
    proof: str
    heal_proved: bool | None
    heal_proof: str
    failed: str | None
    asked: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def doubt(self) -> str | None:
        """Why nothing may be concluded from it, in words; None if it was applied and proved."""
        if self.failed is not None:
            return f"{self.id} could not be injected: {self.failed}"
        if self.called_ns is None:
            return f"{self.id} was never injected"
        if not self.proved:
            return f"{self.id} was not proved: {self.proof or 'nobody looked'}"
        return None


def fault_facts(recording: Recording) -> tuple[FaultFacts, ...]:
    """Return the facts of every planned fault, in the order of the plan."""
    by_fault: dict[str, dict[str, Event]] = {}
    for event in recording.events:
        if "fault" in event.fields:
            by_fault.setdefault(str(event.fields["fault"]), {}).setdefault(event.event, event)
    start = _at(recording, "load_started")
    return tuple(_facts(recording, fault, by_fault.get(fault.id, {}), start) for fault in recording.plan.faults)


def _facts(recording: Recording, fault: PlannedFault, seen: Mapping[str, Event], start_ns: int | None) -> FaultFacts:
    applied, healed = _fields(seen, "fault_applied"), _fields(seen, "fault_healed")
    proved, heal_proved = _fields(seen, "fault_proved"), _fields(seen, "fault_heal_proved")
    failed, resolved = seen.get("fault_failed"), _fields(seen, "fault_resolved")
    on = str(resolved.get("on", fault.on))
    called_ns, heal_returned_ns = applied.get("called_ns"), healed.get("returned_ns")
    lasting = fault.heal_ns is not None
    # While another version is deployed its replicas are ready too: the fault is over when the first version is again.
    struck_ns = healed.get("called_ns") if fault.kind == "deploy" and lasting else called_ns
    ready_ns = None
    if fault.acts_on == "service" and struck_ns is not None and fault.kind != "pause":
        ready_ns = _ready_again(recording, on, struck_ns)
    requested = seen.get("fault_requested")
    planned_ns = None if start_ns is None else start_ns + fault.inject_ns
    return FaultFacts(
        id=fault.id,
        kind=fault.kind,
        on=on,
        acts_on=fault.acts_on,
        lasting=lasting,
        due_ns=_fields(seen, "fault_requested").get("due_ns", planned_ns),
        requested_ns=requested.at_ns if requested else None,
        called_ns=called_ns,
        returned_ns=applied.get("returned_ns"),
        heal_called_ns=healed.get("called_ns"),
        healed_ns=heal_returned_ns if lasting and ready_ns is None and fault.kind != "deploy" else ready_ns,
        targets=tuple(applied.get("targets", ())),
        proved=proved.get("proved"),
        proof=str(proved.get("proof", "")),
        heal_proved=heal_proved.get("proved"),
        heal_proof=str(heal_proved.get("proof", "")),
        failed=str(failed.fields.get("why", "")) if failed else None,
        asked=fault.on if resolved else fault.asked,
        said=resolved.get("said") or {},
    )


def _fields(seen: Mapping[str, Event], name: str) -> Mapping[str, Any]:
    return seen[name].fields if name in seen else {}


def _ready_again(recording: Recording, on: str, called_ns: int) -> int | None:
    """Return when every replica of `on` that exited after the call was ready again; None if one never was."""
    place = parse_on(on)
    exited: set[Any] = set()
    ready: dict[Any, int] = {}
    for event in recording.events_named("service_exited", "service_ready"):
        replica = event.fields.get("replica")
        named = event.fields.get("service") == place.name and (place.replicas is None or replica in place.replicas)
        if not named or event.at_ns < called_ns or replica in ready:
            continue
        if event.event == "service_ready":
            ready[replica] = event.at_ns
        else:
            exited.add(replica)
    if not ready or exited - ready.keys():
        return None
    return max(ready.values())


def _at(recording: Recording, name: str) -> int | None:
    named = recording.events_named(name)
    return named[0].at_ns if named else None


def all_over_ns(recording: Recording) -> float:
    """Return when the last fault was over: healed, or if nothing came back after it, applied; infinite if it still
    lasts, 0 if there was none."""
    injected = [fault for fault in fault_facts(recording) if fault.called_ns is not None]
    if any(fault.lasting and fault.healed_ns is None for fault in injected):
        return math.inf
    return max((max(fault.healed_ns or 0, fault.returned_ns or 0) for fault in injected), default=0)


def load_window(recording: Recording) -> Window | None:
    """Return when the load started and ended: as planned, or before that as recorded or with the last event.

    What bots do after the planned end, to finish and to read back, is no load; nor is what they meet once a part of
    ours has died or the run was interrupted: that says nothing about the target. None when there was none.
    """
    start_ns = _at(recording, "load_started")
    if start_ns is None:
        return None
    last_ns = max(event.at_ns for event in recording.events)
    last_ns = min([last_ns, *(event.at_ns for event in recording.events_named("load_ended", "crashed", "interrupted"))])
    return start_ns, max(start_ns, min(last_ns, start_ns + recording.plan.end_ns))


def phase_windows(recording: Recording) -> Mapping[str, Window]:
    """Return the plan's phases (`ramp`, `baseline`, `timeline`) on the run's clock, cut at the end of the load."""
    load = load_window(recording)
    if load is None:
        return {}
    start_ns, end_ns = load
    return {
        phase.name: (min(start_ns + phase.start_ns, end_ns), min(start_ns + phase.end_ns, end_ns))
        for phase in recording.plan.phases
    }


def windows(recording: Recording, during: During, settle_ns: int) -> tuple[Window, ...]:
    """Return the stretches of the load that `during` means, disjoint and in order.

    `all`: after the ramp. `baseline`: from there to the first inject. `faults`: while any fault is in force.
    `steady`: `all` without [inject, healed + `settle_ns`] of every fault.
    """
    load = load_window(recording)
    if load is None:
        return ()
    ramp = phase_windows(recording).get("ramp")
    whole = (ramp[1] if ramp else load[0], load[1])
    injected = [fault for fault in fault_facts(recording) if fault.called_ns is not None]
    if during == "all":
        return _clip([whole], whole)
    if during == "baseline":
        first_ns = min((fault.called_ns for fault in injected if fault.called_ns is not None), default=whole[1])
        return _clip([(whole[0], first_ns)], whole)
    settle = settle_ns if during == "steady" else 0
    forces = _merge([_in_force(fault, whole[1], settle) for fault in injected])
    if during == "faults":
        return _clip(forces, whole)
    starts = [whole[0], *(end for _, end in forces)]
    ends = [*(start for start, _ in forces), whole[1]]
    return _clip(list(zip(starts, ends, strict=True)), whole)


def strikes(recording: Recording) -> tuple[int, ...]:
    """Return when something struck that a stretch before it is not to blame for: each inject, and the moment when a
    part of ours died or the run was interrupted."""
    ours = (event.at_ns for event in recording.events_named("crashed", "interrupted"))
    return tuple(sorted({*ours, *(f.called_ns for f in fault_facts(recording) if f.called_ns is not None)}))


def _in_force(fault: FaultFacts, load_end_ns: int, settle_ns: int) -> Window:
    """A lasting fault that was not healed, and a service that did not come back, stay in force to the end."""
    called_ns = fault.called_ns or 0
    over_ns = max(fault.healed_ns or 0, fault.returned_ns or called_ns)
    if fault.healed_ns is None and (fault.lasting or fault.acts_on == "service"):
        over_ns = load_end_ns
    return called_ns, over_ns + settle_ns


def _merge(spans: list[Window]) -> list[Window]:
    merged: list[Window] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _clip(spans: list[Window], whole: Window) -> tuple[Window, ...]:
    clipped = ((max(start, whole[0]), min(end, whole[1])) for start, end in spans)
    return tuple((start, end) for start, end in clipped if start < end)
