"""What every service shares: lines out of a byte stream, addresses, a tiny status page, and an orderly end."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]
Page = Callable[[], tuple[int, str]]


@dataclass
class Traffic:
    """What was carried since the process started."""

    sent_bytes: int = 0
    received_bytes: int = 0


class LineSplitter:
    """Cuts a byte stream into lines, without ever holding more than `longest` bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Return the lines that are complete now, without their ends; None stands for one that was too long."""
        lines: list[bytes | None] = []
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._rest += piece
            too_long = self._skipping or len(self._rest) > self._longest
            lines.append(None if too_long else bytes(self._rest.removesuffix(b"\r")))
            self._rest.clear()
            self._skipping = False
        if self._skipping or len(self._rest) + len(rest) > self._longest:
            self._skipping = True
            self._rest.clear()
        else:
            self._rest += rest
        return lines


def address(text: str) -> Address:
    """Return host and port of `HOST:PORT`. Raises argparse's error."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no address; write it as 127.0.0.1:7000")
    return host, int(port)


def addresses(text: str) -> list[Address]:
    """Return the addresses of `HOST:PORT,HOST:PORT`. Raises argparse's error."""
    return [address(one) for one in text.split(",")]


async def serve_pages(at: Address, pages: dict[str, Page]) -> asyncio.Server:
    """Serve GET on a few paths over HTTP/1.0; a page returns its status and its body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(reader.readline(), 5)
            words = request.decode("latin-1").split()
            page = pages.get(words[1]) if len(words) > 1 else None
            status, body = page() if page else (404, "there is no such page\n")
            kind = "application/json" if body.startswith("{") else "text/plain"
            head = f"HTTP/1.0 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n\r\n"
            writer.write((head + body).encode())
            # The request's other lines are read, so that closing does not reset what was just written.
            while (await asyncio.wait_for(reader.readline(), 5)).strip():
                pass
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # a client that is gone or talks something else gets nothing
        finally:
            writer.close()

    return await asyncio.start_server(answer, *at)


def json_page(value: Any, status: int = 200) -> tuple[int, str]:
    """Return a page with JSON."""
    return status, json.dumps(value) + "\n"


def say(text: str) -> None:
    """Write a line to the service's log, at once."""
    print(text, flush=True)


def run_service(name: str, service: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Run a service until SIGTERM or SIGINT sets its event; return its exit code.

    An expected failure to start or go on (a port in use, a full disk, a damaged log) is one line and exit code 1.
    """

    async def until_signalled() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service(stop)

    try:
        asyncio.run(until_signalled())
    except (OSError, ValueError) as error:
        print(f"arena.{name}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0
