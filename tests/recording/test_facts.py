from __future__ import annotations

from pathlib import Path

from chaosctl.recording.facts import fault_facts, load_window, phase_windows, windows
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

END = LOAD_START + 30 * S
KILL = TrueFault(ready=TIMELINE_START + 2 * S)
SLOW = TrueFault("f2-latency", "latency", "a-b", "link", TIMELINE_START + 10 * S, heal=TIMELINE_START + 12 * S)


def test_facts_of_a_kill_and_of_a_lasting_fault(tmp_path: Path) -> None:
    kill, slow = fault_facts(make(tmp_path, Truth(faults=[KILL, SLOW])))
    assert (kill.lasting, kill.called_ns, kill.returned_ns) == (False, KILL.inject, KILL.inject + MS)
    assert (kill.healed_ns, kill.heal_called_ns) == (TIMELINE_START + 2 * S, None)
    assert (kill.proved, kill.doubt, kill.targets) == (True, None, ("world[0]",))
    assert (slow.lasting, slow.heal_called_ns, slow.healed_ns) == (True, SLOW.heal, (SLOW.heal or 0) + MS)
    assert slow.due_ns == SLOW.inject


def test_a_kill_is_over_when_every_replica_that_it_hit_is_ready(tmp_path: Path) -> None:
    fault = TrueFault(on="gateway")
    at = TIMELINE_START
    events = [
        (at - S, "service_ready", {"service": "gateway", "replica": 0}),
        (at + 1, "service_exited", {"service": "gateway", "replica": 0, "signal": "SIGKILL"}),
        (at + 2, "service_exited", {"service": "gateway", "replica": 1, "signal": "SIGKILL"}),
        (at + S, "service_ready", {"service": "gateway", "replica": 1}),
        (at + S, "service_ready", {"service": "world", "replica": 0}),
    ]
    (facts,) = fault_facts(make(tmp_path / "a", Truth(faults=[fault], events=events)))
    assert facts.healed_ns is None
    events.append((at + 3 * S, "service_ready", {"service": "gateway", "replica": 0}))
    (facts,) = fault_facts(make(tmp_path / "b", Truth(faults=[fault], events=events)))
    assert facts.healed_ns == at + 3 * S
    both = TrueFault(on="gateway[0,1]")
    (facts,) = fault_facts(make(tmp_path / "d", Truth(faults=[both], events=events)))
    assert facts.healed_ns == at + 3 * S
    one = TrueFault(on="gateway[1]")
    (facts,) = fault_facts(make(tmp_path / "c", Truth(faults=[one], events=events)))
    assert facts.healed_ns == at + S


def test_a_fault_on_a_role_acted_where_the_run_found_it(tmp_path: Path) -> None:
    at = TIMELINE_START
    fault = TrueFault("f1-kill", on="leader of world")
    resolved = {
        "fault": "f1-kill",
        "asked": "leader of world",
        "on": "world[1]",
        "said": {"world[0]": "follower", "world[1]": "leader"},
    }
    events = [
        (at - 1, "fault_resolved", resolved),
        (at + 1, "service_exited", {"service": "world", "replica": 1, "signal": "SIGKILL"}),
        (at + S, "service_ready", {"service": "world", "replica": 0}),
        (at + 2 * S, "service_ready", {"service": "world", "replica": 1}),
    ]
    (facts,) = fault_facts(make(tmp_path / "a", Truth(faults=[fault], events=events)))
    assert (facts.on, facts.asked, facts.said) == ("world[1]", "leader of world", resolved["said"])
    assert facts.healed_ns == at + 2 * S
    failed = TrueFault("f1-kill", on="leader of world", failed="no replica of world says that it is leader")
    (facts,) = fault_facts(make(tmp_path / "b", Truth(faults=[failed])))
    assert (facts.on, facts.asked) == ("leader of world", None)
    assert facts.doubt == "f1-kill could not be injected: no replica of world says that it is leader"


def test_a_deploy_that_lasts_is_over_when_the_first_version_is_ready_again(tmp_path: Path) -> None:
    at, back = TIMELINE_START, TIMELINE_START + 4 * S
    deploy = TrueFault("f1-deploy", "deploy", heal=back)
    world = {"service": "world", "replica": 0}
    events = [(at + S, "service_ready", world), (back + 1, "service_exited", {**world, "code": 0})]
    (facts,) = fault_facts(make(tmp_path / "a", Truth(faults=[deploy], events=events)))
    assert (facts.heal_called_ns, facts.healed_ns) == (back, None), "the one that was ready is the other version"
    events.append((back + S, "service_ready", world))
    (facts,) = fault_facts(make(tmp_path / "b", Truth(faults=[deploy], events=events)))
    assert facts.healed_ns == back + S


def test_doubts_say_what_is_wrong(tmp_path: Path) -> None:
    faults = [TrueFault("f1-kill", proved=False), TrueFault("f2-kill", failed="no such process")]
    unproved, failed = fault_facts(make(tmp_path, Truth(faults=faults)))
    assert unproved.doubt == "f1-kill was not proved: seen in the world"
    assert failed.doubt == "f2-kill could not be injected: no such process"


def test_stretches_of_the_load(tmp_path: Path) -> None:
    recording = make(tmp_path, Truth(faults=[KILL, SLOW]))
    assert load_window(recording) == (LOAD_START, END)
    assert phase_windows(recording)["baseline"] == (LOAD_START + 2 * S, LOAD_START + 5 * S)
    ramped, killed, slowed = LOAD_START + 2 * S, KILL.inject, SLOW.inject
    back, fast = TIMELINE_START + 2 * S, (SLOW.heal or 0) + MS
    assert windows(recording, "all", 3 * S) == ((ramped, END),)
    assert windows(recording, "baseline", 3 * S) == ((ramped, killed),)
    assert windows(recording, "faults", 3 * S) == ((killed, back), (slowed, fast))
    assert windows(recording, "steady", 3 * S) == ((ramped, killed), (back + 3 * S, slowed), (fast + 3 * S, END))


def test_a_fault_that_never_ends_leaves_nothing_steady_after_it(tmp_path: Path) -> None:
    recording = make(tmp_path, Truth(faults=[TrueFault()]))
    assert windows(recording, "steady", 0) == ((LOAD_START + 2 * S, TIMELINE_START),)
    assert windows(recording, "faults", 0) == ((TIMELINE_START, END),)


def test_settle_longer_than_the_gap_joins_faults(tmp_path: Path) -> None:
    recording = make(tmp_path, Truth(faults=[KILL, SLOW]))
    assert windows(recording, "steady", 60 * S) == ((LOAD_START + 2 * S, KILL.inject),)


def test_without_a_load_there_is_no_stretch(tmp_path: Path) -> None:
    make(tmp_path, Truth())
    (tmp_path / "events.jsonl").write_text("")
    recording = type(make(tmp_path / "b", Truth())).open(tmp_path)
    assert load_window(recording) is None
    assert phase_windows(recording) == {}
    assert windows(recording, "all", 0) == ()
    assert fault_facts(recording)[0].doubt == "f1-kill was never injected"


def test_a_load_whose_end_was_not_recorded_ends_with_the_last_event(tmp_path: Path) -> None:
    make(tmp_path, Truth(end=LOAD_START + 9 * S, ended=None))
    lines = (tmp_path / "events.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_text("".join(line for line in lines if "load_ended" not in line))
    recording = type(make(tmp_path / "b", Truth())).open(tmp_path)
    assert load_window(recording) == (LOAD_START, LOAD_START + 8 * S)
