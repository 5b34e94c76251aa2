"""One container of an engine: its network, its limits, and the firewall of its network namespace.

Whoever heals plays the same code as whoever injects. Nothing here passes through a shell, and the firewall is the one
of this machine (`nsenter`, `iptables-restore`): the image needs no tool, the container no capability. Standard library
only: the keeper must start at once.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.safety.engine import Engine, EngineError
from chaosctl.safety.engine_address import is_remote, shown
from chaosctl.safety.name_server import Answer, SlowNameServer, ask, real_port

_WITHIN_S = 10.0
DYING_WITHIN_S = 2.0
_TOOLS = ("nsenter", "iptables-save", "iptables-restore")
_PACKAGES = "util-linux and iptables"
# Another program that changes the same table just now is waited for (iptables(8), -w).
_LOCK_S = "2"
# iptables(8): the name of a chain has at most 28 characters.
_CHAIN = re.compile(r"[A-Za-z0-9-]{1,28}")
_COUNTED = re.compile(r"\[(\d+):\d+\] (-A .*)")


@dataclass(frozen=True)
class Endpoint:
    """How a container stands on its network: its address, and the names that it is found by there."""

    address: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """A container and its main network. `ports` are the numbers that it listens at inside, by name."""

    engine: str
    id: str
    network: str
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        """Whether its engine counts as one of another machine: then what the kernel says of it is out of reach."""
        return is_remote(self.engine)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the engine. Raises EngineError."""
        return Engine(self.engine).ask(method, path, body, _WITHIN_S)

    def inspect(self) -> Mapping[str, Any]:
        """Return what the engine says of it; nothing once it is gone. Raises EngineError."""
        try:
            return dict(self.ask("GET", f"/containers/{self.id}/json"))
        except EngineError as error:
            if error.status == http.client.NOT_FOUND:
                return {}
            raise

    def main_pid(self) -> int | None:
        """Return the process id of its main process on this machine, None while it is down. Raises NotReadyError, also
        where its engine is elsewhere."""
        self.must_be_here()
        state = self.inspect().get("State", {})
        return int(state["Pid"]) if state.get("Running") and state.get("Pid") else None

    # -- the network

    def endpoint(self) -> Endpoint | None:
        """Return how it stands on its network, None when it is not connected. Raises EngineError."""
        found = self.inspect().get("NetworkSettings", {}).get("Networks", {}).get(self.network)
        if found is None:
            return None
        # The engine adds the short id by itself, and again whenever it connects the container.
        aliases = sorted({str(one) for one in found.get("Aliases") or ()} - {self.id[:12]})
        return Endpoint(str(found.get("IPAddress") or ""), tuple(aliases))

    def disconnect(self) -> None:
        """Take it off its network. Raises EngineError."""
        self.ask("POST", f"/networks/{self.network}/disconnect", {"Container": self.id, "Force": True})

    def connect(self, endpoint: Endpoint) -> None:
        """Put it back on its network, at the same address and under the same names. Raises EngineError."""
        address = {"IPAMConfig": {"IPv4Address": endpoint.address}} if endpoint.address else {}
        config = {"Aliases": list(endpoint.aliases), **address}
        self.ask("POST", f"/networks/{self.network}/connect", {"Container": self.id, "EndpointConfig": config})

    # -- its limits

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Have the engine change these (`POST /containers/ID/update`). Raises EngineError."""
        end_s = time.monotonic() + DYING_WITHIN_S
        while True:
            try:
                self.ask("POST", f"/containers/{self.id}/update", dict(limits))
                return
            except EngineError as error:
                # Its last process has just ended, and the engine does not know yet.
                if "stopped container" not in str(error) or time.monotonic() > end_s:
                    raise
            time.sleep(0.05)

    # -- the firewall of its network namespace

    def rules(self, table: str = "filter") -> tuple[tuple[int, str], ...]:
        """Return the rules of a table as (packets that met it, `-A INPUT ...`); none while it is down.

        Raises NotReadyError where this machine or this user cannot look.
        """
        namespace = self.namespace()
        if namespace is None:
            return ()
        met = map(_COUNTED.fullmatch, self.enter(namespace, ("iptables-save", "-c", "-t", table)).splitlines())
        return tuple((int(one[1]), one[2]) for one in met if one is not None)

    def add_chain(
        self,
        chain: str,
        rules: Sequence[str],
        jumps: Sequence[str],
        namespace: str | None = None,
        table: str = "filter",
    ) -> None:
        """Make a chain with these rules and have it met first where `jumps` says (`INPUT ! -i lo`), all at one moment.

        `namespace` is what `namespace()` has said just now, if somebody asked. Raises NotReadyError, also while it is
        down.
        """
        namespace = namespace or self.namespace()
        if namespace is None:
            raise NotReadyError(f"container {self.id[:12]} is down: it has no network to act on")
        inserted = [
            f"-I {where.partition(' ')[0]} 1{where[len(where.partition(' ')[0]) :]} -j {chain}" for where in jumps
        ]
        made = (f":{checked(chain)} - [0:0]", *(f"-A {chain} {rule}".rstrip() for rule in rules))
        self._change(namespace, table, (*made, *inserted))

    def remove_chain(self, chain: str, table: str = "filter") -> bool:
        """Remove a chain and the jumps to it; other rules stay. Return False if there was none. Raises NotReadyError.

        A container that is down has no rules: they went with its network namespace.
        """
        namespace = self.namespace()
        if namespace is None:
            return False
        there = self.enter(namespace, ("iptables-save", "-t", table)).splitlines()
        if not any(line.startswith(f":{checked(chain)} ") for line in there):
            return False
        jumps = [f"-D {line[3:]}" for line in there if line.startswith("-A ") and line.endswith(f" -j {chain}")]
        self._change(namespace, table, (*jumps, f"-F {chain}", f"-X {chain}"))
        return True

    def namespace(self) -> str | None:
        """Return the file that holds its network namespace, None while it is down.

        The engine's own name for it and not a process id: an id that is used again would name a stranger's, even this
        machine's. Raises NotReadyError.
        """
        self.must_be_here()
        found = self.inspect()
        if not found.get("State", {}).get("Running"):
            return None
        path = Path(found["NetworkSettings"]["SandboxKey"])
        try:
            shared = path.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
        except OSError as error:
            raise NotReadyError(
                f"the network namespace of container {self.id[:12]} cannot be entered ({error.strerror}); "
                "run chaosctl as root, on the engine's machine"
            ) from error
        if shared:
            raise NotReadyError(f"container {self.id[:12]} uses this machine's own network, which is left alone")
        return str(path)

    def enter(
        self,
        namespace: str,
        argv: Sequence[str],
        text: str = "",
        needs: Sequence[str] = _TOOLS,
        packages: str = _PACKAGES,
    ) -> str:
        """Run a program of this machine in its network namespace (see `inside`). Raises NotReadyError."""
        return inside(namespace, argv, text, needs, packages)

    def _change(self, namespace: str, table: str, lines: Sequence[str]) -> None:
        """Change a table there, all at once or not at all (iptables-restore(8))."""
        text = "\n".join((f"*{table}", *lines, "COMMIT", ""))
        self.enter(namespace, ("iptables-restore", "--noflush", "-w", _LOCK_S), text)

    # -- the names that it asks for

    def ask_for(self, name: str, within_s: float) -> Answer:
        """Ask its name server, as a program inside does. Raises NotReadyError, also while it is down."""
        return ask(self._asking(), name, within_s)

    def answer_late(self, delay_s: float) -> SlowNameServer:
        """Begin to answer in the place of its name server, so much later. Raises NotReadyError, also where it does not
        ask the engine's."""
        if (port := real_port(rule for _, rule in self.rules("nat"))) is None:
            raise NotReadyError(f"container {self.id[:12]} does not ask the engine's name server")
        return SlowNameServer(self._asking(), port, delay_s)

    def _asking(self) -> str:
        if (namespace := self.namespace()) is None:
            raise NotReadyError(f"container {self.id[:12]} is down: it asks for no names")
        return namespace

    def read_hosts(self) -> str | None:
        """Return what its /etc/hosts says, a file of the engine on this machine; None where it is gone. Raises
        NotReadyError."""
        if (path := self._hosts()) is None:
            return None
        try:
            return path.read_text()
        except OSError as error:
            raise NotReadyError(f"{path} cannot be read ({error.strerror}); run chaosctl as root") from error

    def write_hosts(self, text: str) -> None:
        """In its place, for the container has that very file mounted; whoever reads it meanwhile finds no empty one.
        Raises NotReadyError, also where it is gone."""
        if (path := self._hosts()) is None:
            raise NotReadyError(f"container {self.id[:12]} is gone")
        data = text.encode()
        try:
            with path.open("r+b", 0) as file:
                os.pwrite(file.fileno(), data, 0)
                file.truncate(len(data))
        except OSError as error:
            raise NotReadyError(f"{path} cannot be written ({error.strerror}); run chaosctl as root") from error

    def _hosts(self) -> Path | None:
        self.must_be_here()
        if not (found := self.inspect()):
            return None
        if not found.get("HostsPath"):
            raise NotReadyError(f"container {self.id[:12]} uses this machine's own /etc/hosts, which is left alone")
        return Path(found["HostsPath"])

    # -- where it is

    def must_be_here(self) -> None:
        """Raises NotReadyError where its processes are not those of this machine."""
        if self.is_remote:
            raise NotReadyError(
                f"container {self.id[:12]} runs on the engine at {shown(self.engine)}: its processes and its network "
                "are out of reach from here; run chaosctl on the engine's machine, without DOCKER_HOST"
            )


