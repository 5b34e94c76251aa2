"""Reading the two big files of a bundle into columns: samples/*.arrow and history.jsonl, whatever their last bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
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
Note = Callable[[str], None]


def read_samples(paths: list[Path], note: Note) -> Samples:
    """Merge the operations of several files, sorted by time; the order of the files does not matter.

    What is torn is left out and handed to `note` as a sentence.
    """
    schema = pa.schema(SAMPLE_COLUMNS)
    batches: list[Any] = []
    open_loop = True
    for path in paths:
        for batch in _batches(path, note):
            open_loop = open_loop and (batch.schema.metadata or {}).get(OPEN_LOOP_KEY) == b"true"
            batches.append(batch.replace_schema_metadata(None))
    table = pa.Table.from_batches(batches, schema=schema).unify_dictionaries().combine_chunks()
    batches.clear()
    numbers = {name: table.column(name).to_numpy() for name in ("intended_ns", "sent_ns", "end_ns", "outcome")}
    order = np.lexsort((numbers["end_ns"], numbers["sent_ns"], numbers["intended_ns"]))
    names = {name: _codes(table.column(name), order, first=("",) if name == "error" else ()) for name, _ in _named()}
    columns = {name: values[order] for name, values in numbers.items()}
    columns |= {name: codes for name, (codes, _) in names.items()}
    bots, operations, cohorts, errors = (names[name][1] for name, _ in _named())
    return Samples(**columns, bots=bots, operations=operations, cohorts=cohorts, errors=errors, open_loop=open_loop)


def _named() -> tuple[tuple[str, Any], ...]:
    return SAMPLE_COLUMNS[4:]


def _batches(path: Path, note: Note) -> Iterator[Any]:
    try:
        with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file) as stream:
            if not stream.schema.equals(pa.schema(SAMPLE_COLUMNS), check_metadata=False):
                note(f"{path.name} has other columns than samples have and was left out")
                return
            yield from stream
    except (pa.ArrowException, OSError) as error:
        note(f"{path.name} breaks off and was read up to there ({str(error).splitlines()[0]})")


def _codes(column: Any, order: Any, first: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Return codes into a sorted tuple of names (`first` at its head), so that equal contents give equal columns."""
    if column.num_chunks == 0:
        return np.empty(0, np.int32), first
    encoded = column.chunk(0)
    known = encoded.dictionary.to_pylist()
    names = (*first, *sorted(set(known) - set(first)))
    place = {name: i for i, name in enumerate(names)}
    lookup = np.array([place[name] for name in known], dtype=np.int32)
    return lookup[encoded.indices.to_numpy()][order], names


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
    names = ("mark", "bot", "f", "key")
    schema = pa.schema(
        [(f.name, pa.dictionary(pa.int32(), pa.utf8()) if f.name in names else f.type) for f in _HISTORY_SCHEMA]
    )
    return _history(pa.concat_tables(blocks or [schema.empty_table()]).unify_dictionaries())


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
