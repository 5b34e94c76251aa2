"""Reading the two big files of a bundle into columns: samples/*.arrow and history.jsonl, whatever their last bytes."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pyarrow import ipc

from chaosctl.recording.model import History, Mark, Samples
from chaosctl.recording.writer import OPEN_LOOP_KEY, SAMPLE_COLUMNS

# What an Arrow IPC stream ends with: the continuation mark and the length zero.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BLOCK_BYTES = 4 << 20
_HISTORY_SCHEMA = pa.schema(
    [("at_ns", pa.int64()), ("id", pa.int64())] + [(name, pa.utf8()) for name in ("mark", "bot", "f", "key", "value")]
)
_REQUIRED = ("at_ns", "id", "mark", "f", "key")
_MARKS = {mark.name.lower(): int(mark) for mark in Mark}
_TIMES = ("intended_ns", "sent_ns", "end_ns")
NO_OFFSETS: Mapping[str, int] = MappingProxyType({})
Note = Callable[[str], None]


class _Names:
    """One column of names, a block at a time, as codes that are the same in every block."""

    def __init__(self) -> None:
        self._blocks: list[Any] = []
        self._place: dict[str, int] = {}

    def add(self, column: Any) -> None:
        """Take a block of dictionary-encoded text."""
        self._blocks.append(self.codes(column))

    def codes(self, column: Any) -> Any:
        """Return the codes of a block of dictionary-encoded text."""
        place = self._place
        lookup = [place.setdefault(name, len(place)) for name in column.dictionary.to_pylist()]
        return np.array(lookup or [0], np.int32)[column.indices.to_numpy()]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they came."""
        return tuple(self._place)

    def joined(self) -> Any:
        """Return the codes of all blocks, once."""
        blocks, self._blocks = self._blocks, []
        return np.concatenate(blocks or [np.empty(0, np.int32)])


class _Numbers:
    """One column of numbers, a block at a time."""

    def __init__(self) -> None:
        self._blocks: list[Any] = []

    def add(self, column: Any) -> None:
        """Take a block."""
        self._blocks.append(column.to_numpy())

    def joined(self, dtype: type) -> Any:
        """Return the whole column, once."""
        blocks, self._blocks = self._blocks, []
        return np.concatenate(blocks or [np.empty(0, dtype)])


def read_samples(paths: list[Path], note: Note, ahead_ns: Mapping[str, int] = NO_OFFSETS) -> Samples:
    """Merge the operations of several files, sorted by time; the order of the files does not matter.

    What is torn is left out and handed to `note` as a sentence. `ahead_ns`: how far the clock of a source was ahead, by
    the file's stem.
    """
    numbers = {name: _Numbers() for name in (*_TIMES, "outcome")}
    names = {name: _Names() for name in ("bot", "operation", "cohort", "error")}
    open_loop = True
    for path in paths:
        for batch in _batches(path, note):
            open_loop = open_loop and (batch.schema.metadata or {}).get(OPEN_LOOP_KEY) == b"true"
            right = _put_right(batch, ahead_ns.get(path.stem, 0))
            for name, of_numbers in numbers.items():
                of_numbers.add(right.column(name))
            for name, of_names in names.items():
                of_names.add(right.column(name))
    samples = _samples(numbers, names, open_loop)
    release_unused()
    return samples


def release_unused() -> None:
    """Give memory that was read into and is no longer needed back: more is done in the same process."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what was freed below what is still in use
    if trim is not None:
        trim(0)


def _put_right(batch: Any, ahead_ns: int) -> Any:
    for name in _TIMES if ahead_ns else ():
        times = batch.column(name)
        right = pc.if_else(pc.equal(times, -1), times, pc.subtract(times, ahead_ns))
        batch = batch.set_column(batch.schema.get_field_index(name), name, right)
    return batch


def _samples(numbers: Mapping[str, _Numbers], names: Mapping[str, _Names], open_loop: bool) -> Samples:
    columns = {name: numbers[name].joined(np.int64) for name in _TIMES}
    order = np.lexsort([columns[name] for name in reversed(_TIMES)]).astype(np.int32)
    for name in _TIMES:
        columns[name] = columns[name][order]
    columns["outcome"] = numbers["outcome"].joined(np.int8)[order]
    known: dict[str, Any] = {}
    for name, plural in (("bot", "bots"), ("operation", "operations"), ("cohort", "cohorts"), ("error", "errors")):
        codes, known[plural] = _sorted_names(names[name], first=("",) if name == "error" else ())
        columns[name] = codes[order]
    return Samples(**columns, **known, open_loop=open_loop)


def _batches(path: Path, note: Note) -> Iterator[Any]:
    try:
        with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file) as stream:
            if not stream.schema.equals(pa.schema(SAMPLE_COLUMNS), check_metadata=False):
                note(f"{path.name} has other columns than samples have and was left out")
                return
            for batch in stream:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError) as error:
        note(f"{path.name} breaks off and was read up to there ({str(error).splitlines()[0]})")


def _sorted_names(column: _Names, first: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Return codes into a sorted tuple of names (`first` at its head), so that equal contents give equal columns."""
    names = (*first, *sorted(set(column.names) - set(first)))
    place = {name: i for i, name in enumerate(names)}
    lookup = np.array([place[name] for name in column.names] or [0], dtype=np.int32)
    return lookup[column.joined()], names


