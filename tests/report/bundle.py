"""A small run with known truth, written as a real bundle: a latency fault, then a kill with an outage of 1.5 s."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from chaosctl.plan.model import Phase, Plan, PlannedFault, PlannedProxy, Step
from chaosctl.recording.model import Outcome
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import RunWriter
from chaosctl.verify.contract import Evidence, Finding, Quantity, Status, Verdict

S = 1_000_000_000
MS = 1_000_000
LOAD_NS = 2 * S
OUTAGE_NS = (16 * S, 17_500 * MS)
SLOW_NS = (7 * S, 11 * S)
HOSTILE = "</script><script>alert(1)</script>&'\"\\ `|[x](http://evil.example) [red]\x1b[31m\n@all"


def plan(hypothesis: str = "Players play again within 3 s.") -> Plan:
    faults = (
        PlannedFault("f1-latency", "latency", "link", "gateway-world", {"latency_ns": 80 * MS}, 5 * S, 9 * S),
        PlannedFault("f2-kill", "kill", "service", "world", {}, 14 * S, None),
    )
    phases = (
        Phase("ramp", 0, 2 * S),
        Phase("baseline", 2 * S, 5 * S),
        Phase("timeline", 5 * S, 25 * S),
    )
    steps = (
        Step(5 * S, "inject", "f1-latency"),
        Step(9 * S, "heal", "f1-latency"),
        Step(14 * S, "inject", "f2-kill"),
        Step(25 * S, "heal_all"),
    )
    proxies = (PlannedProxy("bots-gateway", "bots-gateway", None, "gateway", 0, "main"),)
    return Plan(
        1, "world-crash", hypothesis, "sha256:0123abcd", 7, phases, faults, steps, proxies, (),
        ("ledger", "world", "gateway"), "bots-gateway", "bots-gateway", 50 * MS, S, {"lost_acks": {"at_most": 0}},
    )  # fmt: skip


def write_load(run: RunWriter, error: str = "connection reset", per_s: int = 40) -> None:
    rng = random.Random(1)
    with_probe = ("probe-relay", "probe-direct")
    swarm = run.samples("swarm-0", open_loop=True)
    probes = {name: run.samples(name, open_loop=True) for name in with_probe}
    for index in range(25 * per_s):
        at = LOAD_NS + index * S // per_s
        slow = 80 * MS if SLOW_NS[0] <= at < SLOW_NS[1] else 0
        if OUTAGE_NS[0] <= at < OUTAGE_NS[1]:
            outcome = Outcome.FAIL if index % 3 else Outcome.INFO
            swarm.add(at, at, at + MS if index % 3 else -1, outcome, "near-1", "move", "near", error)
        else:
            swarm.add(at, at, at + slow + int(rng.lognormvariate(1.5, 0.6) * MS), Outcome.OK, "near-1", "move", "near")
    for index in range(25 * 20):
        at = LOAD_NS + index * 50 * MS
        out = OUTAGE_NS[0] <= at < OUTAGE_NS[1]
        for name, writer in probes.items():
            slow = 80 * MS if name == "probe-relay" and SLOW_NS[0] <= at < SLOW_NS[1] else 0
            end = at + slow + int(rng.uniform(0.5, 1.5) * MS)
            writer.add(at, at, end, Outcome.FAIL if out else Outcome.OK, name, "hello", "probe", "refused" * out)
    for writer in (swarm, *probes.values()):
        writer.close()


def write_events(run: RunWriter) -> None:
    write = run.events.write
    write("run_started", at_ns=0, wall="2026-01-02T03:04:05Z", run_id="run-1")
    write("phase", at_ns=0, name="up")
    write("phase", at_ns=LOAD_NS, name="ramp")
    write("load_started", at_ns=LOAD_NS)
    write("phase", at_ns=LOAD_NS + 2 * S, name="baseline")
    write("phase", at_ns=LOAD_NS + 5 * S, name="timeline")
    write("service_exited", at_ns=16 * S, service="world", replica=0, signal="SIGKILL", expected=False)
    write("service_ready", at_ns=17 * S, service="world", replica=0)
    for second in range(25):
        write("generator", at_ns=LOAD_NS + second * S, worker=0, lag_ms_p99=1.0 + second % 3, cpu_share=0.3)
    write("phase", at_ns=LOAD_NS + 25 * S, name="settle")
    write("load_ended", at_ns=LOAD_NS + 25 * S)
    write("service_exited", at_ns=LOAD_NS + 27 * S, service="world", replica=0, code=0, expected=True)


def full_bundle(folder: Path, **load: Any) -> Recording:
    """Write a whole run and open it."""
    run = RunWriter.create(folder, origin_ns=0)
    run.start("name: world-crash\n", "{}", run_json())
    write_events(run)
    write_load(run, **load)
    run.end("completed")
    return Recording(folder, run_json(), plan())


def empty_bundle(folder: Path) -> Recording:
    """Write a run that was interrupted before its load began."""
    run = RunWriter.create(folder, origin_ns=0)
    run.start("name: world-crash\n", "{}", run_json())
    run.events.write("run_started", at_ns=0, run_id="run-1")
    run.events.write("interrupted", at_ns=S, signal="SIGINT")
    run.events.close()
    return Recording(folder, run_json(), plan())


def run_json() -> dict[str, Any]:
    return {"run_id": "run-1", "command": ["chaosctl", "run", "experiments/a b.yaml", "--out", "/x", "--seed", "7"]}


def finding(name: str = "recovery.serviceable", status: Status = Status.PASS, why: str = "", **other: Any) -> Finding:
    fields: dict[str, Any] = {
        "checker": name.split(".")[0],
        "op": "<=",
        "expected": Quantity(3 * S, "ns"),
        "measured": Quantity(1.25 * S, "ns"),
        "uncertainty": 50 * MS,
        "evidence": (),
    }
    return Finding(name=name, status=status, why=why, **{**fields, **other})


LOST = finding(
    "lost_acks",
    Status.FAIL,
    "3 acknowledged operations are gone; the oldest was 1.2 s old.",
    op="=",
    expected=Quantity(0, "operations"),
    measured=Quantity(3, "operations"),
    uncertainty=0,
    evidence=(Evidence("history.jsonl", "id 17", "near-3 was told that coin 41 was added; no later read has it"),),
)
UNSEEN = finding(
    "latency.p99", Status.INCONCLUSIVE, "No operation finished in the steady window.", measured=Quantity(None, "ns")
)
LATE = finding("recovery.steady", Status.FAIL, "Never seen.", measured=Quantity(12 * S, "ns", censored=True))

DIVERGENCE = {
    "run": "replay-1",
    "against": "live",
    "code": 0,
    "ticks": 400,
    "compared": 400,
    "why_not": None,
    "first_divergence": 37,
    "digests": ["aa", "bb"],
    "parts": ["players"],
    "inputs": ['{"tick": 37, "move": "n"}'],
    "diff": [
        {"path": "players.near-3.gold", "left": 10, "right": 12, "left_run": "live", "right_run": "replay-1"},
        {"path": "clock", "left": "(absent)", "right": HOSTILE, "left_run": "live", "right_run": "replay-1"},
    ],
}


SAME = {"run": "replay-1", "against": "live", "compared": 400, "first_divergence": None, "why_not": None}


def verdict(status: Status = Status.PASS, *findings: Finding, **other: Any) -> Verdict:
    """A verdict over the full bundle."""
    fields: dict[str, Any] = {
        "schema_version": 1,
        "experiment": "world-crash",
        "run_id": "run-1",
        "seed": 7,
        "status": status,
        "exit_code": {Status.PASS: 0, Status.FAIL: 1, Status.INCONCLUSIVE: 6}[status],
        "objectives": findings or (finding(),),
        "faults": (
            _fault("f1-latency", "latency", "gateway-world", SLOW_NS[0], SLOW_NS[1], "+80.3 ms through the relay"),
            _fault("f2-kill", "kill", "world", OUTAGE_NS[0], None, "process 41 ended by SIGKILL"),
        ),
        "recovery": (_recovery(),),
        "rollback": (),
        "replays": (SAME,),
        "relay": {"kind": "toxiproxy", "version": "2.12.0", "started_by_us": True},
        "generator": {"bottleneck": False, "lag_ms_p99": 2.5, "cpu_share": 0.31},
        "environment": {"python": "3.11.2", "cores": 2},
        "ended": "completed",
        "notes": (),
    }
    return Verdict(**{**fields, **other})


def _fault(id: str, kind: str, on: str, at_ns: int, healed_ns: int | None, proof: str) -> dict[str, Any]:
    times = {
        "due_ns": at_ns,
        "requested_ns": at_ns,
        "applied_ns": at_ns + MS,
        "returned_ns": at_ns + 2 * MS,
        "healed_ns": healed_ns,
    }
    return {"id": id, "kind": kind, "on": on, **times, "proved": True, "proof": proof}


def _recovery() -> dict[str, Any]:
    return {
        "fault": "f2-kill", "kind": "kill", "on": "world", "called_ns": OUTAGE_NS[0], "returned_ns": OUTAGE_NS[0] + MS,
        "healed_ns": None, "censored_ns": 27 * S, "uncertainty_ns": 50 * MS, "last_good_ns": 15_950 * MS,
        "first_error_ns": OUTAGE_NS[0] + 20 * MS, "first_good_ns": OUTAGE_NS[1], "serviceable_ns": 17_550 * MS,
        "steady_ns": None, "relapses": 0, "sessions_kept": 0, "sessions_resumed": 190, "sessions_lost": 10,
        "outages": {"refused": 28, "reset": 2},
    }  # fmt: skip
