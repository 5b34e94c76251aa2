"""Say what this machine has and lacks.

Of what chaosctl can use; what each lacking thing costs, and how to get it.

Example: chaosctl doctor
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from chaosctl.cli.arguments import AsJson
from chaosctl.errors import ExitCode

COMFORTABLE_OPEN_FILES = 10_000
PROBE_BOUND_S = 5.0


@dataclass(frozen=True)
class Fact:
    """One thing looked at. `lacking`: chaosctl does not work without it; `optional`: something can't be done."""

    name: str
    state: Literal["ok", "optional", "lacking"]
    found: str
    cost: str = ""
    mend: str = ""


def command(as_json: AsJson = False) -> None:
    """Print the facts. Exits with 4 if something is lacking without which nothing runs."""
    facts = [look() for look in LOOKS]
    if as_json:
        typer.echo(json.dumps([asdict(fact) for fact in facts], indent=2))
    else:
        marks = {"ok": "ok     ", "optional": "without", "lacking": "LACKING"}
        for fact in facts:
            typer.echo(f"{marks[fact.state]}  {fact.name:<16} {fact.found}")
            if fact.state != "ok":
                typer.echo(f"{'':<26}{fact.cost}")
                typer.echo(f"{'':<26}{fact.mend}")
    if any(fact.state == "lacking" for fact in facts):
        raise typer.Exit(ExitCode.NOT_READY)


def _python() -> Fact:
    return Fact("Python", "ok", f"{platform.python_version()}, {sys.executable}")


def _system() -> Fact:
    if platform.system() == "Linux":
        return Fact("system", "ok", f"{platform.system()} {platform.release()}")
    return Fact(
        "system",
        "lacking",
        platform.system(),
        "epoll, /proc and subreapers are needed",
        "run it on Linux or in a container",
    )


def _cores() -> Fact:
    usable = len(os.sched_getaffinity(0))
    if usable >= 2:
        return Fact("cores", "ok", f"{usable} usable")
    return Fact(
        "cores",
        "optional",
        "1 usable",
        "load and target disturb each other; timings are wider",
        "give it two or more cores",
    )


def _open_files() -> Fact:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= COMFORTABLE_OPEN_FILES:
        return Fact("open files", "ok", f"{soft} (limit {hard})")
    return Fact(
        "open files", "optional", f"{soft} (limit {hard})", f"about {soft // 3} bots at most", "ulimit -n 65536"
    )


def _clock() -> Fact:
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    name = source.read_text().strip() if source.is_file() else "unknown source"
    resolution_ns = round(time.get_clock_info("monotonic").resolution * 1e9)
    return Fact("clock", "ok", f"monotonic, {resolution_ns} ns, {name}")


def _toxiproxy() -> Fact:
    from chaosctl.relay.server import find_toxiproxy

    binary = find_toxiproxy()
    if binary is not None:
        return Fact("Toxiproxy", "ok", str(binary))
    return Fact(
        "Toxiproxy",
        "optional",
        "not on PATH, and CHAOSCTL_TOXIPROXY names none",
        "nothing: the embedded relay carries the links",
        "go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0, then name it in CHAOSCTL_TOXIPROXY",
    )


def _docker() -> Fact:
    from chaosctl.safety.engine import EngineError, named_engine
    from chaosctl.safety.engine_address import shown

    name, mend = "Docker Engine", "run chaosctl on the engine's machine, over its own socket"
    try:
        engine = named_engine()
        said = engine.ask("GET", "/version", None, PROBE_BOUND_S)
        info = engine.ask("GET", "/info", None, PROBE_BOUND_S)
    except EngineError as error:
        cost = "no driver docker: targets are processes, or run already"
        return Fact(name, "optional", str(error), cost, "install docker.io and start dockerd, or correct DOCKER_HOST")
    version = f"{said.get('Version', '?')} (API {said.get('ApiVersion', '?')}), {_kept(info)}"
    if not engine.is_remote:
        return Fact(name, "ok", version)
    return Fact(name, "optional", f"{version} at {shown(engine.address)}: another machine", _cost_of_remote(), mend)


def _kept(info: Mapping[str, Any]) -> str:
    """Return how the engine keeps containers and images, of its `GET /info`."""
    groups = f"cgroup v{info.get('CgroupVersion', '?')} by {info.get('CgroupDriver', '?')}"
    rootless = ", rootless" if any("rootless" in one for one in info.get("SecurityOptions") or ()) else ""
    return f"{groups}, storage {info.get('Driver', '?')}{rootless}"


def _cost_of_remote() -> str:
    from chaosctl.faults.registry import fault_kinds

    here = [kind.name for kind in fault_kinds().values() if kind.acts_on != "link" and not kind.through_engine]
    return f"on its containers no {', '.join(here)}; no disk of a service; links only through a relay in a container"


def _compose() -> Fact:
    from chaosctl.deploy.compose_program import find_compose
    from chaosctl.errors import NotReadyError

    cost, mend = "no target is what a compose file says", "install docker-compose-plugin, or docker-compose-v2"
    try:
        found = find_compose(os.environ)
    except NotReadyError:
        return Fact("Docker Compose", "optional", "neither docker compose nor docker-compose answers", cost, mend)
    version = f"{'.'.join(map(str, found.version))} ({' '.join(found.words)})"
    if found.takes_away:
        return Fact("Docker Compose", "ok", version)
    return Fact("Docker Compose", "optional", version, "compose files may publish no ports", "use 2.24.4 or newer")


