"""What minimising left: for a finding about replays that part, the log that shows it and the command to type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chaosctl.verify.contract import Evidence, Finding, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording


def with_reproducers(recording: Recording, finding: Finding) -> Finding:
    """Return the finding `replay` or `replay.<factor>` with what was minimised of it, first among its evidence.

    Where plain replays part, what was found under the factor that is behind it belongs to them, too.
    """
    factor = finding.name.removeprefix("replay").removeprefix(".")
    events = [
        event
        for event in recording.events_named("minimised")
        if event.fields.get("factor") == factor or (not factor and _of_plain(event))
    ]
    if finding.status is not Status.FAIL or not events:
        return finding
    why = "; ".join([finding.why, *(f"{_in_words(event)}: {_where(event)}" for event in events)])
    shown = tuple(Evidence(_where(event), _in_words(event), _text(event)) for event in events if _file(event))
    return replace(finding, why=why, evidence=(*shown, *finding.evidence))


def _of_plain(event: Event) -> bool:
    return event.fields.get("factor") == "plain" or bool(event.fields.get("pinned"))


def _file(event: Event) -> str:
    return str(event.fields.get("file") or "")


def _where(event: Event) -> str:
    return _file(event) or str(event.fields.get("why"))


def _in_words(event: Event) -> str:
    if not _file(event):
        return "not minimised"
    return f"{event.fields.get('inputs')} inputs in {event.fields.get('to_ticks')} ticks show it"


def _text(event: Event) -> str:
    fields = event.fields
    end = "none can be left out" if fields.get("minimal") else "the time was over, it may get shorter still"
    was = f"of {fields.get('from_inputs')} in {fields.get('from_ticks')}, {end}"
    return f"{was}; this shows it: {fields.get('shown')}"
