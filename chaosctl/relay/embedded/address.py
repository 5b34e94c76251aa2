"""`host:port` as Toxiproxy writes it."""

from __future__ import annotations

import socket
from typing import Any

SocketAddress = tuple[int, tuple[Any, ...]]  # address family, what bind() and connect() take


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[::1]:port` or `:port`. Raises ValueError with a sentence."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {text!r} is not host:port with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"address {text!r} has an IPv6 host that needs brackets")
    return host, int(port)


def join_address(sockaddr: tuple[Any, ...]) -> str:
    """Return `host:port`, with brackets around an IPv6 host."""
    host, port = sockaddr[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def numeric_addresses(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of a host given as numbers, and none for a name: nothing is looked up."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]


def look_up(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of a name, none when it has none. Blocks for as long as the resolver does."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return []
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]
