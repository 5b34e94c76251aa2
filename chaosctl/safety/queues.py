"""What a container sends, held back by the kernel: a queueing discipline (tc(8)) at each interface of its network
namespace, put there with the tools of this machine. A handle marks it as ours. Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.safety.container import Container, missing, path_of

TOOLS = ("nsenter", "unshare", "ip", "tc")
PACKAGES = "util-linux and iproute2"
_TRIED_WITHIN_S = 5.0


@dataclass(frozen=True)
class Queue:
    """One that was found: its interface, its kind, what the kernel says of it, what it has let out and dropped."""

    interface: str
    kind: str
    options: Mapping[str, Any]
    packets: int
    dropped: int


def lacks(words: Sequence[str]) -> str | None:
    """Return what this machine lacks for a queue of this sort, None if nothing: tried in a network namespace that
    nobody uses and that is gone at once. The kernel may load a module for it (`sch_netem`)."""
    if tools := missing(TOOLS):
        return f"{tools}; install {PACKAGES}"
    if os.geteuid() != 0:
        return "the tools are here, but need root; run chaosctl as root"
    argv = [path_of("unshare"), "--net", "--", path_of("tc"), "qdisc", "add", "dev", "lo", "root", *words]
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=_TRIED_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"tc cannot be tried here ({error})"
    if ran.returncode == 0:
        return None
    said = (ran.stderr.strip().splitlines() or ["nothing"])[0][:200]
    return f"this kernel cannot do it (tc says: {said}); it needs one with CONFIG_NET_SCH_{words[0].upper()}"


def add(container: Container, handle: str, words: Sequence[str]) -> None:
    """Put it at every interface but loopback, `words` as tc(8) has them. Raises NotReadyError: also while the container
    is down, and where somebody else has put one there."""
    namespace = container.namespace()
    if namespace is None:
        raise NotReadyError(f"container {container.id[:12]} is down: it has no network to act on")
    for interface in interfaces(_run(container, namespace, ("ip", "-j", "link", "show"))):
        _run(container, namespace, ("tc", "qdisc", "add", "dev", interface, "root", "handle", f"{handle}:", *words))


def find(container: Container, handle: str) -> tuple[Queue, ...]:
    """Return those with this handle; none while the container is down. Raises NotReadyError."""
    namespace = container.namespace()
    if namespace is None:
        return ()
    return queues(_run(container, namespace, ("tc", "-s", "-j", "qdisc", "show")), handle)


def remove(container: Container, handle: str) -> bool:
    """Remove those with this handle; others stay. Return False if there was none. Raises NotReadyError."""
    namespace = container.namespace()
    if namespace is None:
        return False
    found = queues(_run(container, namespace, ("tc", "-s", "-j", "qdisc", "show")), handle)
    for one in found:
        _run(container, namespace, ("tc", "qdisc", "del", "dev", one.interface, "root"))
    return bool(found)


def interfaces(said: str) -> tuple[str, ...]:
    """Return the interfaces that `ip -j link` shows, without loopback. Raises NotReadyError."""
    return tuple(str(one["ifname"]) for one in _parsed(said) if "LOOPBACK" not in one.get("flags", ()))


def queues(said: str, handle: str) -> tuple[Queue, ...]:
    """Return the queues with this handle that `tc -s -j qdisc show` shows. Raises NotReadyError."""
    return tuple(
        Queue(one["dev"], one["kind"], one.get("options", {}), int(one.get("packets", 0)), int(one.get("drops", 0)))
        for one in _parsed(said)
        if one.get("root") and one.get("handle") == f"{handle}:"
    )


def _parsed(said: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(said or "[]"))
    except ValueError as error:
        raise NotReadyError("tc and ip do not speak JSON here; install iproute2 4.17 or newer") from error


def _run(container: Container, namespace: str, argv: Sequence[str]) -> str:
    return container.enter(namespace, argv, needs=TOOLS, packages=PACKAGES)
