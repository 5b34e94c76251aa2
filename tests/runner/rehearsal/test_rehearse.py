"""A dry run says what every fault would do and what undoes it, the same each time, and starts nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.testing import CliRunner

from chaosctl.cli.app import app
from chaosctl.errors import NotReadyError
from chaosctl.experiment.loader import load_experiment
from chaosctl.faults.registry import fault_kinds, faults
from chaosctl.plan.build import build_plan
from chaosctl.runner.rehearsal.notes import Call
from chaosctl.runner.rehearsal.rehearse import rehearse
from chaosctl.runner.relays import WantedRelay
from chaosctl.verify.registry import objective_kinds

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests/e2e/tiny/tiny.yaml"
TEXTS = {path: path.read_text() for path in ROOT.glob("experiments/*/*.yaml")}
EXPERIMENTS = sorted(path for path, text in TEXTS.items() if "\nname:" in text)


def calls_of(path: Path = TINY, *overrides: str, relay_url: str | None = None) -> tuple[Call, ...]:
    loaded = load_experiment(path, fault_kinds(), objective_kinds(), overrides=overrides, environ=os.environ)
    return rehearse(loaded, build_plan(loaded, 7, fault_kinds()), faults(), WantedRelay(url=relay_url))


def told(calls: Sequence[Call], by: str) -> list[str]:
    return [call.what for call in calls if call.by == by]


def item(text: str) -> str:
    return f"timeline=[{text}]"


def test_services_ports_and_proxies_are_named_before_there_are_any() -> None:
    calls = calls_of()
    (start,) = [call for call in calls if call.by == "tiny[0]" and call.stage == "up"]
    assert start.what == (
        "start python3 server.py <tiny[0].main> <tiny[0].state>/store, with TINY_MOOD set, ready within 10s"
    )
    assert start.undo == ("SIGTERM, after 5s SIGKILL",)
    (proxy,) = [call for call in calls if call.what.startswith("POST http://<relay>/proxies {")]
    assert '"upstream": "<tiny[0].main>"' in proxy.what
    assert proxy.undo == ("DELETE http://<relay>/proxies/chaosctl.RUN.bots-tiny.all.0",)


def test_a_toxic_is_added_and_taken_off_at_its_times() -> None:
    calls = calls_of(TINY, item("{ at: 1s, for: 2s, fault: latency, on: bots-tiny, latency: 60ms }"))
    (added,) = [call for call in calls if call.by == "f1-latency"]
    (gone,) = [call for call in calls if call.by == "f1-latency heals"]
    assert (added.at_ns, gone.at_ns) == (2_500_000_000, 4_500_000_000)
    assert added.what.endswith(
        '/toxics {"name": "chaosctl-f1-latency-downstream", "type": "latency", "stream": "downstream", '
        '"toxicity": 1.0, "attributes": {"latency": 60, "jitter": 0}}'
    )
    assert added.undo == (gone.what,) == (
        "DELETE http://<relay>/proxies/chaosctl.RUN.bots-tiny.all.0/toxics/chaosctl-f1-latency-downstream",
    )  # fmt: skip


def test_a_kill_is_followed_by_what_brings_it_back() -> None:
    at_once = calls_of(TINY, item("{ at: 0s, fault: kill, on: tiny }"))
    assert told(at_once, "f1-kill") == [
        "SIGKILL to tiny[0]",
        "start tiny[0] 200ms after its end (its restart policy)",
    ]
    held = calls_of(TINY, item("{ at: 0s, for: 1s, fault: kill, on: tiny }"))
    assert told(held, "f1-kill") == ["hold tiny[0] down", "SIGKILL to tiny[0]"]
    assert told(held, "f1-kill heals") == ["start tiny[0] if it is down"]


def test_what_a_fault_does_beside_the_clock_is_there_too() -> None:
    restart = calls_of(TINY, item("{ at: 0s, fault: restart, on: tiny }"))
    assert told(restart, "f1-restart")[-5:] == [
        "SIGTERM to tiny[0]",
        "wait for the end of tiny[0], for 1s at most",
        "if it still runs: SIGKILL to tiny[0]",
        "wait for the end of tiny[0]",
        "start tiny[0] if it is down",
    ]
    deploy = "{ at: 0s, for: 1s, fault: deploy, on: tiny, version: '2', env: { SECRET: xyzzy } }"
    calls = calls_of(TINY, item(deploy))
    assert told(calls, "f1-deploy")[0] == "from now on tiny[0] starts as version 2 with SECRET set"
    assert told(calls, "f1-deploy")[-1] == "start tiny[0] as version 2 if it is down"
    assert told(calls, "f1-deploy heals")[-1] == "start tiny[0] if it is down"
    assert "xyzzy" not in str(calls)


class Refusing:
    """A kill that cannot be done."""

    kind = faults()["kill"].kind

    def prepare(self, *_: Any) -> tuple[()]:
        return ()

    def inject(self, *_: Any) -> None:
        raise NotReadyError("there is nobody to kill")

    def restore(self, *_: Any) -> None:
        """Nothing was done."""


def test_a_disk_is_made_before_its_service_starts_and_goes_after_it() -> None:
    calls = calls_of(TINY, item("{ at: 0s, for: 1s, fault: disk_full, on: tiny }"), "target.services.tiny.disk=16MiB")
    what = told(calls, "tiny[0]")
    assert what[0] == "make a disk of 16MiB in the file <tiny[0].state>.disk and mount it at <tiny[0].state>"
    assert (what[1].partition(" ")[0], what[-1]) == ("start", "unmount its disk; what is on it stays")
    assert told(calls, "f1-disk_full") == ["fill the disk of tiny[0] with <tiny[0].state>/chaosctl-filler but for 0B"]
    assert told(calls, "f1-disk_full heals") == ["remove <tiny[0].state>/chaosctl-filler"]


def test_what_would_fail_says_so() -> None:
    loaded = load_experiment(TINY, fault_kinds(), objective_kinds(), environ=os.environ)
    refusing: dict[str, Any] = {**faults(), "kill": Refusing()}
    calls = rehearse(loaded, build_plan(loaded, 7, fault_kinds()), refusing)
    assert told(calls, "f2-kill") == ["fails: there is nobody to kill"]


def test_a_pause_is_undone_by_the_signal_to_the_same_process() -> None:
    calls = calls_of(TINY, item("{ at: 0s, for: 1s, fault: pause, on: tiny }"))
    (paused,) = [call for call in calls if call.by == "f1-pause"]
    assert (paused.what, paused.undo) == ("SIGSTOP to tiny[0]", ("SIGCONT to tiny[0]",))
    assert told(calls, "f1-pause heals") == ["SIGCONT to tiny[0]"]


FOR_PROCESSES = sorted(name for name, kind in fault_kinds().items() if not kind.needs_containers)


@pytest.mark.parametrize("kind", FOR_PROCESSES)
def test_every_kind_of_fault_can_be_rehearsed(kind: str) -> None:
    made = fault_kinds()[kind]
    place = "bots-tiny" if made.acts_on == "link" else "tiny"
    example = re.sub(r"\bon: [^,}]+", f"on: {place} ", made.example)
    if kind == "rollback":
        example = f"{{ at: 0s, fault: deploy, on: tiny, version: '2', env: {{ A: b }} }}, {example}"
    calls = calls_of(TINY, item(example), "duration=300s", "target.services.tiny.disk=16MiB")
    assert [call for call in calls if call.by.endswith(f"-{kind}") and not call.what.startswith("fails")]


def test_on_a_relay_of_somebody_else_s_what_was_made_is_deleted() -> None:
    calls = calls_of(TINY, relay_url="http://10.0.0.1:8474")
    assert told(calls, "relay")[0] == "attach to http://10.0.0.1:8474"
    assert told(calls, "relay")[-1] == "DELETE http://10.0.0.1:8474/proxies/chaosctl.RUN.bots-tiny.all.0"


def test_what_runs_already_is_neither_started_nor_ended(tmp_path: Path) -> None:
    text = """\
        name: theirs
        hypothesis: They do not mind.
        target:
          driver: external
          services:
            shop: { addresses: { main: ["10.0.0.1:80", "10.0.0.2:80"] } }
          links:
            bots-shop: { to: shop }
        swarm: { bots: bots.py:Adder, users: 1 }
        timeline:
          - { at: 0s, for: 1s, fault: command, on: "shop[1]", inject: [ssh, b, stop], heal: [ssh, b, start] }
        duration: 3s
        objectives: { errors: { at_most: 5% } }
        """
    (tmp_path / "bots.py").touch()
    (tmp_path / "theirs.yaml").write_text(dedent(text))
    calls = calls_of(tmp_path / "theirs.yaml")
    assert told(calls, "shop[1]") == ["use what runs at 10.0.0.2:80; lock it for this run", "unlock it; it goes on"]
    assert '"upstream": "10.0.0.1:80"' in told(calls, "relay")[1]
    assert told(calls, "f1-command") == ["run ssh b stop for shop[1], within 10 s"]
    assert told(calls, "f1-command heals") == ["run ssh b start, within 10 s"]


def test_no_engine_need_be_there() -> None:
    words = ["run", str(TINY), "--dry-run", "--set", "target.driver=docker"]
    dry = CliRunner().invoke(app, words, env={"DOCKER_HOST": "unix:///nonexistent"})
    assert dry.exit_code == 0, dry
    assert "POST /containers/<tiny[0]>/kill?signal=SIGKILL" in dry.output


def test_what_an_engine_elsewhere_cannot_do_is_refused_as_in_a_run() -> None:
    words = ["run", str(TINY), "--dry-run", "--set", "target.driver=docker", "--relay", "embedded"]
    dry = CliRunner().invoke(app, words, env={"DOCKER_HOST": "tcp://192.0.2.1:2375"})
    assert isinstance(dry.exception, NotReadyError)
    assert "do not reach a relay on this machine" in str(dry.exception)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_here_has_the_same_dry_run_each_time(path: Path) -> None:
    assert calls_of(path) == calls_of(path)
