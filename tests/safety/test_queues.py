"""What tc and ip say, and what is asked of them; no kernel is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import container as containers
from chaosctl.safety import queues
from chaosctl.safety.container import Container
from chaosctl.safety.container_undo import QueueUndo, play_on_container
from chaosctl.safety.undo import from_json, to_json

LINKS = json.dumps(
    [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"]},
        {"ifname": "eth0", "flags": ["BROADCAST", "UP"]},
        {"ifname": "eth1", "flags": ["BROADCAST", "UP"]},
    ]
)
# `tc -s -j qdisc show` of iproute2 6.1, where a netem with the handle 1a: is at eth0 and somebody's tbf at eth1.
SHOWN = json.dumps(
    [
        {
            "kind": "netem",
            "handle": "1a:",
            "dev": "eth0",
            "root": True,
            "options": {"limit": 10000, "delay": {"delay": 0.04, "jitter": 0.01, "correlation": 0}},
            "packets": 12,
            "drops": 3,
        },
        {"kind": "tbf", "handle": "8001:", "dev": "eth1", "root": True, "packets": 1, "drops": 0},
        {"kind": "pfifo", "handle": "1a:", "dev": "eth1", "parent": "8001:1"},
    ]
)


class Kernel:
    """Remembers what it was asked."""

    def __init__(self, shown: str = SHOWN) -> None:
        self.asked: list[str] = []
        self.shown = shown

    def __call__(self, namespace: str, argv: Sequence[str], *_: Any) -> str:
        self.asked.append(" ".join(argv))
        return LINKS if argv[0] == "ip" else self.shown if "show" in argv else ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(containers, "inside", kernel)
    monkeypatch.setattr(Container, "namespace", lambda _: "/namespace")
    return kernel


BOX = Container("/engine.sock", "abc", "chaosctl-1")


def test_it_is_put_at_every_interface_but_loopback(kernel: Kernel) -> None:
    queues.add(BOX, "1a", ("netem", "delay", "40000us"))
    assert kernel.asked[1:] == [
        "tc qdisc add dev eth0 root handle 1a: netem delay 40000us",
        "tc qdisc add dev eth1 root handle 1a: netem delay 40000us",
    ]


def test_only_what_has_its_handle_is_found_and_removed(kernel: Kernel) -> None:
    (found,) = queues.find(BOX, "1a")
    assert (found.interface, found.kind, found.packets, found.dropped) == ("eth0", "netem", 12, 3)
    assert found.options["delay"] == {"delay": 0.04, "jitter": 0.01, "correlation": 0}
    assert queues.remove(BOX, "1a")
    assert kernel.asked[-1] == "tc qdisc del dev eth0 root"
    assert not queues.remove(BOX, "1b")
    assert queues.queues("", "1a") == ()


def test_its_undo_is_data_and_says_what_it_did(kernel: Kernel) -> None:
    undo = QueueUndo("/engine.sock", "abc", "1a")
    assert from_json(json.loads(json.dumps(to_json(undo)))) == undo
    assert play_on_container(undo) == (True, "removed queue 1a of container abc")
    kernel.shown = "[]"
    assert play_on_container(undo) == (True, "container abc has no queue 1a: nothing to undo")


def test_what_is_no_json_is_said_to_be_old(kernel: Kernel) -> None:
    kernel.shown = "qdisc netem 1a: root"
    with pytest.raises(NotReadyError, match=r"install iproute2 4\.17 or newer"):
        queues.find(BOX, "1a")


def test_what_is_lacking_is_tried_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> Any:
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 2, "", "Error: Specified qdisc kind is unknown.\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(queues.os, "geteuid", lambda: 0)
    monkeypatch.setattr(queues, "missing", lambda _: None)
    why = queues.lacks(("netem", "delay", "1ms"))
    assert why is not None
    assert "tc says: Error: Specified qdisc kind is unknown." in why
    assert "CONFIG_NET_SCH_NETEM" in why
    assert [word.rpartition("/")[2] for word in ran[0]][:2] == ["unshare", "--net"]
    assert ran[0][-4:] == ["root", "netem", "delay", "1ms"]
    monkeypatch.setattr(queues.os, "geteuid", lambda: 1000)
    assert "need root" in str(queues.lacks(("netem",)))
    monkeypatch.undo()
    monkeypatch.setattr(containers, "_path", lambda: "/nowhere")
    assert "tc not on PATH; install util-linux and iproute2" in str(queues.lacks(("netem",)))