def _faketime() -> Fact:
    from chaosctl.replay.perturb import FAKETIME_FOLDERS, find_faketime

    library = find_faketime(FAKETIME_FOLDERS)
    if library is not None:
        return Fact("libfaketime", "ok", str(library))
    return Fact(
        "libfaketime",
        "optional",
        f"not below {', '.join(FAKETIME_FOLDERS)}",
        "the replay factor `clock` is not tested, but for services that read the time from a file",
        "apt-get install libfaketime",
    )


def _program(name: str, cost: str, mend: str) -> Callable[[], Fact]:
    def look() -> Fact:
        path = shutil.which(name)
        return Fact(name, "ok", path) if path else Fact(name, "optional", "not on PATH", cost, mend)

    return look


def _cgroup() -> Fact:
    from chaosctl.safety.cgroups import has_version_2

    return Fact("cgroups", "ok", "version 2" if has_version_2() else "version 1")


def _netem() -> Fact:
    return _queue("netem", "netem", ("netem", "delay", "1ms"), "no netem on containers; latency goes through relays")


def _throttle() -> Fact:
    words = ("tbf", "rate", "1mbit", "burst", "65536", "latency", "50ms")
    return _queue("rate limit", "throttle", words, "no throttle on containers; bandwidth goes through relays")


def _clocks() -> Fact:
    """Say whether the clock of a process can be shifted: really tried, on one of ours."""
    from chaosctl.faults.registry import fault_kinds

    lacks = fault_kinds()["clock_skew"].lacks
    if lacks is None or (why := lacks()) is None:
        return Fact("clocks", "ok", "tried: the fault clock_skew works")
    return Fact("clocks", "optional", why, "no clock_skew", "run it on x86-64, as root or without a debugger's bounds")


def _queue(name: str, fault: str, words: tuple[str, ...], cost: str) -> Fact:
    """Say whether the kernel can hold back what containers send: really tried, in a network namespace of its own."""
    from chaosctl.safety.queues import lacks

    if (why := lacks(words)) is None:
        return Fact(name, "ok", f"tried: the fault {fault} works")
    return Fact(name, "optional", why, cost, "modprobe the module, or use a kernel that has it; see the README")


def _packets() -> Fact:
    """Say whether packets of containers can be lost or blocked: that needs tools of this machine, and root."""
    from chaosctl.safety.container import firewall_lacks

    if (why := firewall_lacks()) is None:
        return Fact("packet rules", "ok", f"nsenter and {_iptables()}, as root")
    mend = "install util-linux and iptables, and run chaosctl as root"
    return Fact("packet rules", "optional", why, "no loss, no block and no split of containers", mend)


def _iptables() -> str:
    """Return the version and the flavour: `iptables v1.8.9 (nf_tables)`, or `(legacy)`."""
    asked = subprocess.run(
        ["iptables", "--version"], capture_output=True, text=True, timeout=PROBE_BOUND_S, check=False
    )
    return asked.stdout.strip() or "iptables"


def _faults() -> Fact:
    """Say which faults this machine cannot do: by what is asked before any run, too."""
    from chaosctl.faults.registry import fault_kinds

    kinds = fault_kinds()
    lacking = {name: why for name, kind in kinds.items() if kind.lacks is not None and (why := kind.lacks())}
    found = f"{len(kinds) - len(lacking)} of {len(kinds)} kinds can work here (`chaosctl faults`)"
    if not lacking:
        return Fact("faults", "ok", found)
    mend = "what each lacks stands above; an experiment with one of them is refused before anything is started"
    return Fact("faults", "optional", found, f"no {', '.join(lacking)}", mend)


def _disks() -> Fact:
    """Say whether services can have disks of their own, and which faults on them work."""
    from chaosctl.safety.disk import disks_lack
    from chaosctl.safety.immutable import immutability_lacks
    from chaosctl.safety.throttle import throttle_lacks

    name, without = "service disks", "neither disk_full nor disk_slow nor io_errors"
    if (lacks := disks_lack()) is not None:
        found, _, mend = lacks.partition("; ")
        return Fact(name, "optional", found, without, mend)
    fails, slows = immutability_lacks(str(Path.cwd())), throttle_lacks()
    if (why := fails or slows) is not None:
        cost = " and ".join(kind for kind, lacks in (("io_errors", fails), ("disk_slow", slows)) if lacks)
        found, _, mend = why.partition("; ")
        return Fact(name, "optional", found, f"no {cost}", mend or "see the kernel's documentation")
    return Fact(name, "ok", "ext4 in a file, as root; disk_full, disk_slow and io_errors work in this folder")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


LOOKS: tuple[Callable[[], Fact], ...] = (
    _python,
    _system,
    _cores,
    _open_files,
    _clock,
    _cgroup,
    _netem,
    _throttle,
    _clocks,
    _toxiproxy,
    _docker,
    _compose,
    _faketime,
    _packets,
    _disks,
    _faults,
    _program("redis-server", "experiments/redis cannot run", "apt-get install redis-server"),
    _program("nginx", "experiments/http cannot run", "apt-get install nginx-light"),
)