def checked(chain: str) -> str:
    """Return the name of a chain. Raises NotReadyError for one that could be read as something else."""
    if _CHAIN.fullmatch(chain) is None:
        raise NotReadyError(f"{chain!r} is not the name of a chain")
    return chain


def firewall_lacks() -> str | None:
    """Return what this machine lacks to change rules in a container's network namespace, None if nothing."""
    if tools := missing(_TOOLS):
        return f"{tools}; install {_PACKAGES}"
    return None if os.geteuid() == 0 else "nsenter and iptables are here, but need root; run chaosctl as root"


def missing(tools: Sequence[str]) -> str | None:
    """Return which of these programs are not on this machine, in words; None if all are."""
    absent = [tool for tool in tools if shutil.which(tool, path=_path()) is None]
    return f"{' and '.join(absent)} not on PATH" if absent else None


def path_of(tool: str) -> str:
    """Return where a program is that is not missing."""
    return str(shutil.which(tool, path=_path()))


def _path() -> str:
    # Where Debian puts them, which the PATH of an ordinary user leaves out.
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def inside(
    namespace: str, argv: Sequence[str], text: str = "", needs: Sequence[str] = _TOOLS, packages: str = _PACKAGES
) -> str:
    """Run a program of this machine in a network namespace and return what it prints. `packages` have the programs that
    it `needs`. Raises NotReadyError."""
    if tools := missing(needs):
        raise NotReadyError(f"{tools}: needed for faults on packets; install {packages}")
    try:
        ran = subprocess.run(
            [path_of("nsenter"), f"--net={namespace}", "--", path_of(argv[0]), *argv[1:]],
            input=text,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReadyError(f"{argv[0]} in a container's network namespace: {error}") from error
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or ["it said nothing"])[0][:200]
        mend = "run chaosctl as root" if "ermission" in said or "not permitted" in said else "see `chaosctl doctor`"
        raise NotReadyError(f"{argv[0]} in a container's network namespace failed: {said}; {mend}")
    return ran.stdout
