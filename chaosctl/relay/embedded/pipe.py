"""One direction of a connection: from one socket, through the stages of its toxics, to the other socket."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable

from chaosctl.relay.embedded.loop import Handler
from chaosctl.relay.embedded.peer import IN, OUT, Peer
from chaosctl.relay.embedded.toxics.stage import ITEM_BYTES, End, Item, Receiver, Stage

# One for all pipes: what was read is sent, or copied, before anything else is read.
_BUFFER = bytearray(65536)
_VIEW = memoryview(_BUFFER)

STAGED_READ_BYTES = 16384
# What a pipe with toxics holds before it stops reading: the bytes under way at 100 Mbit/s and 80 ms.
HELD_BYTES = 1 << 20


class Traffic:
    """Bytes of one direction: read from the sender, and handed to the receiver."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0


class Pipe:
    """Reads from `source` and writes to `sink`; stops reading while too much is held.

    `pump` reads once: without toxics straight from the shared buffer to the sink, else into the first stage.
    `on_end` is told when the end of the stream has reached the sink, or the sink can take no more (HALF_CLOSE).
    """

    __slots__ = (
        "_backlog", "_end", "_forward", "_held", "_limit", "_on_end", "_send", "_source_ended",
        "_traffic", "done", "pump", "sink", "source", "stages",
    )  # fmt: skip

    def __init__(self, source: Peer, sink: Peer, traffic: Traffic, on_end: Callable[[End], None]) -> None:
        self.source = source
        self.sink = sink
        self.stages: list[Stage] = []
        self.done = False
        self._traffic = traffic
        self._on_end = on_end
        self._backlog: deque[memoryview] = deque()
        self._held = 0
        self._limit = 1
        self._source_ended = False
        self._end: End | None = None  # has come through all stages, and waits for the backlog
        self._send = sink.sock.send
        self._forward = self._forwarder()
        self.pump: Handler = self._forward
        source.outgoing = self
        sink.incoming = self

    def rewire(self) -> None:
        """Connect the stages, after `stages` was changed, and read or not as they need."""
        receivers: list[Receiver] = [*self.stages[1:], self]
        for stage, following in zip(self.stages, receivers, strict=False):
            stage.next = following
        self.pump = self._feed if self.stages else self._forward
        self._limit = HELD_BYTES if self.stages else 1
        self.source.rewatch()
        self.hold(0)

    def hold(self, held_bytes: int) -> None:
        """Count `held_bytes` more as held, fewer when negative, and stop or resume reading."""
        self._held += held_bytes
        if self._source_ended or self.done:
            return
        if self._held >= self._limit:
            self.source.unwant(IN)
        elif self._held <= self._limit // 2:
            self.source.want(IN)

    def stop(self) -> None:
        """Forget everything that is held; nothing more will be read or written."""
        self.done = True
        self._backlog.clear()
        for stage in self.stages:
            stage.stop()

    def _forwarder(self) -> Handler:
        """Return what reads once and sends at once. The relay's speed hangs on it, so it is a closure: it touches the
        least memory, which is cold where a link ticks only now and then."""
        recv_into, send, traffic = self.source.sock.recv_into, self._send, self._traffic

        def forward(events: int, buffer: bytearray = _BUFFER, view: memoryview = _VIEW) -> None:
            try:
                size = recv_into(buffer)
            except BlockingIOError:
                return
            except OSError:
                self._end_source(End.CUT)
                return
            if not size:
                self._end_source(End.HALF_CLOSE)
                return
            traffic.received += size
            try:
                sent = send(view[:size])
            except OSError:
                sent = self._try_send(view[:size])
            else:
                traffic.sent += sent
            if sent != size and not self.done:
                self._keep(memoryview(bytes(view[sent:size])))

        return forward

    def _feed(self, events: int) -> None:
        try:
            data = self.source.sock.recv(STAGED_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end_source(End.CUT)
            return
        if not data:
            self._end_source(End.HALF_CLOSE)
            return
        self._traffic.received += len(data)
        self.stages[0].push(memoryview(data))

    def _end_source(self, end: End) -> None:
        self._source_ended = True
        self.source.unwant(IN)
        first: Receiver = self.stages[0] if self.stages else self
        first.push(end)

    def push(self, item: Item) -> None:
        """Take what came through all stages: send it, or keep it until the sink drains."""
        if isinstance(item, End):
            self._take_end(item)
        elif self._end is not None or self.done:
            return
        elif self._backlog:
            self._keep(item)
        else:
            sent = self._try_send(item)
            if sent != len(item) and not self.done:
                self._keep(item[sent:])

    def _take_end(self, end: End) -> None:
        if end is End.HALF_CLOSE and (self._end is not None or self.done):
            return
        self._end = end
        if end is End.RESET or not self._backlog:
            self._finish(end)

    def flush(self) -> None:
        """Write what is kept, as far as the sink takes it."""
        backlog = self._backlog
        while backlog:
            piece = backlog[0]
            sent = self._try_send(piece)
            if self.done:
                return
            if sent != len(piece):
                backlog[0] = piece[sent:]
                self.hold(-sent)
                return
            backlog.popleft()
            self.hold(-sent - ITEM_BYTES)
        self.sink.unwant(OUT)
        if self._end is not None:
            self._finish(self._end)

    def _keep(self, piece: memoryview) -> None:
        self._backlog.append(piece)
        self.sink.want(OUT)
        self.hold(len(piece) + ITEM_BYTES)

    def _try_send(self, piece: memoryview) -> int:
        try:
            sent = self._send(piece)
        except BlockingIOError:
            return 0
        except OSError:  # the receiver is gone: there is no use in reading for it
            self.source.unwant(IN)
            self.sink.unwant(OUT)
            self.stop()
            self._on_end(End.HALF_CLOSE)
            return 0
        self._traffic.sent += sent
        return sent

    def _finish(self, end: End) -> None:
        if end is End.HALF_CLOSE:
            with contextlib.suppress(OSError):  # it may be gone already
                self.sink.sock.shutdown(socket.SHUT_WR)
        self.stop()
        self._on_end(end)
