"""Finding and starting a relay: a Toxiproxy on this machine, or the embedded one."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from chaosctl.errors import RelayError
from chaosctl.relay.process import RelayProcess
from chaosctl.relay.toxiproxy import ToxiproxyRelay

BINARY = "toxiproxy-server"
BINARY_VARIABLE = "CHAOSCTL_TOXIPROXY"
READY_WITHIN_S = 10.0
POLL_S = 0.02
# Between choosing a free port and listening on it, somebody else may take it.
PORT_ATTEMPTS = 3


def find_toxiproxy() -> Path | None:
    """Return the Toxiproxy server of this machine: the one that CHAOSCTL_TOXIPROXY names (a path or a name), else
    `toxiproxy-server` on PATH, else None. Raises RelayError when the variable names one that is not there."""
    named = os.environ.get(BINARY_VARIABLE)
    found = shutil.which(named or BINARY)
    if named and found is None:
        raise RelayError(f"{BINARY_VARIABLE} names {named!r}, which is no program here; correct it, or unset it.")
    return Path(found) if found else None


def start_toxiproxy(binary: Path, *, log_path: Path, env: Mapping[str, str]) -> ToxiproxyRelay:
    """Start a Toxiproxy on a free port of loopback and wait until it answers. `close` ends it.

    Its log level is `error` unless `env` says otherwise: it writes several lines for every connection.
    Raises RelayError."""
    for attempts_left in reversed(range(PORT_ATTEMPTS)):
        port = _free_port()
        command = [str(binary), "-host", "127.0.0.1", "-port", str(port)]
        process = RelayProcess(command, log_path=log_path, env={"LOG_LEVEL": "error", **env}, reads_stdout=False)
        try:
            return _wait_until_ready(process, f"http://127.0.0.1:{port}", time.monotonic() + READY_WITHIN_S)
        except RelayError:
            port_taken = not process.alive() and "address already in use" in process.last_words()
            process.end()
            if not (port_taken and attempts_left):
                raise
    raise AssertionError("the last attempt returns or raises")


def start_embedded(*, seed: int, log_path: Path, env: Mapping[str, str]) -> ToxiproxyRelay:
    """Start the embedded relay and wait until it answers. `close` ends it; it also ends when this process does,
    however that happens. Raises RelayError."""
    # -P: a file named like a module of the standard library, where the user happens to be, is not imported.
    command = [sys.executable, "-P", "-m", "chaosctl.relay.embedded", "--seed", str(seed), "--api", "127.0.0.1:0"]
    process = RelayProcess(command, log_path=log_path, env=env, reads_stdout=True)
    deadline_s = time.monotonic() + READY_WITHIN_S
    try:
        return _wait_until_ready(process, _announced_url(process, deadline_s), deadline_s)
    except RelayError:
        process.end()
        raise


def _announced_url(process: RelayProcess, deadline_s: float) -> str:
    stdout = process.popen.stdout
    if stdout is None:
        raise AssertionError("started with reads_stdout")
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline_s - time.monotonic()))
        piece = os.read(stdout.fileno(), 4096) if ready else b""
        if not piece:
            raise _not_ready(process)
        line += piece
    return str(json.loads(line)["api"])


def _wait_until_ready(process: RelayProcess, api_url: str, deadline_s: float) -> ToxiproxyRelay:
    while True:
        try:
            relay = ToxiproxyRelay(api_url, process=process)
        except RelayError:
            if not process.alive() or time.monotonic() >= deadline_s:
                raise _not_ready(process) from None
            time.sleep(POLL_S)
            continue
        if process.alive():
            return relay
        raise _not_ready(process)


def _not_ready(process: RelayProcess) -> RelayError:
    how = "does not answer" if process.alive() else f"ended with code {process.popen.poll()}"
    return RelayError(f"The relay was started and {how}; its log ends with: {process.last_words()}.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
