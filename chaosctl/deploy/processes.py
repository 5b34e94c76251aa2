"""Replicas as processes of the keeper, each in a session of its own."""

from __future__ import annotations

import signal
from contextlib import suppress

from chaosctl.deploy.contract import Replica
from chaosctl.deploy.launcher import LOG_LIMIT_BYTES, Command
from chaosctl.errors import NotReadyError
from chaosctl.safety.keeper_client import Keeper, Spawned
from chaosctl.safety.label import end_processes
from chaosctl.safety.processes import running, send_signal, session_members, thread_states
from chaosctl.safety.undo import SignalUndo, Undo

_STOPPED = frozenset("Tt")


class ProcessLauncher:
    """Implements `deploy.launcher.Launcher`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def start(self, replica: Replica, command: Command) -> Spawned:
        """Have the keeper start it."""
        return self._keeper.spawn(
            replica.name, command.argv, command.env, command.folder, replica.log_path, LOG_LIMIT_BYTES
        )

    def send(self, replica: Replica, process: Spawned, name: str) -> bool:
        """Send it to the main process, and to it only."""
        try:
            return send_signal(process.pid, process.start_ticks, signal.Signals[name])
        except OSError as error:
            raise NotReadyError(f"{replica.name} did not take {name}: {error.strerror}") from error

    def runs(self, replica: Replica, process: Spawned) -> bool:
        """Look at it in /proc."""
        return running(process.pid, process.start_ticks) is not None

    def clear_away(self, process: Spawned) -> None:
        """Kill the rest of its session."""
        end_processes(self.alive(process), 0.0)

    def alive(self, process: Spawned) -> tuple[int, ...]:
        """Return the members of its session."""
        return tuple(member.pid for member in session_members(process.pid, process.start_ticks))

    def container(self, replica: Replica) -> None:
        """Return None: it is a process."""

    def freeze(self, replica: Replica, process: Spawned) -> None:
        """SIGSTOP, to the main process only: children that it forked go on."""
        if not self.send(replica, process, "SIGSTOP"):
            raise NotReadyError(f"{replica.name} has just ended: there is no process to freeze")

    def thaw(self, replica: Replica, process: Spawned) -> None:
        """SIGCONT."""
        with suppress(NotReadyError):
            self.send(replica, process, "SIGCONT")

    def thawing(self, replica: Replica, process: Spawned) -> tuple[Undo, ...]:
        """SIGCONT, as data."""
        return (SignalUndo(process.pid, process.start_ticks, "SIGCONT"),)

    def frozen(self, replica: Replica, process: Spawned) -> bool:
        """Read the kernel's word: every thread of the main process is in state T (proc(5))."""
        states = thread_states(process.pid)
        return bool(states) and states <= _STOPPED
