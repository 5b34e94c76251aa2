"""Input logs as plain lines and back, for programs that edit them.

    python3 -m arena.transcript decode --log input.log > lines
    python3 -m arena.transcript encode --log edited.log < lines

A line is `{"tick":7,"inputs":[...]}`. `encode` numbers the ticks anew, from the first line's number on, and makes the
checksums. Exit codes: 0 done; 2 no such file, or no such lines; 4 the log is damaged in the middle.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from arena.inputlog import CorruptLogError, LogReader, encode
from arena.table import canonical

EXIT_USAGE = 2
EXIT_CORRUPT = 4


def decoded(reader: LogReader) -> Iterator[bytes]:
    """Yield a line for each record. Raises CorruptLogError."""
    for record in reader:
        yield canonical({"tick": record.tick, "inputs": record.inputs}) + b"\n"


def encoded(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a record for each line, numbered from the first on. Raises ValueError."""
    first = 0
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
            first = first if number else row["tick"]
            yield encode(first + number, list(row["inputs"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number + 1} is no tick with its inputs: {line[:80]!r}") from error


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="arena.transcript", description="Turn an input log into lines and back.")
    parser.add_argument("what", choices=["decode", "encode"])
    parser.add_argument("--log", type=Path, required=True, help="the log to read, or to write")
    asked = parser.parse_args(argv)
    try:
        if asked.what == "decode":
            sys.stdout.buffer.writelines(decoded(LogReader(asked.log)))
            sys.stdout.buffer.flush()
        else:
            asked.log.write_bytes(b"".join(encoded(sys.stdin.buffer)))
    except CorruptLogError as error:
        print(error, file=sys.stderr)
        return EXIT_CORRUPT
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
