"""Fixtures of the tests of the runner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No engine is asked, no process is started or signalled, no socket is opened, also by threads."""
    touched: list[str] = []

    def refusing(what: str) -> Callable[..., Any]:
        def refuse(*words: Any, **_: Any) -> Any:
            touched.append(f"{what} {words}")
            raise AssertionError(touched[-1])

        return refuse

    for owner, name in (
        (socket.socket, "connect"),
        (socket.socket, "bind"),
        (subprocess.Popen, "__init__"),
        (os, "kill"),
        (signal, "pidfd_send_signal"),
    ):
        monkeypatch.setattr(owner, name, refusing(name))
    yield
    assert touched == []
