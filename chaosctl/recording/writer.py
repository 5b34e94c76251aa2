"""Writing a run bundle: append-only files of which every prefix is readable.

Nothing here ever rewrites what was written, but run.json, which is replaced whole. A writer belongs to one process;
only `EventWriter` may be shared by threads, and only `HistoryWriter` shares its file with other processes. Whoever owns
a writer calls `flush` about once a second: what was not flushed is lost when the process is killed.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from chaosctl.errors import RecordingError, UsageError
from chaosctl.recording.model import SCHEMA_VERSION, Mark, Outcome

OPEN_LOOP_KEY = b"open_loop"
_NAMES = pa.dictionary(pa.int32(), pa.utf8())
SAMPLE_COLUMNS = (
    ("intended_ns", pa.int64()),
    ("sent_ns", pa.int64()),
    ("end_ns", pa.int64()),
    ("outcome", pa.int8()),
    ("bot", _NAMES),
    ("operation", _NAMES),
    ("cohort", _NAMES),
    ("error", _NAMES),
)
FOLDERS = ("samples", "inputs", "digests", "logs")
_HISTORY_BUFFER_LINES = 2_000


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence that names the file and the mend."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RecordingError(
                f"{path}: the disk is full; free some space or choose another folder with --out"
            ) from None
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RecordingError(f"{path}: cannot be written ({reason}); choose another folder with --out") from None


class SampleWriter:
    """Operations of one source as an Arrow IPC stream (`samples/<source>.arrow`), LZ4-compressed record batches.

    At most `batch` operations are held in memory. Raises RecordingError when the disk refuses.
    """

    def __init__(self, path: Path, *, open_loop: bool, batch: int = 4096) -> None:
        self._path = path
        self._batch = batch
        self._rows: list[tuple[int, int, int, int, str, str, str, str]] = []
        metadata = {OPEN_LOOP_KEY: b"true" if open_loop else b"false"}
        self._schema = pa.schema(SAMPLE_COLUMNS, metadata=metadata)
        codec = "lz4" if pa.Codec.is_available("lz4_frame") else None
        with writing(path):
            self._file = pa.OSFile(str(path), "wb")
            self._stream = ipc.new_stream(self._file, self._schema, options=ipc.IpcWriteOptions(compression=codec))

    def add(
        self,
        intended_ns: int,
        sent_ns: int,
        end_ns: int,
        outcome: Outcome | int,
        bot: str,
        operation: str,
        cohort: str,
        error: str = "",
    ) -> None:
        """Record one operation. Times are run ns; `end_ns` is -1 where no end was seen."""
        self._rows.append((intended_ns, sent_ns, end_ns, outcome, bot, operation, cohort, error))
        if len(self._rows) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one record batch."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        arrays = [
            _names(column) if kind is _NAMES else pa.array(column, kind)
            for column, (_, kind) in zip(zip(*rows, strict=True), SAMPLE_COLUMNS, strict=True)
        ]
        with writing(self._path):
            self._stream.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        """Flush, and mark the end of the stream."""
        self.flush()
        with writing(self._path):
            self._stream.close()
            self._file.close()


def _names(column: Sequence[str]) -> Any:
    try:
        return pa.array(column, pa.utf8()).dictionary_encode()
    except UnicodeEncodeError:  # an error text may carry undecodable bytes as surrogates
        clean = [name.encode(errors="backslashreplace").decode() for name in column]
        return pa.array(clean, pa.utf8()).dictionary_encode()


class _LineFile:
    """A file that only grows, by whole lines, one `os.write` each time; several processes may append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._torn = self._ends_torn()

    def _ends_torn(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def append(self, lines: str) -> None:
        data = lines.encode()
        with writing(self._path):
            if self._torn:
                data = b"\n" + data
            written = os.write(self._descriptor, data)
            self._torn = written < len(data)
            if self._torn:  # a regular file takes less than it is given only when the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class HistoryWriter:
    """Appends to `history.jsonl`. Several processes may append to one file: each flush is whole lines in one write."""

    def __init__(self, path: Path) -> None:
        self._file = _LineFile(path)
        self._lines: list[str] = []

    def write(self, at_ns: int, mark: Mark, id: int, bot: str, f: str, key: str, value: str | None) -> None:
        """Record one line; see `History` for the vocabulary. `at_ns` is run ns."""
        said = "null" if value is None else quoted(value)
        self._lines.append(
            f'{{"at_ns":{at_ns},"mark":"{Mark(mark).name.lower()}","id":{id},"bot":{quoted(bot)},'
            f'"f":{quoted(f)},"key":{quoted(key)},"value":{said}}}\n'
        )
        if len(self._lines) >= _HISTORY_BUFFER_LINES:
            self.flush()

    def flush(self) -> None:
        """Write the lines held. Raises RecordingError when the disk refuses."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.append("".join(lines))

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


class EventWriter:
    """Appends to `events.jsonl`, a line at once. Threads may share it."""

    def __init__(self, path: Path, origin_ns: int) -> None:
        self._file = _LineFile(path)
        self._lock = threading.Lock()
        self.origin_ns = origin_ns

    def write(self, event: str, at_ns: int | None = None, **fields: Any) -> None:
        """Record an event, now or at `at_ns` (run ns). Raises RecordingError when the disk refuses."""
        with self._lock:
            when_ns = time.monotonic_ns() - self.origin_ns if at_ns is None else at_ns
            self._file.append(json.dumps({"at_ns": when_ns, "event": event, **fields}, default=str) + "\n")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a whole file so that it is either there as a whole or not at all. Raises RecordingError.

    Until it is whole it has no name, where the file system can do that: then a kill leaves nothing of it.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    with writing(path):
        descriptor, is_nameless = _open_new(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(descriptor)
                os.fchmod(descriptor, 0o644)
                if is_nameless:
                    # With a folder's descriptor Python follows the link (open(2), O_TMPFILE); the path is absolute.
                    os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _open_new(named: Path) -> tuple[int, bool]:
    """Return a new file for writing, and whether it has no name."""
    try:
        return os.open(named.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), True
    except OSError:  # not every file system can; what else is wrong is said by the ordinary way
        return os.open(named, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), False


class RunWriter:
    """A new run bundle. `folder` is its place, `events` its event file, `origin_ns` the monotonic zero of its times."""

    def __init__(self, folder: Path, events: EventWriter) -> None:
        self.folder = folder
        self.events = events

    @property
    def origin_ns(self) -> int:
        """The run's start on the monotonic clock: what is subtracted from every time recorded."""
        return self.events.origin_ns

    @classmethod
    def create(cls, folder: Path, origin_ns: int | None = None) -> RunWriter:
        """Lay out an empty bundle; the run starts at `origin_ns` (monotonic; now, if left out).

        Raises UsageError when the folder is not new or empty, RecordingError when it cannot be written.
        """
        with writing(folder):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise UsageError(f"{folder}: is not an empty folder; name a new or an empty one with --out")
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        started_ns = time.monotonic_ns() if origin_ns is None else origin_ns
        return cls(folder, EventWriter(folder / "events.jsonl", started_ns))

    def start(self, experiment_text: str, plan_json: str, run: Mapping[str, Any]) -> None:
        """Write experiment.yaml, plan.json and run.json, each atomically; run.json last, since it makes it a bundle."""
        identity = {"schema_version": SCHEMA_VERSION, **run, "origin_monotonic_ns": self.origin_ns}
        write_atomically(self.folder / "experiment.yaml", experiment_text)
        write_atomically(self.folder / "plan.json", plan_json)
        write_atomically(self.folder / "run.json", json.dumps(identity, indent=2, default=str) + "\n")

    def add_to_run(self, more: Mapping[str, Any]) -> None:
        """Add to run.json what is known only once the target is being brought up; atomically, as it was written."""
        path = self.folder / "run.json"
        with writing(path):
            run = json.loads(path.read_text())
        write_atomically(path, json.dumps({**run, **more}, indent=2, default=str) + "\n")

    def samples(self, source: str, *, open_loop: bool) -> SampleWriter:
        """Open `samples/<source>.arrow` for writing."""
        return SampleWriter(self.folder / "samples" / f"{source}.arrow", open_loop=open_loop)

    def history(self) -> HistoryWriter:
        """Open `history.jsonl` for appending."""
        return HistoryWriter(self.folder / "history.jsonl")

    def end(self, reason: str, error: str | None = None) -> None:
        """Record the sizes of all that was recorded, then that the run ended, and close.

        With the sizes, a reader notices a file that was cut short afterwards, wherever the cut is. Call it last, when
        every other writer is closed. `reason`: completed, interrupted, stopped, failed, crashed or error.
        """
        folders = (self.folder / name for name in ("samples", "digests", "inputs"))
        paths = [self.folder / "history.jsonl", *(path for folder in folders for path in folder.rglob("*"))]
        sizes = {str(path.relative_to(self.folder)): path.stat().st_size for path in paths if path.is_file()}
        self.events.write("sealed", files=dict(sorted(sizes.items())))
        self.events.write("run_ended", reason=reason, error=error)
        self.events.close()
