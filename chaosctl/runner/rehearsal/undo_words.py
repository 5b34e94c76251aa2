"""What undoes a fault, in the words of a dry run. What is undone on a container is not here: a dry run plays it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chaosctl.runner.rehearsal.notes import request
from chaosctl.safety.burner_undo import BurnersUndo
from chaosctl.safety.disk_undo import FillerUndo, ThrottleUndo, WritableUndo
from chaosctl.safety.engine import RUN_LABEL
from chaosctl.safety.inside_undo import ClockUndo, DescriptorsUndo
from chaosctl.safety.own_group import GroupUndo
from chaosctl.safety.undo import CommandUndo, ContainersUndo, HttpUndo, SignalUndo, Undo, UnpauseUndo, to_json


def in_one_line(argv: Sequence[str]) -> str:
    """Return a command for people."""
    # Not quoted as a shell does, which would quote every stand-in.
    return " ".join(repr(word) if " " in word or not word else word for word in argv)


def undo_in_words(action: Undo, labels: Mapping[int, str]) -> str:
    """Return what an undo does; `labels` are those of the stand-ins by their numbers."""
    if isinstance(action, HttpUndo):
        return request(action.method, action.url, action.body)
    if isinstance(action, UnpauseUndo):
        return request("POST", f"/containers/{action.container}/unpause")
    if isinstance(action, ContainersUndo):
        return f"remove every container, network, volume and image with the label {RUN_LABEL}={action.run_id}, by force"
    if isinstance(action, CommandUndo):
        return f"run {in_one_line(action.argv)}, within {action.within_s:g} s"
    return _on_processes(action, labels) or _on_disks(action) or json.dumps(to_json(action))


def _on_processes(action: Undo, labels: Mapping[int, str]) -> str | None:
    if isinstance(action, SignalUndo):
        return f"{action.signal} to {labels[action.pid]}"
    if isinstance(action, DescriptorsUndo):
        return f"give the processes in {labels[action.pid]} their limits on open files again"
    if isinstance(action, ClockUndo):
        return f"put right the clocks of the processes in {labels[action.pid]}"
    if isinstance(action, BurnersUndo):
        return f"end what bears the mark {action.mark}"
    if isinstance(action, GroupUndo):
        return f"put what is in {action.folder} back into {action.back}, and remove that group"
    return None


def _on_disks(action: Undo) -> str | None:
    if isinstance(action, FillerUndo):
        return f"remove {action.path}"
    if isinstance(action, WritableUndo):
        return f"let {action.image} take writes again"
    if isinstance(action, ThrottleUndo):
        return f"lift the bounds of {', '.join(action.groups)} on {action.device}"
    return None