def read_history(path: Path, note: Note) -> History:
    """Read history.jsonl block by block. A torn tail and corrupt lines are left out, counted and noted."""
    lines = _Lines(_count_lines(path))
    corrupt = 0
    if path.exists():
        with path.open("rb") as file:
            for data in _line_blocks(file):
                table, bad = _parse_block(data)
                corrupt += bad
                lines.add(table)
    if corrupt:
        note(f"{path.name}: {corrupt} line(s) could not be read and were left out")
    history = lines.history()
    release_unused()
    return history


def _count_lines(path: Path) -> int:
    """Return how many lines there are at most, so that each column can be laid out once: they are long."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(_BLOCK_BYTES), b"")
        return 1 + sum(data.count(b"\n") + data.count(b"\r") for data in blocks)


class _Lines:
    """The columns of a history of at most so many lines, filled a block at a time."""

    def __init__(self, most: int) -> None:
        self._count = 0
        self._numbers = {name: np.empty(most, np.int64) for name in ("at_ns", "id")}
        self._codes = {name: np.empty(most, np.int32) for name in ("bot", "f", "key")}
        self._mark = np.empty(most, np.int8)
        self._names = {name: _Names() for name in ("bot", "f", "key")}
        self._values: list[Any] = []

    def add(self, table: Any) -> None:
        """Take a block."""
        part = slice(self._count, self._count + len(table))
        for name, numbers in self._numbers.items():
            numbers[part] = table.column(name).to_numpy()
        for name, codes in self._codes.items():
            codes[part] = self._names[name].codes(_encoded(table.column(name)))
        mark = _encoded(table.column("mark"))
        lookup = np.array([_MARKS[name] for name in mark.dictionary.to_pylist()] or [0], np.int8)
        self._mark[part] = lookup[mark.indices.to_numpy()]
        self._values += table.column("value").chunks
        self._count = part.stop

    def history(self) -> History:
        """Return all of it, once."""
        values, self._values = self._values, []
        return History(
            at_ns=self._numbers["at_ns"][: self._count],
            mark=self._mark[: self._count],
            id=self._numbers["id"][: self._count],
            f=self._codes["f"][: self._count].astype(_narrow(len(self._names["f"].names)), copy=False),
            key=self._codes["key"][: self._count],
            bot=self._codes["bot"][: self._count],
            fs=self._names["f"].names,
            keys=self._names["key"].names,
            bots=self._names["bot"].names,
            value=pa.concat_arrays(values) if values else pa.array([], pa.utf8()),
        )


def _narrow(names: int) -> type:
    return np.int8 if names <= np.iinfo(np.int8).max else np.int32


def _encoded(column: Any) -> Any:
    return pc.dictionary_encode(pc.fill_null(column, "").combine_chunks())


def _line_blocks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(_BLOCK_BYTES):
        yield data if data.endswith(b"\n") else data + file.readline()


def _parse_block(data: bytes) -> tuple[Any, int]:
    """Return the block's lines as a table, and how many could not be read. The fast parser takes all or nothing."""
    if not _is_text(data):  # which the fast parser does not check
        return _parse_lines(data)
    options = pj.ParseOptions(explicit_schema=_HISTORY_SCHEMA, unexpected_field_behavior="ignore")
    try:
        table = pj.read_json(pa.BufferReader(data), parse_options=options)
    except pa.ArrowException:
        return _parse_lines(data)
    known = pc.is_in(table.column("mark"), value_set=pa.array(list(_MARKS)))
    whole = pc.and_(known, pc.invert(pc.is_null(table.column("at_ns"))))
    for name in _REQUIRED[1:]:
        whole = pc.and_(whole, pc.is_valid(table.column(name)))
    kept = table if pc.all(whole).as_py() else table.filter(whole)
    return kept, len(table) - len(kept)


def _is_text(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _parse_lines(data: bytes) -> tuple[Any, int]:
    """Parse line by line what the fast parser refused."""
    rows, corrupt = [], 0
    for raw in data.splitlines():
        if not raw.strip():
            continue
        row = _row(raw)
        if row is None:
            corrupt += 1
        else:
            rows.append(row)
    columns = [pa.array([row[f.name] for row in rows], f.type) for f in _HISTORY_SCHEMA]
    return pa.table(columns, schema=_HISTORY_SCHEMA), corrupt


def _row(raw: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(raw)
        json.dumps(said, ensure_ascii=False).encode()  # refuses half a surrogate pair, which no column can hold
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    row: dict[str, Any] = {field.name: said.get(field.name) for field in _HISTORY_SCHEMA}
    texts = all(isinstance(row[name], str) for name in ("mark", "f", "key"))
    optional = all(isinstance(row[name], str | None) for name in ("bot", "value"))
    numbers = all(type(row[name]) is int and abs(row[name]) < 1 << 63 for name in ("at_ns", "id"))
    return row if texts and optional and numbers and row["mark"] in _MARKS else None
