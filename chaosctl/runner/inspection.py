"""What is looked at when the load is over: digests over a kill, and replays of the recorded input log."""

from __future__ import annotations

import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaosctl.clock import Clock
from chaosctl.deploy.contract import Driver
from chaosctl.errors import ChaosctlError, NotReadyError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Ask, Replay
from chaosctl.plan.model import Plan
from chaosctl.recording.factors import Factor
from chaosctl.replay.canary import Sighting
from chaosctl.replay.minimise import minimise
from chaosctl.replay.perturbed import Perturbing
from chaosctl.replay.run import ReplayRun, collect
from chaosctl.replay.tamper import tamper
from chaosctl.runner.asking import Roles
from chaosctl.runner.children import ask_url
from chaosctl.runner.roles import leader_or_first
from chaosctl.runner.stopping import Stop
from chaosctl.runner.timeline import Record

ANSWER_WITHIN_S = 5.0
BACKUP_WITHIN_S = 60.0
ANSWER_WITHIN_NS = 15_000_000_000
ASK_AGAIN_NS = 100_000_000
DEATH_WITHIN_S = 5.0


@dataclass(frozen=True)
class Inspection:
    """Looks at the target after the load, as far as the objectives ask for it. Everything seen goes to `record`."""

    loaded: Loaded
    plan: Plan
    driver: Driver
    folder: Path
    environ: Mapping[str, str]
    record: Record
    stop: Stop
    clock: Clock

    def compare_digests(self) -> None:
        """Ask every service that offers a digest for it, kill it, start it (also with a backup), and ask again."""
        wanted = self.plan.objectives.get("same_digest")
        if wanted is None:
            return
        for name, service in self.loaded.experiment.target.services.items():
            if service.offers.digest is not None:
                self._compare_digests_of(name, service.offers.digest, wanted["after"])

    def _compare_digests_of(self, name: str, ask: Ask, after: Sequence[str]) -> None:
        offers = self.loaded.experiment.target.services[name].offers
        with tempfile.TemporaryDirectory(prefix="chaosctl-backup-", ignore_cleanup_errors=True) as scratch:
            backup = {"backup": str(Path(scratch) / "backup")}
            self._observe_digest(name, ask, "before")
            failed = self._done(name, "backup", offers.backup, backup) if "restore" in after else None
            if "kill" in after:
                self._kill_and_start(name)
                self._observe_digest(name, ask, "after")
                self.stop.check()
            if "restore" in after:
                if failed is None:
                    failed = self._kill_and_start(name, lambda: self._done(name, "restore", offers.restore, backup))
                if failed is None:
                    self._observe_digest(name, ask, "restored")
                else:
                    self.record("observed", what="digest", service=name, moment="restored", ok=False, error=failed)
                self.stop.check()

    def _done(self, service: str, what: str, command: Sequence[str] | None, values: Mapping[str, str]) -> str | None:
        """Run what the service offers. Return why that did not work."""
        if command is None:
            return f"it offers no {what}"
        try:
            self._output(service, command, values, BACKUP_WITHIN_S)
        except subprocess.TimeoutExpired:
            return f"{what}: it did not end within {BACKUP_WITHIN_S:g} s"
        except (ChaosctlError, OSError, subprocess.SubprocessError) as error:
            return f"{what}: {error}"
        return None

    def log_keepers(self) -> Mapping[str, int]:
        """Return whose input log says what happened, for each service with several replicas: the leader's, where one
        says that it is. To be asked while they run."""
        if "replay" not in self.plan.objectives:
            return {}
        target = self.loaded.experiment.target
        roles = Roles(target, self.driver, self.environ)
        several = [name for name, one in target.services.items() if one.replicas > 1 and one.offers.input_log]
        return {name: leader_or_first(roles.ask(name)) for name in several}

    def replay(self, log_keepers: Mapping[str, int]) -> None:
        """Collect what services leave for a replay, and replay it as often as the objective says."""
        wanted = self.plan.objectives.get("replay")
        if wanted is None:
            return
        for name, service in self.loaded.experiment.target.services.items():
            if service.offers.replay is None or service.offers.input_log is None:
                continue
            index = log_keepers.get(name, 0)
            values = self.driver.values(name, index)
            where = self.loaded.folder / service.folder
            found = collect(service.offers, service=name, index=index, values=values, folder=where, bundle=self.folder)
            for sentence in found.missing:
                self.record("note", text=sentence)
            if found.input_log is not None:
                self._replay(service.offers.replay, found.input_log, where, {**self.environ, **service.env}, wanted)

    def _replay(
        self, replay: Replay, input_log: Path, folder: Path, env: Mapping[str, str], wanted: Mapping[str, Any]
    ) -> None:
        """Replay plainly, under each factor that is to be perturbed, and with changed logs; minimise what parted."""
        perturbing = Perturbing(
            replay, input_log, self.folder, folder, env, self.stop.event, self._record_canary, self._record_replay
        )
        factors = [Factor(name) for name in wanted.get("perturb", ())]
        perturbing.plain_and_all(int(wanted["runs"]), factors)
        for tampered in tamper(perturbing, self.plan.seed, int(wanted.get("tamper") or 0)):
            self.record("tampered", **asdict(tampered))
        if wanted.get("minimise_ns"):
            for found in minimise(perturbing, factors, int(wanted["minimise_ns"]), self.folder):
                self.record("minimised", **asdict(found))

    def _record_replay(self, run: ReplayRun) -> None:
        self.record("replay_finished", **run.as_event())

    def _record_canary(self, sighting: Sighting) -> None:
        self.record("replay_canary", **asdict(sighting))

    def _kill_and_start(self, service: str, while_down: Callable[[], str | None] = lambda: None) -> str | None:
        """Kill it, do something, and start it. Return why that something did not work."""
        process = self.driver.process(service, 0)
        pid = process.pid()
        if pid is None:
            return "it was down"  # the next question will find nothing, and the verdict will say so
        process.hold_down()
        try:
            process.signal("SIGKILL")
            process.exit_of(pid, DEATH_WITHIN_S)
            return while_down()
        finally:
            process.release()

    def _observe_digest(self, service: str, ask: Ask, moment: str) -> None:
        """Ask until there is an answer or the bound is reached: a service that was just started may not listen yet."""
        until_ns = self.clock.now_ns() + ANSWER_WITHIN_NS
        while True:
            try:
                digest = self._answer(service, ask).strip()
            except (ChaosctlError, OSError, ValueError, subprocess.SubprocessError) as error:
                said = str(error) or type(error).__name__
            else:
                self.record("observed", what="digest", service=service, moment=moment, ok=True, digest=digest)
                return
            pause_until_ns = self.clock.now_ns() + ASK_AGAIN_NS
            if pause_until_ns > until_ns or not self.clock.sleep_until(pause_until_ns, self.stop.event):
                self.record("observed", what="digest", service=service, moment=moment, ok=False, error=said)
                return

    def _answer(self, service: str, ask: Ask) -> str:
        """Ask once. Raises what the ways of asking raise."""
        values = self.driver.values(service, 0)
        if ask.http is not None:
            with urllib.request.urlopen(ask_url(ask.http, values), timeout=ANSWER_WITHIN_S) as response:
                return str(response.read().decode())
        return self._output(service, ask.command or (), {}, ANSWER_WITHIN_S)

    def _output(self, service: str, command: Sequence[str], more: Mapping[str, str], within_s: float) -> str:
        """Run a command of the service and return what it prints. Raises what the ways of asking raise."""
        argv = expand(command, {**self.driver.values(service, 0), **more})
        where = self.loaded.folder / self.loaded.experiment.target.services[service].folder
        done = subprocess.run(
            argv,
            cwd=where,
            env=dict(self.environ),
            capture_output=True,
            timeout=within_s,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            raise NotReadyError(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
        return done.stdout
