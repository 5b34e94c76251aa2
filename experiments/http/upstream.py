"""upstream.py HOST:PORT NAME: a web server that says its name."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the server's name."""

    protocol_version = "HTTP/1.1"
    # One packet an answer: head and body apart would wait 40 ms for each other (Nagle's algorithm).
    wbufsize = 4096
    name = b""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(self.name)))
        self.end_headers()
        self.wfile.write(self.name)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the load would fill the log."""


if __name__ == "__main__":
    address, name = sys.argv[1:]
    host, _, port = address.rpartition(":")
    Handler.name = name.encode() + b"\n"
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
