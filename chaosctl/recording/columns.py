"""Reading the two big files of a bundle into columns: samples/*.arrow and history.jsonl, whatever their last bytes."""

from __future__ import annotations

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


def read_samples(paths: list[Path], note: Note, ahead_ns: Mapping[str, int] = NO_OFFSETS) -> Samples:
    """Merge the operations of several files, sorted by time; the order of the files does not matter.

    What is torn is left out and handed to `note` as a sentence. `ahead_ns`: how far the clock of a source was ahead, by
    the file's stem.
    """
    schema = pa.schema(SAMPLE_COLUMNS)
    batches: list[Any] = []
    open_loop = True
    for path in paths:
        for batch in _batches(path, note):
            open_loop = open_loop and (batch.schema.metadata or {}).get(OPEN_LOOP_KEY) == b"true"
            batches.append(_put_right(batch.replace_schema_metadata(None), ahead_ns.get(path.stem, 0)))
    table = pa.Table.from_batches(batches, schema=schema).unify_dictionaries()
    del batches
    samples = _samples(table, open_loop)
    del table
    pa.default_memory_pool().release_unused()  # a report is made next, in the same process
    return samples


def _put_right(batch: Any, ahead_ns: int) -> Any:
    for name in _TIMES if ahead_ns else ():
        times = batch.column(name)
        right = pc.if_else(pc.equal(times, -1), times, pc.subtract(times, ahead_ns))
        batch = batch.set_column(batch.schema.get_field_index(name), name, right)
    return batch


def _samples(table: Any, open_loop: bool) -> Samples:
    order = np.lexsort([table.column(name).to_numpy() for name in reversed(_TIMES)]).astype(np.int32)
    columns = {name: table.column(name).to_numpy()[order] for name in (*_TIMES, "outcome")}
    names: dict[str, Any] = {}
    for name, plural in (("bot", "bots"), ("operation", "operations"), ("cohort", "cohorts"), ("error", "errors")):
        codes, names[plural] = _codes(table.column(name), first=("",) if name == "error" else ())
        columns[name] = codes[order]
    return Samples(**columns, **names, open_loop=open_loop)


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


def _codes(column: Any, first: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Return codes into a sorted tuple of names (`first` at its head), so that equal contents give equal columns."""
    codes, known = _joined(column)
    names = (*first, *sorted(set(known) - set(first)))
    place = {name: i for i, name in enumerate(names)}
    lookup = np.array([place[name] for name in known] or [0], dtype=np.int32)
    return lookup[codes], names


def read_history(path: Path, note: Note) -> History:
    """Read history.jsonl block by block. A torn tail and corrupt lines are left out, counted and noted."""
    blocks: list[Any] = []
    corrupt = 0
    if path.exists():
        with path.open("rb") as file:
            for data in _line_blocks(file):
                table, bad = _parse_block(data)
                corrupt += bad
                blocks.append(_encode(table))
    if corrupt:
        note(f"{path.name}: {corrupt} line(s) could not be read and were left out")
    table = pa.concat_tables(blocks or [_encode(_HISTORY_SCHEMA.empty_table())]).unify_dictionaries()
    del blocks
    history = _history(table)
    del table
    pa.default_memory_pool().release_unused()
    return history


def _history(table: Any) -> History:
    columns = {name: _joined(table.column(name)) for name in ("mark", "bot", "f", "key")}
    marks, mark_names = columns["mark"]
    return History(
        at_ns=table.column("at_ns").to_numpy(),
        mark=np.array([_MARKS[name] for name in mark_names] or [0], dtype=np.int8)[marks],
        id=table.column("id").to_numpy(),
        f=columns["f"][0],
        key=columns["key"][0],
        bot=columns["bot"][0],
        fs=columns["f"][1],
        keys=columns["key"][1],
        bots=columns["bot"][1],
        value=pa.concat_arrays(table.column("value").chunks) if len(table) else pa.array([], pa.utf8()),
    )


def _joined(column: Any) -> tuple[Any, tuple[str, ...]]:
    if column.num_chunks == 0:
        return np.empty(0, np.int32), ()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])
    return codes, tuple(column.chunk(0).dictionary.to_pylist())


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


def _encode(table: Any) -> Any:
    for name in ("mark", "bot", "f", "key"):
        column = table.column(name)
        if name == "bot":
            column = pc.fill_null(column, "")
        table = table.set_column(
            table.schema.get_field_index(name),
            name,
            pc.dictionary_encode(column).cast(pa.dictionary(pa.int32(), pa.utf8())),
        )
    return table
