"""The undo journal: what undoes a fault is on disk before the fault is applied.

JSON lines, only ever appended to: `{"seq": 1, "fault": "f1-latency", "actions": [...]}` and later `{"done": 1}`.
`write` returns after fsync and the fault comes after `write`, so a line that cannot be read (a torn tail) belongs to
a fault that was never applied: readers skip it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from chaosctl.errors import RecordingError
from chaosctl.safety.disk_undo import DiskUndo
from chaosctl.safety.lines import append_line
from chaosctl.safety.undo import CommandUndo, ContainersUndo, HttpUndo, Played, Undo, from_json, play, to_json


@dataclass(frozen=True)
class Entry:
    """What undoes one fault, and the number under which the journal knows it."""

    seq: int
    fault_id: str
    actions: tuple[Undo, ...]


def journal_path(bundle: Path) -> Path:
    """Return where the journal of a run lies in its bundle."""
    return bundle / "undo.jsonl"


def processes_path(journal: Path) -> Path:
    """Return where the keeper records what it starts, as a journal too: a process is undone by SIGKILL."""
    return journal.with_name("processes.jsonl")


class UndoJournal:
    """A journal open for appending. Threads may share it; an existing file is continued.

    `durable=False` leaves out fsync, for what only has to outlive this process and not the machine.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._lock = threading.Lock()
        self._next_seq = 1 + max((entry.seq for entry, _ in _read(path)), default=0)

    def write(self, fault_id: str, actions: Iterable[Undo]) -> int:
        """Put the actions on disk and return their number. Raises RecordingError; then nothing may be applied."""
        with self._lock:
            seq = self._next_seq
            self._append({"seq": seq, "fault": fault_id, "actions": [to_json(action) for action in actions]}, True)
            self._next_seq += 1
        return seq

    def done(self, seq: int) -> None:
        """Note that the entry is undone. Raises RecordingError.

        Losing this line only means undoing it twice, so it is not waited for: the next step of the clock may be due.
        """
        with self._lock:
            self._append({"done": seq}, durable=False)

    def relay_is_gone(self, relay: str) -> None:
        """Note that what was to be undone on the relay with this API is, for toxics are only in its memory. Raises
        RecordingError."""
        for entry in self.pending():
            if all(_is_on(relay, action) for action in entry.actions):
                self.done(entry.seq)

    def pending(self) -> tuple[Entry, ...]:
        """Return the entries that are not yet undone, oldest first, as they are on disk."""
        return pending(self.path)

    def _append(self, record: dict[str, Any], durable: bool) -> None:
        try:
            append_line(self.path, json.dumps(record), durable=durable and self._durable)
        except OSError as error:
            raise RecordingError(
                f"the undo journal {self.path} cannot be written ({error.strerror}), so no fault is applied; "
                "make room, or give a folder that you may write with --out"
            ) from error


def pending(path: Path) -> tuple[Entry, ...]:
    """Return the entries of the file that are not yet undone, oldest first; none for a missing file."""
    return tuple(entry for entry, is_done in _read(path) if not is_done)


def play_pending(path: Path, timeout_s: float = 2.0, within_s: float = 30.0) -> tuple[Played, ...]:
    """Undo what is pending, the newest fault first and its actions in their order, and mark what is done. Idempotent.

    `timeout_s` bounds each network wait and `within_s` all of them: what was not reached comes back as not done.
    Raises RecordingError when the file cannot be written.
    """
    journal = UndoJournal(path)
    end_s = monotonic() + within_s
    played: list[tuple[Entry, list[Played]]] = []
    for entry in reversed(journal.pending()):
        of_entry = [_play_until(action, timeout_s, end_s) for action in entry.actions]
        if all(one.done for one in of_entry):
            journal.done(entry.seq)
        played.append((entry, of_entry))
    relays = [one.action.relay for _, of in played for one in of if one.done and isinstance(one.action, ContainersUndo)]
    for entry, of_entry in played:
        if not all(one.done for one in of_entry):
            of_entry[:] = [_gone_with(relays, one) for one in of_entry]
            if all(one.done for one in of_entry):
                journal.done(entry.seq)
    return tuple(one for _, of_entry in played for one in of_entry)


def _gone_with(relays: Sequence[str], one: Played) -> Played:
    """Return what came of an action, now that these relays are gone, and all that was in force on them."""
    if one.done or not any(_is_on(relay, one.action) for relay in relays if relay):
        return one
    return Played(one.action, True, f"{one.text}: gone with its relay")


def _is_on(relay: str, action: Undo) -> bool:
    return isinstance(action, HttpUndo) and action.url.startswith(f"{relay}/")


def _play_until(action: Undo, timeout_s: float, end_s: float) -> Played:
    left_s = end_s - monotonic()
    # These have a bound of their own: nobody else would do what they do.
    if left_s <= 0 and not isinstance(action, ContainersUndo | DiskUndo | CommandUndo):
        return Played(action, False, "not tried: the time for undoing was over")
    return play(action, min(timeout_s, left_s))


def _read(path: Path) -> list[tuple[Entry, bool]]:
    """Return every readable entry, and whether it is done."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordingError(f"the undo journal {path} cannot be read ({error.strerror}); mend its rights") from error
    entries: dict[int, Entry] = {}
    undone: set[int] = set()
    for line in lines:
        try:
            record = json.loads(line)
            if "done" in record:
                undone.add(record["done"])
            else:
                actions = tuple(from_json(action) for action in record["actions"])
                entries[record["seq"]] = Entry(record["seq"], record["fault"], actions)
        except (ValueError, TypeError, KeyError):
            continue  # torn: see the module's docstring
    return [(entry, seq in undone) for seq, entry in sorted(entries.items())]
