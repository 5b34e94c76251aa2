"""Where an engine listens, and connecting to it: a socket of this machine, TCP, or TCP with TLS. Standard library only.

An address is one string, so that what undoes a fault can be written down with it: `/var/run/docker.sock`,
`tcp://HOST:PORT`, `tls://HOST:PORT/FOLDER` (of ca.pem, cert.pem and key.pem, as docker's own client has them).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_SOCKET = "/var/run/docker.sock"
CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")
# As docker's own client has them (docs.docker.com/engine/security/protect-access).
_PORT, _TLS_PORT = 2375, 2376
_CONNECT_WITHIN_S = 5.0
# A machine that has vanished says nothing to who only listens; so the kernel asks it, and gives up in 11 s (tcp(7)).
_ALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))


def address_of(environ: Mapping[str, str]) -> str:
    """Return the address of the engine that DOCKER_HOST names, as docker's own client does. Raises ValueError with the
    mend for one that is not understood."""
    named = environ.get("DOCKER_HOST", "")
    parts = urlsplit(named)
    if not named:
        return DEFAULT_SOCKET
    if parts.scheme == "unix" and parts.path:
        return parts.path
    if parts.scheme == "ssh":
        to = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
        raise ValueError(
            f"DOCKER_HOST is {named}, and chaosctl speaks no ssh; lead a port there with "
            f"`ssh -N -L 127.0.0.1:{_PORT}:{DEFAULT_SOCKET} {to}`, set DOCKER_HOST=tcp://127.0.0.1:{_PORT}, and "
            f"CHAOSCTL_PUBLISH_AT to the address of {parts.hostname} that bots reach"
        )
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, or too large
        host, port = None, None
    if parts.scheme != "tcp" or not host or parts.path.strip("/"):
        raise ValueError(
            f"DOCKER_HOST is {named}, which is no address such as unix:///run/docker.sock or tcp://HOST:2375; "
            "correct or unset it"
        )
    host = f"[{host}]" if ":" in host else host
    if not environ.get("DOCKER_TLS_VERIFY"):
        return f"tcp://{host}:{port or _PORT}"
    return f"tls://{host}:{port or _TLS_PORT}{_certificates(environ)}"


def _certificates(environ: Mapping[str, str]) -> Path:
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path(environ.get("HOME", "/"), ".docker")).absolute()
    if missing := [name for name in CERTIFICATES if not (folder / name).is_file()]:
        raise ValueError(
            f"DOCKER_TLS_VERIFY is set and {', '.join(missing)} {'are' if missing[1:] else 'is'} not in {folder}; "
            "put them there, name their folder in DOCKER_CERT_PATH, or unset DOCKER_TLS_VERIFY"
        )
    return folder


def is_remote(address: str) -> bool:
    """Say whether the engine's machine counts as another one: whatever is reached over TCP may be anywhere."""
    return not address.startswith("/")


def host_of(address: str) -> str:
    """Return the name or number of the machine of a remote engine."""
    return urlsplit(address).hostname or ""


def shown(address: str) -> str:
    """Return the address for people, without the folder of its certificates."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme else address


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CONNECT_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_CONNECT_WITHIN_S)
        self.sock.connect(self._path)


def connect(address: str, within_s: float | None) -> http.client.HTTPConnection:
    """Return a connection on which each read and write may take `within_s`; None: as long as the engine is there.

    Raises OSError.
    """
    connection = _connection(address, min(_CONNECT_WITHIN_S, within_s or _CONNECT_WITHIN_S))
    connection.connect()
    if is_remote(address):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE:
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.sock.settimeout(within_s)
    return connection


def _connection(address: str, within_s: float) -> http.client.HTTPConnection:
    if not is_remote(address):
        return _OverSocket(address)
    parts = urlsplit(address)
    if parts.scheme == "tls":
        ca, certificate, key = (str(Path(parts.path) / name) for name in CERTIFICATES)
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(certificate, key)
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=within_s, context=context)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=within_s)
