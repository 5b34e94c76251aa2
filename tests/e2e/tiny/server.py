"""A server small enough to read at one glance: it remembers numbers by key, over restarts too.

    PING -> PONG    ADD key n -> OK n    SEEN key -> 1-3,5 (or - for nothing)

TINY_MOOD in the environment makes it bad: `exit` ends at once, `deaf` never listens, `stubborn` does not end on
SIGTERM, `careful` waits for the disk before each OK, and a number is a port that it insists on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path


def ranges(numbers: set[int]) -> str:
    """Return `1-3,5` for the numbers."""
    ordered = sorted(numbers)
    cuts = [0, *(i for i, (one, other) in enumerate(pairwise(ordered), 1) if other != one + 1), len(ordered)]
    runs = [ordered[start:end] for start, end in pairwise(cuts) if end > start]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def remembered(store: Path) -> defaultdict[str, set[int]]:
    """Return what an earlier life wrote; the last line may be torn."""
    seen: defaultdict[str, set[int]] = defaultdict(set)
    for line in store.read_text().splitlines() if store.exists() else ():
        key, _, number = line.partition(" ")
        if number.endswith("."):
            seen[key].add(int(number[:-1]))
    return seen


async def serve(address: str, store: Path, careful: bool = False) -> None:
    """Answer lines until ended."""
    seen = remembered(store)
    log = store.open("a")
    log.write("\n")  # a torn line ends here

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().split():
            if line[0] == "ADD":
                log.write(f"{line[1]} {line[2]}.\n")
                try:
                    log.flush()
                    if careful:
                        os.fsync(log.fileno())
                except OSError:
                    break  # nobody knows whether it will be remembered
                seen[line[1]].add(int(line[2]))
                answer = f"OK {line[2]}"
            else:
                answer = "PONG" if line[0] == "PING" else ranges(seen[line[1]]) or "-"
            writer.write(f"{answer}\n".encode())
        writer.close()

    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(talk, host, int(port))
    await server.serve_forever()


def main() -> None:
    """Serve, in the mood of the environment."""
    mood = os.environ.get("TINY_MOOD", "")
    sys.stderr.write(f"tiny: in the mood {mood!r}\n")
    if mood == "exit":
        sys.exit("tiny: the configuration names no dragon")
    if mood == "deaf":
        asyncio.run(asyncio.sleep(3600))
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mood.isdecimal():
        asyncio.run(serve(f"127.0.0.1:{mood}", Path(sys.argv[2])))
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), mood == "careful"))


if __name__ == "__main__":
    main()
