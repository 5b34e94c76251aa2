"""Reading a run bundle. Never fails on a torn tail: what is missing is said in `notes` and `incomplete`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chaosctl.errors import ChaosctlError, RecordingError
from chaosctl.plan.codec import plan_from_json
from chaosctl.plan.model import Plan
from chaosctl.recording.clocks import WorkerClock, worker_clocks
from chaosctl.recording.columns import END_OF_STREAM, read_history, read_samples, release_unused
from chaosctl.recording.digests import DigestRun, read_digests
from chaosctl.recording.model import Event, History, Samples

LONG = 2_000_000  # operations, or lines of a history, that take more memory than is worth keeping


class Recording:
    """One run, read lazily and once. Everything after the run sees only this.

    `run` is run.json, `plan` the plan that was played, `events` the lines of events.jsonl in file order.
    `incomplete` names the files known to be cut short or damaged, as far as they have been read: what they say may be
    less than what happened, so nothing that rests on this recording may pass.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any], plan: Plan) -> None:
        self.folder = folder
        self.run = run
        self.plan = plan
        self._notes: list[str] = []
        self._left_out: list[str] = []
        self._samples: dict[str, Samples] = {}
        self.events = self._read_events()
        self._cut = tuple(self._cut_short())

    @classmethod
    def open(cls, folder: Path) -> Recording:
        """Open a bundle. Raises RecordingError when it is none, or its plan or identity cannot be read."""
        if not (folder / "run.json").is_file() or not (folder / "plan.json").is_file():
            raise RecordingError(
                f"{folder}: is not a run bundle (no run.json and plan.json); name a folder made by 'chaosctl run'"
            )
        try:
            run = json.loads((folder / "run.json").read_bytes())
            plan = plan_from_json((folder / "plan.json").read_text())
        except OSError as error:
            raise RecordingError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None
        except (ValueError, KeyError, TypeError, ChaosctlError):
            raise RecordingError(f"{folder}: run.json or plan.json is damaged; restore it or run again") from None
        if not isinstance(run, dict):
            raise RecordingError(f"{folder}: run.json is damaged; restore it or run again")
        return cls(folder, run, plan)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why less may be recorded than happened, in sentences, as far as it has been read."""
        return (*self._cut, *self._left_out)

    @property
    def history_has_gaps(self) -> bool:
        """Whether lines before the end of the history could not be read: what is missing there may explain anything."""
        unread, cut = (any(said.startswith("history.jsonl") for said in why) for why in (self._left_out, self._cut))
        return unread and not cut

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about this recording, in sentences, as far as it has been read."""
        return (*self.incomplete, *self._notes)

    def samples(self, source: str) -> Samples:
        """Return the operations of a source: `swarm` (all workers), `probe-relay`, `probe-direct`; empty if none."""
        if source not in self._samples:
            folder = self.folder / "samples"
            paths = [path for path in (folder / f"{source}.arrow",) if path.exists()]
            ahead_ns = {f"swarm-{clock.worker}": clock.ahead_ns for clock in self._clocks}
            self._samples[source] = read_samples(paths + sorted(folder.glob(f"{source}-*.arrow")), self._lack, ahead_ns)
        return self._samples[source]

    def without_operations(self, dropped: npt.NDArray[np.bool_]) -> Recording:
        """Return this recording as if the marked operations of the swarm had not been seen."""
        other = copy.copy(self)
        other._samples = {**self._samples, "swarm": self.samples("swarm").where(~dropped)}
        return other

    def history(self) -> History:
        """Return history.jsonl as columns; empty if there is none."""
        return self._history

    def let_go(self) -> None:
        """Forget operations and history where they are long; what is asked for again is read again."""
        if sum(map(len, self._samples.values())) > LONG:
            self._samples.clear()
        if "_history" in self.__dict__ and len(self._history) > LONG:
            del self.__dict__["_history"]
        release_unused()

    @cached_property
    def _history(self) -> History:
        history = read_history(self.folder / "history.jsonl", self._lack)
        for clock in self._clocks:
            history = clock.put_right(history)
        return history

    @property
    def clock_error_ns(self) -> int:
        """How far a recorded time may be off: what the run said, and what is not known of its workers' clocks."""
        return int(self.run.get("clock_error_ns", 0)) + max((clock.uncertainty_ns for clock in self._clocks), default=0)

    @cached_property
    def _clocks(self) -> tuple[WorkerClock, ...]:
        return worker_clocks(self.events_named("clock_offset"))

    def digest_runs(self) -> Mapping[str, DigestRun]:
        """Return the digests by run: `live`, `replay-1`, ...; in `live` the last occurrence of a tick counts."""
        return self._digest_runs

    @cached_property
    def _digest_runs(self) -> Mapping[str, DigestRun]:
        runs = {}
        for path in sorted((self.folder / "digests").glob("*.jsonl")):
            if not path.stem.startswith("states-"):
                run = runs[path.stem] = read_digests(path, path.stem)
                self._note_digests(run)
        return runs

    def states(self, run: str) -> DigestRun:
        """Return the lines of digests/states-<run>.jsonl, each with its state; empty if there are none."""
        path = self.folder / "digests" / f"states-{run}.jsonl"
        return read_digests(path, run) if path.exists() else DigestRun(run, {})

    def events_named(self, *names: str) -> tuple[Event, ...]:
        """Return the events of these names, in file order."""
        return tuple(event for event in self.events if event.event in names)

    def _lack(self, sentence: str) -> None:
        if sentence not in self._left_out:
            self._left_out.append(sentence)

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)

    def _note_digests(self, run: DigestRun) -> None:
        if run.rewritten:
            self._note(
                f"digests/{run.name}.jsonl: {run.rewritten} tick(s) were given twice, {run.changed} of them with "
                "another digest; the last one counts"
            )
        if run.corrupt:
            self._note(f"digests/{run.name}.jsonl: {run.corrupt} line(s) could not be read and were left out")

    def _read_events(self) -> tuple[Event, ...]:
        path = self.folder / "events.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        events = tuple(event for event in map(_event, lines, count(1)) if event is not None)
        if corrupt := sum(bool(line.strip()) for line in lines) - len(events):
            self._lack(f"events.jsonl: {corrupt} line(s) could not be read and were left out")
        return events

    def _cut_short(self) -> list[str]:
        sealed: dict[str, int] = {}
        for event in self.events_named("sealed"):
            sealed.update(event.fields.get("files", {}))
        lacking = {name for name, size in sealed.items() if _size(self.folder / name) < size}
        streams = (self.folder / "samples").glob("*.arrow")
        lacking.update(f"samples/{path.name}" for path in streams if _tail(path, 8) != END_OF_STREAM)
        history = self.folder / "history.jsonl"
        if history.exists() and _tail(history, 1) not in (b"", b"\n"):
            lacking.add("history.jsonl")
        return [f"{name} is cut short: the end of what it held is missing" for name in sorted(lacking)]


def _event(raw: bytes, line: int) -> Event | None:
    try:
        said = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(said, dict) or type(said.get("at_ns")) is not int or not isinstance(said.get("event"), str):
        return None
    return Event(said.pop("at_ns"), said.pop("event"), said, line)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, _size(path) - length))
        return file.read(length)
