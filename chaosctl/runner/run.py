"""One run: bring the target, the relay, the swarm and the probe up; play the plan; look at what is left; tear down.

Whatever happens on the way (an error, a signal, a part of ours that dies), faults are healed, everything started is
ended, and the bundle says how the run ended. Judging is not done here: it reads the bundle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chaosctl.clock import Clock
from chaosctl.deploy.attached import AttachedDriver
from chaosctl.deploy.compose import ComposeDriver
from chaosctl.deploy.contract import Driver, Replica, Setup
from chaosctl.deploy.docker import DockerDriver
from chaosctl.deploy.external import ExternalDriver
from chaosctl.deploy.process import ProcessDriver
from chaosctl.errors import ChaosctlError
from chaosctl.experiment.loader import Loaded
from chaosctl.faults.contract import Fault
from chaosctl.plan.model import Plan
from chaosctl.probe.launcher import ProbeProcess
from chaosctl.recording.writer import RunWriter
from chaosctl.runner.abilities import refuse_what_lacks
from chaosctl.runner.asking import Roles
from chaosctl.runner.children import probe_config, swarm_config
from chaosctl.runner.desks import Desks
from chaosctl.runner.inspection import Inspection
from chaosctl.runner.journalist import Journalist, View
from chaosctl.runner.links import link_addresses, open_links, place_of
from chaosctl.runner.relays import Carrier, WantedRelay, start_carrier
from chaosctl.runner.sampling import Sampling
from chaosctl.runner.stop_conditions import StopConditions
from chaosctl.runner.stopping import Reason, Stop, signals_stop
from chaosctl.runner.timeline import Stage, Timeline
from chaosctl.runner.watching import watch_lever, watch_relay
from chaosctl.safety import lever, runs
from chaosctl.safety.journal import UndoJournal, journal_path, play_pending
from chaosctl.safety.keeper_client import Keeper
from chaosctl.safety.label import labelled
from chaosctl.safety.undo import play
from chaosctl.swarm.launcher import Swarm

# From the moment everything is ready to the first step, so that the first step is not late.
HEAD_START_NS = 200_000_000
# Under this name the journal knows what takes the run's links off the relay again.
LINKS = "links"
# And under this one what takes its containers away.
SERVICES = "services"


@dataclass(frozen=True)
class RunOptions:
    """How to run, apart from what."""

    run_id: str
    relay: WantedRelay


class Run:
    """One run of one plan into one new bundle. Use `execute` once."""

    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        faults: Mapping[str, Fault],
        options: RunOptions,
        writer: RunWriter,
        view: View,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._loaded = loaded
        self._target = loaded.experiment.target
        self._plan = plan
        self._faults = faults
        self._options = options
        self._writer = writer
        self._folder: Path = writer.folder
        self._origin_ns = writer.origin_ns
        self._clock = clock
        self._environ = labelled(environ, options.run_id)
        self._stop = Stop()
        self._lever = lever.read()
        self._journalist = Journalist(writer.events, view, lambda why: self._stop.request("error", why))
        self._record = self._journalist.record
        self._conditions = StopConditions(
            conditions=loaded.experiment.stop_when,
            folder=loaded.folder,
            environ=self._environ,
            clock=clock,
            origin_ns=self._origin_ns,
            on_held=self._on_condition,
        )
        self._undoing = ExitStack()
        self._closing = threading.Event()
        self._keeper: Keeper | None = None
        self._carrier: Carrier | None = None
        self._journal = UndoJournal(journal_path(self._folder))

    def execute(self) -> Reason:
        """Run from start to end, and return how it ended. Raises nothing expected."""
        how = Reason("completed", "")
        with signals_stop(self._stop, self._on_first_signal, self._end_everything):
            try:
                with self._undoing:
                    self._play()
                if self._stop.reason is not None and not self._stop.event.is_set():
                    how = self._stop.reason
            except ChaosctlError as error:
                how = self._stop.reason or Reason("failed", str(error))
            except Exception as error:
                how = Reason("error", f"{type(error).__name__}: {error}")
                raise
            finally:
                self._journalist.end(self._writer, how.ended, how.text)
        return how

    def _play(self) -> None:
        try:
            self._bring_up()
            self._load()
            self._look_at_what_is_left()
            self._phase("down")
        finally:
            self._closing.set()  # from here on, what ends is ended by us

    # Bringing up, in the order in which one thing needs another; each thing pushes its own end onto the stack.

    def _bring_up(self) -> None:
        self._phase("up")
        refuse_what_lacks(self._plan, self._faults, self._target.driver)
        keeper = Keeper.start(
            run_id=self._options.run_id,
            bundle=self._folder,
            origin_ns=self._origin_ns,
            on_lost=lambda why: self._lost("keeper", why),
        )
        self._keeper = keeper
        self._on_end("keeper", lambda: self._close(keeper))
        runs.register(self._options.run_id, self._folder, journal_path(self._folder), keeper.pid)
        self._obey_lever()
        self._driver = self._make_driver(keeper)
        if undo := self._driver.undo():
            self._journal.write(SERVICES, undo)
            self._on_end("services", self._down)
        replicas = self._driver.allocate()
        if images := self._driver.images():
            self._writer.add_to_run({"images": images})
        run_id, options = self._options.run_id, self._options
        carrier = start_carrier(options.relay, self._plan, self._driver, replicas, run_id, self._folder, self._environ)
        self._carrier, self._relay = carrier, carrier.relay
        self._on_end("relay", self._close_relay)
        watching = (self._relay, self._carried_after, lambda why: self._lost("relay", why))
        threading.Thread(target=watch_relay, args=watching, name="relay watch", daemon=True).start()
        self._record("relay", **asdict(self._relay.info), in_container=carrier.container is not None)
        self._journal.write(LINKS, carrier.undo(self._plan, run_id))
        self._links = open_links(self._plan, carrier.wiring, self._relay, run_id)
        self._start_everything(replicas)

    def _make_driver(self, keeper: Keeper) -> Driver:
        setup = Setup(
            self._target,
            self._loaded.folder,
            self._folder.absolute(),
            self._options.run_id,
            self._origin_ns,
            self._record,
            self._plan.start_order,
            self._environ,
            self._stop.event,
            self._lost,
        )
        if self._target.driver == "process":
            return ProcessDriver(setup, keeper)
        if self._target.driver == "compose":
            return (AttachedDriver if self._target.compose.attach else ComposeDriver)(setup)
        return (DockerDriver if self._target.driver == "docker" else ExternalDriver)(setup)

    def _obey_lever(self) -> None:
        """Look once now that the run is registered: either who pulls the lever sees the run, or the run the pull."""
        if (halt := lever.pulled_since(self._lever)) is not None:
            self._stopped(f"halted {halt}")
            self._stop.check()
        watching = (self._lever, self._over_after, self._stopped)
        threading.Thread(target=watch_lever, args=watching, name="lever watch", daemon=True).start()

    def _start_everything(self, replicas: tuple[Replica, ...]) -> None:
        # Locust takes seconds to import, so the swarm gets ready while the services do.
        self._swarm = Swarm(
            swarm_config(self._loaded, self._plan, self._options.run_id, self._links, self._folder, self._origin_ns),
            on_message=self._on_child("swarm"),
            env=self._environ,
            log_path=self._folder / "logs" / "swarm.log",
        )
        self._on_end("swarm", self._swarm.stop)
        self._on_end("services", self._down)
        with ThreadPoolExecutor(1) as pool:
            swarm_ready = pool.submit(self._swarm.start)
            try:
                self._driver.up(link_addresses(self._links))
            except BaseException:
                self._swarm.stop()  # or the pool would wait for a swarm that nobody needs
                raise
            swarm_ready.result()
        self._stop.check()
        self._probe = ProbeProcess(
            probe_config(
                self._loaded,
                self._plan,
                self._options.run_id,
                self._driver,
                replicas,
                self._links,
                self._folder,
                self._origin_ns,
            ),
            on_message=self._on_child("probe"),
            env=self._environ,
            log_path=self._folder / "logs" / "probe.log",
        )
        self._on_end("probe", self._probe.stop)
        self._probe.start()

    # The load and the faults.

    def _load(self) -> None:
        roles = Roles(self._target, self._driver, self._environ)
        desks = Desks(self._target, self._driver, self._loaded.folder, self._folder, self._environ)
        timeline = Timeline(
            self._plan,
            Stage(
                faults=self._faults,
                place_of=lambda fault: replace(
                    place_of(fault, self._target, self._links, self._driver, roles.ask, desks.of),
                    run_id=self._options.run_id,
                ),
                set_users=self._swarm.users,
                journal=self._journal,
                record=self._record,
                clock=self._clock,
                stop=self._stop.load_over,
                origin_ns=self._origin_ns,
            ),
        )
        start_ns = self._clock.now_ns() + HEAD_START_NS
        sampling = Sampling(self._target.services, self._driver, self._record, self._clock, self._origin_ns)
        conditions = self._conditions.during(start_ns, self._plan.phases[0].end_ns)
        with sampling.during(start_ns, self._plan.objectives), conditions, ExitStack() as healing:
            healing.callback(timeline.finish)
            threading.Thread(target=self._announce, args=(start_ns,), daemon=True).start()
            timeline.play(start_ns)
        self._stop.check()
        self._phase("settle")
        self._swarm.end_load(within_s=self._loaded.experiment.swarm.audit_within_ns / 1e9)
        self._record("load_ended")

    def _announce(self, start_ns: int) -> None:
        """Record the start of the load and of each phase when it comes, beside the clock that the faults are on."""
        if not self._clock.sleep_until(start_ns, self._stop.load_over):
            return
        self._record("load_started", at_ns=start_ns - self._origin_ns)
        for phase in self._plan.phases:
            if not self._clock.sleep_until(start_ns + phase.start_ns, self._stop.load_over):
                return
            self._phase(phase.name)

    # What is left behind: what bots read back, digests over a restart, the replays of the input log.

    def _look_at_what_is_left(self) -> None:
        self._stop.check()
        self._phase("audit")
        self._swarm.audit(within_s=self._loaded.experiment.swarm.audit_within_ns / 1e9)
        if self._stop.load_over.is_set():
            return  # what is ended early is ended soon: bots have read back what they were promised, and that is all
        inspection = Inspection(
            loaded=self._loaded,
            plan=self._plan,
            driver=self._driver,
            folder=self._folder,
            environ=self._environ,
            record=self._record,
            stop=self._stop,
            clock=self._clock,
        )
        inspection.compare_digests()
        self._stop.check()
        self._probe.stop()
        self._swarm.stop()
        log_keepers = inspection.log_keepers()
        self._down()
        self._phase("replay")
        inspection.replay(log_keepers)
        self._stop.check()

    # The end, on every way out.

    def _on_end(self, what: str, end: Callable[[], Any]) -> None:
        """Push a teardown step that is taken whatever else fails, and whose failure is recorded."""

        def step() -> None:
            try:
                end()
            except ChaosctlError as error:
                self._record("cleanup_failed", what=f"{what}: {error}")

        self._undoing.callback(step)

    def _close(self, keeper: Keeper) -> None:
        """The last step: what is left by now is named, and otherwise nothing of the run is left to restore."""
        left = keeper.end_everything()
        left += keeper.close(forget=not left)
        for sentence in left:
            self._record("cleanup_failed", what=sentence)
        # What could not be healed may be gone by now, with the relay or the process that it was in force on.
        play_pending(self._journal.path)
        if not left and not self._journal.pending():
            runs.unregister(self._options.run_id)

    def _close_relay(self) -> None:
        if self._carrier is not None:
            self._carrier.close()
            if self._carrier.container is not None:
                self._journal.relay_is_gone(self._relay.info.api_url)
        self._undone(LINKS)

    def _down(self) -> None:
        if self._carrier is not None:
            self._carrier.before_down()
        left = self._driver.down()
        for sentence in left:
            self._record("cleanup_failed", what=sentence)
        if not left:
            self._undone(SERVICES)

    def _undone(self, what: str) -> None:
        for entry in self._journal.pending():
            if entry.fault_id == what:
                self._journal.done(entry.seq)

    def _on_first_signal(self, name: str) -> None:
        self._record("interrupted", signal=name)

    def _end_everything(self) -> None:
        """A second signal: no graces; everything of the run is killed, and the teardown finds it gone."""
        if self._keeper is not None:
            self._keeper.end_everything()
        for entry in self._journal.pending():
            if entry.fault_id == SERVICES:
                for action in entry.actions:
                    play(action)

    def _lost(self, part: str, why: str) -> None:
        if not self._stop.event.is_set():
            self._record("crashed", part=part, why=why)
            self._stop.request("crashed", f"{part}: {why}")

    def _stopped(self, condition: str) -> None:
        self._record("stopped", condition=condition)
        self._stop.request("stopped", condition)

    def _on_condition(self, condition: str) -> None:
        if self._stop.end_load("stopped", condition):
            self._record("stopped", condition=condition)

    def _carried_after(self, wait_s: float) -> bool:
        return self._over_after(wait_s) or (self._carrier is not None and self._carrier.over.is_set())

    def _over_after(self, wait_s: float) -> bool:
        return self._stop.event.wait(wait_s) or self._closing.is_set()

    def _on_child(self, part: str) -> Callable[[Mapping[str, Any]], None]:
        def on_message(message: Mapping[str, Any]) -> None:
            if message.get("event") == "crashed":
                self._lost(part, str(message.get("why", "")))
            else:
                self._journalist.pass_on(message)
                self._conditions.take(message)

        return on_message

    def _phase(self, name: str) -> None:
        self._record("phase", name=name)
