"""Wrong ways to come back, to wait and to remember: planted defects of how the world runs, see defects.py."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Container
from pathlib import Path

from arena import defects
from arena.inputlog import LogReader
from arena.numbering import encode
from arena.wire import Address, Page, serve_pages

SLOW_S = 6.0
FALLS_AFTER_S = 2.0
MOST_FALLS = 3
WAIT_S = 4.0
STORM_AFTER_TICKS = 10
KEPT_BYTES = 4096
MEET_S = 1.0
MEET_EVERY_S = 0.2


async def come_back(
    asked: argparse.Namespace, planted: frozenset[str], pages: dict[str, Page], stop: asyncio.Event
) -> bool:
    """Come back from a crash in the planted way. Return whether to go on; with no defect, that is all."""
    if defects.SLOW_RECOVERY in planted:
        read_again_and_again(asked.data)
    if defects.FALLS_AGAIN in planted:
        fall_again(asked.data)
    if defects.NEVER_RECOVERS in planted:
        page_server = await serve_pages(asked.status, pages)
        await stop.wait()  # for the lock, in fact, that nobody holds any more
        page_server.close()
        return False
    return True


def read_again_and_again(folder: Path) -> None:
    """The planted defect `slow-recovery`: what was read once is read once more, for six seconds."""
    until_s = time.monotonic() + SLOW_S
    while time.monotonic() < until_s:
        for _ in LogReader(folder / "input.log"):
            pass
        time.sleep(0.01)


def fall_again(folder: Path) -> None:
    """The planted defect `falls-again`: die in two seconds, if that has not happened three times."""
    counted = folder / "falls"
    falls = len(counted.read_bytes()) if counted.exists() else 0
    if falls < MOST_FALLS:
        counted.write_bytes(b"x" * (falls + 1))
        asyncio.get_running_loop().call_later(FALLS_AFTER_S, os.kill, os.getpid(), signal.SIGKILL)


def wait_for_ledger(ledger: Address) -> None:
    """The planted defect `hung-dependency`: ask whether the ledger is there, and let everything wait for the answer."""
    with contextlib.suppress(OSError), socket.create_connection(ledger, WAIT_S) as asking:
        asking.sendall(encode(["ping"]))
        asking.recv(64)


async def meet_leader(other: Address) -> None:
    """The planted defect `two-leaders`: who leads without a lease does so until the other one is met, and leads too."""
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.wait_for(asyncio.open_connection(*other), MEET_S)
            with contextlib.closing(writer):
                writer.write(encode(["follow", 0, ""]))
                if (await asyncio.wait_for(reader.readline(), MEET_S)).startswith(b'["from"'):
                    return
        await asyncio.sleep(MEET_EVERY_S)


class Asked:
    """Which entries of the outbox the ledger was asked for by this process."""

    def __init__(self, planted: frozenset[str]) -> None:
        self._storms = defects.RETRY_STORM in planted
        self._since: dict[str, int] = {}

    def due(self, key: str, tick: int) -> bool:
        """Say whether to ask for it now: once; in a `retry-storm`, every tick once it has waited for half a second."""
        if key not in self._since:
            self._since[key] = tick
            return True
        return self._storms and tick - self._since[key] > STORM_AFTER_TICKS

    def keep_only(self, keys: Container[str], slack: int) -> None:
        """Forget what is not in the outbox any more, once that is more than `slack`."""
        if len(self._since) > slack:
            self._since = {key: tick for key, tick in self._since.items() if key in keys}
