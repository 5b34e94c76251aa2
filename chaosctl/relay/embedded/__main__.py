"""The embedded relay as a process: says where its API is, then serves until its standard input ends."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import select
import socket
import sys

from chaosctl.relay.embedded.address import join_address, split_address
from chaosctl.relay.embedded.api import Api
from chaosctl.relay.embedded.http import ApiServer
from chaosctl.relay.embedded.loop import Loop


def main() -> int:
    """Serve. Prints one JSON line, `{"api": "http://host:port"}`, when the API answers."""
    arguments = _parse_arguments()
    _raise_file_limit()
    loop = Loop()
    try:
        listener = socket.create_server(split_address(arguments.api), backlog=128)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The API cannot listen on {arguments.api}: {error}.\n")
        return 1
    ApiServer(loop, Api(loop, arguments.seed), listener)
    _end_with_stdin(loop)
    gc.freeze()  # what exists now lives as long as the process: collections need not look at it
    sys.stdout.write(json.dumps({"api": f"http://{join_address(listener.getsockname())}"}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        loop.run()
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaosctl.relay.embedded", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="where every random draw starts")
    parser.add_argument("--api", default="127.0.0.1:8474", metavar="HOST:PORT", help="where the API listens")
    return parser.parse_args()


def _raise_file_limit() -> None:
    """Allow as many files as may be allowed: each connection needs two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_stdin(loop: Loop) -> None:
    """Stop when the other end of standard input is closed: whoever started this is gone, however it ended."""

    def on_event(events: int) -> None:
        if not os.read(0, 4096):
            loop.stop()

    try:
        loop.watch(0, select.EPOLLIN, on_event)
    except OSError:
        return  # a file or /dev/null, which never ends in this sense


if __name__ == "__main__":
    sys.exit(main())
