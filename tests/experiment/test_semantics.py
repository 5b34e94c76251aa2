from __future__ import annotations

from collections.abc import Callable

import pytest

from chaosctl.experiment.loader import Loaded

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]

ITEM = "  - { at: 12s, fault: kill, on: world }\n"


def only(wrong: Wrong, text: str) -> str:
    """Return the one problem, without its place."""
    problems = wrong(text)
    assert len(problems) == 1, problems
    return problems[0].split(": ", 1)[1]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("at: 12s, fault: kill, on: wrld", "there is no service 'wrld'; did you mean 'world'?"),
        ("at: 12s, fault: kill, on: world-ledger", "kill acts on a service, 'world-ledger' is a link; write ledger or"),
        ("at: 12s, fault: kill, on: world/far", "'world' is a service, which has no cohorts; write 'world', or"),
        (
            "at: 12s, fault: kill, on: 'gateway[2]'",
            "'gateway' has 2 replicas, counted from 0; write at most 'gateway[1]'",
        ),
        ("at: 12s, fault: kill, on: 'gateway[x]'", "'gateway[x]' names no place; write a link, link/cohort, a service"),
        ("at: 12s, fault: kill, on: leader of wrld", "there is no service 'wrld'; did you mean 'world'?"),
        (
            "at: 12s, fault: kill, on: leader of world",
            "nothing says who is leader of 'world': it offers no status",
        ),
        ("at: 12s, fault: kill, on: any 3 of gateway", "'gateway' has 2 replicas, not 3; write at most 'any 2 of"),
        ("at: 12s, fault: kill, on: any 0 of gateway", "'any 0 of gateway' is nobody; write at least 'any 1 of"),
        ("at: 12s, fault: kill, on: 200% of gateway", "'200%' is more than the whole; write at most 100%"),
        (
            "at: 12s, for: 1s, fault: partition, on: any 1 of bots-gateway",
            "'bots-gateway' is a link, which has no replicas; write 'bots-gateway'",
        ),
        (
            "at: 12s, for: 1s, fault: latency, latency: 1s, on: world",
            "latency acts on a link, 'world' is a service; write",
        ),
        ("at: 12s, for: 1s, fault: partition, on: gateway-wrld", "there is no link 'gateway-wrld'; did you mean"),
        (
            "at: 12s, for: 1s, fault: partition, on: 'gateway-world[0]'",
            "'gateway-world' is a link, which has no replicas",
        ),
        ("at: 12s, for: 1s, fault: partition, on: bots-gateway/fat", "there is no cohort 'fat'; did you mean 'far'?"),
        (
            "at: 12s, for: 1s, fault: partition, on: gateway-world/far",
            "the bots do not use 'gateway-world', so it has no",
        ),
        (
            "at: 12s, fault: partition, on: bots-gateway",
            "partition lasts until it is healed; add `for:`, such as for: 4s",
        ),
        ("at: 12s, for: 1s, fault: restart, on: world", "restart happens at one moment; leave `for` out"),
        ("at: 12s, for: 0s, fault: partition, on: bots-gateway", "'for' is 0, so nothing would happen; write how long"),
        ("at: 40s, fault: kill, on: world", "starts at 40s, when the load has ended (duration 40s); start it earlier"),
        ("at: 35s, for: 6s, fault: kill, on: world", "heals at 41s, when the load has ended (duration 40s); make it"),
        ("at: 25s, for: 1s, fault: partition, on: world-ledger", "partition on 'world-ledger' acts while timeline[1]"),
    ],
)
def test_a_fault_that_cannot_be(wrong: Wrong, load: Load, item: str, expected: str) -> None:
    problem = only(wrong, load().source.replace(ITEM, f"  - {{ {item} }}\n"))
    assert problem.startswith(expected)
    assert "; " in problem


def test_a_role_needs_a_status_and_chance_needs_nothing(load: Load) -> None:
    text = load().source.replace("offers: { totals", "offers: { status: { http: status/status }, totals")
    for on in ("leader of world", "every leader of world", "any 2 of gateway", "30% of gateway", "'gateway[0,1]'"):
        loaded = load(text.replace(ITEM, f"  - {{ at: 12s, fault: kill, on: {on} }}\n"))
        assert loaded.experiment.timeline[1].on == on.strip("'")


def test_chances_that_may_meet_contradict(wrong: Wrong, load: Load) -> None:
    two = (
        "  - { at: 12s, for: 2s, fault: kill, on: any 1 of gateway }\n  - { at: 13s, fault: kill, on: 'gateway[0]' }\n"
    )
    assert "kill on 'gateway[0]' acts while timeline[1] (kill on 'any 1 of gateway') does" in only(
        wrong, load().source.replace(ITEM, two)
    )


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (
            "at: 1s, for: 2s, fault: partition, on: bots-gateway",
            "at: 2s, for: 2s, fault: partition, on: bots-gateway/far",
            True,
        ),
        (
            "at: 1s, for: 2s, fault: partition, on: bots-gateway/far",
            "at: 2s, for: 2s, fault: partition, on: bots-gateway/near",
            False,
        ),
        (
            "at: 1s, for: 2s, fault: partition, on: bots-gateway",
            "at: 3s, for: 2s, fault: partition, on: bots-gateway",
            False,
        ),
        (
            "at: 1s, for: 2s, fault: partition, on: bots-gateway",
            "at: 1s, for: 2s, fault: latency, latency: 1s, on: bots-gateway",
            False,
        ),
        ("at: 1s, for: 2s, fault: kill, on: gateway", "at: 2s, fault: restart, on: 'gateway[1]'", True),
        ("at: 1s, for: 2s, fault: kill, on: 'gateway[0]'", "at: 2s, fault: restart, on: 'gateway[1]'", False),
        ("at: 2s, fault: kill, on: world", "at: 2s, fault: kill, on: world", True),
        ("at: 2s, fault: kill, on: world", "at: 2001ms, fault: kill, on: world", False),
        ("at: 5s, fault: kill, on: world", "at: 4s, for: 2s, fault: kill, on: world", True),
    ],
)
def test_two_faults_contradict_each_other(wrong: Wrong, load: Load, one: str, other: str, contradict: bool) -> None:
    source = load().source
    start, end = source.index("timeline:"), source.index("duration:")
    text = f"{source[:start]}timeline:\n  - {{ {one} }}\n  - {{ {other} }}\n{source[end:]}"
    if contradict:
        assert "acts while timeline[0]" in only(wrong, text)
    else:
        assert len(load(text).fault_params) == 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("needs: [ledger]", "needs: [gateway]", "needs goes round in a circle ("),
        ("needs: [ledger]", "needs: [world]", "needs goes round in a circle (world -> world)"),
        ("ports: [main, status]", "ports: [main, status, main]", "the port 'main' is named twice"),
        ("http: status/healthz", "tcp: stats", "the service has no port 'stats'; did you mean 'status'?"),
        (
            "http: status/healthz",
            "http: /healthz",
            "'/healthz' does not begin with a port's name; write `main/healthz`",
        ),
        ("http: status/healthz", "log: '['", "'[' is not a regular expression"),
        ("http: status/totals", "http: stat/totals", "the service has no port 'stat'"),
        ("expect: PONG", "expect: PONG, port: man", "the service has no port 'man'; did you mean 'main'?"),
        ("${link.world-ledger}", "${link.world-leger}", "there is no link 'world-leger'; did you mean 'world-ledger'?"),
        ("${link.world-ledger}", "${link.gateway-world}", "the link 'gateway-world' does not start at 'world'; write"),
        ('${self.main}", --ledger', '${self.mian}", --ledger', "there is no port 'mian'; did you mean 'main'?"),
        ("${service.world.main}", "${service.wrld.main}", "there is no service 'wrld'; did you mean 'world'?"),
        ("${service.world.main}", "${service.world.min}", "there is no port 'min'; did you mean 'main'?"),
        ("${state}", "${sate}", "'${sate}' is not known; did you mean 'state'?"),
        ("${state}", "${input_log}", "'${input_log}' is not known; "),
        ("to: ledger", "to: leger", "there is no service 'leger'; did you mean 'ledger'?"),
        ("to: ledger", "to: ledger, port: man", "the service has no port 'man'; did you mean 'main'?"),
        ("from: world,", "from: wrld,", "there is no service 'wrld'; did you mean 'world'?"),
        ("bots-gateway: {", "bots-gateway: { from: bots,", "there is no service 'bots'; leave `from` out for the bots"),
        ("bots-gateway: { to: gateway }", "x: { from: ledger, to: gateway }", "no link starts at the bots; add `bots-"),
        ("from: gateway, to: world", "to: world", "2 links start at the bots; add `through:` with one of"),
        ("ramp: 2s", "through: world-ledger", "the link 'world-ledger' starts at a service; leave out its `from`"),
        ("ramp: 2s", "through: bots-gatway", "there is no link 'bots-gatway'; did you mean 'bots-gateway'?"),
        ("share: 80%", "share: 70%", "the shares of the cohorts sum to 90%; make them sum to 100%"),
        (
            "ramp: 2s",
            "stages: [{ at: 9s, users: 2 }, { at: 8s, users: 3 }]",
            "begins at 8s, before stage 1 is over at 9s",
        ),
        ("ramp: 2s", "ramp: 2s\n  stages: [{ at: 1s, users: 2 }]", "begins at 1s, before the ramp is over at 2s; put"),
        (
            "ramp: 2s",
            "stages: [{ at: 1s, users: 2, over: 2s }, { at: 2s, users: 3 }]",
            "begins at 2s, before stage 1 is",
        ),
        ("ramp: 2s", "stages: [{ at: 45s, users: 2 }]", "begins at 45s, after the end of the load at 45s"),
        (
            "baseline: 5s",
            "probe: { through: bots-gatewy }",
            "there is no link 'bots-gatewy'; did you mean 'bots-gateway'?",
        ),
        ("baseline: 5s", "probe: { every: 0 }", "'every' is 0; write a time, such as 50ms"),
        ("offers: { totals: { http: status/totals } }", "replicas: 1", "nothing measures conserved: no service offers"),
        ("needs: [world]\n      probe", "needs: [world]\n      # probe", "nothing measures recovery: the probe's link"),
        ("errors: { at_most: 1% }", "recovry: {}", "there is no objective 'recovry'; did you mean 'recovery'?"),
    ],
)
def test_what_does_not_fit_together(wrong: Wrong, load: Load, old: str, new: str, expected: str) -> None:
    source = load().source
    text = source.replace(old, new, 1)
    assert text != source
    problems = [problem.split(": ", 1)[1] for problem in wrong(text)]
    assert any(problem.startswith(expected) for problem in problems), problems
    assert all(";" in problem for problem in problems)


def test_recovery_needs_a_fault(wrong: Wrong, load: Load) -> None:
    source = load().source
    text = source[: source.index("timeline:")] + source[source.index("duration:") :]
    assert only(wrong, text).startswith("nothing measures recovery: the timeline has no fault; add one")


def test_a_probe_elsewhere_is_enough(load: Load) -> None:
    source = load().source.replace("needs: [world]\n      probe", "needs: [world]\n      # probe")
    assert load(source.replace("baseline: 5s", "probe: { through: gateway-world }")).experiment.probe.through


def test_no_time_at_all_is_refused(wrong: Wrong, load: Load) -> None:
    text = load().source.replace("duration: 40s", "duration: 0s")
    assert only(wrong, text) == "the duration is 0; write how long the load goes on, such as 40s"


def test_a_service_without_ports_cannot_be_asked_or_reached(wrong: Wrong, load: Load) -> None:
    text = load().source.replace("      ports: [main]\n      needs: [world]\n", "      needs: [world]\n")
    problems = "\n".join(wrong(text))
    assert "there is no port to ask; add `ports: [main]` to the service" in problems
    assert "the service 'gateway' listens on no port; add `ports: [main]` to it" in problems


def test_a_replay_knows_its_own_values_only(wrong: Wrong, load: Load) -> None:
    offers = "offers: { input_log: '${state}/in', replay: { run: [r, '${input_log}'], states: ['${from_tick}'] }, "
    text = load().source.replace("offers: { ", offers)
    assert load(text).experiment.target.services["world"].offers.replay is not None
    problem = only(wrong, text.replace("${from_tick}", "${from_tik}"))
    assert problem == "'${from_tik}' is not known to a replay; did you mean 'from_tick'?"


@pytest.mark.parametrize(
    ("right", "typo", "said"),
    [
        ("${snapshot}", "${snapshots}", "'${snapshots}' is not known to a replay; did you mean 'snapshot'?"),
        ("${tick}", "${tik}", "'${tik}' is not known to a replay; did you mean 'tick'?"),
        ("${state}", "${tick}", "'${tick}' is not known to a replay"),
    ],
)
def test_a_replay_that_is_cut_in_two_knows_what_goes_between(
    right: str, typo: str, said: str, wrong: Wrong, load: Load
) -> None:
    more = "snapshot: { write: [-w, '${tick}'], from: [-f, '${snapshot}'] }, keep: [-k, '${state}']"
    text = load().source.replace("offers: { ", f"offers: {{ replay: {{ run: [r], {more} }}, ")
    replay = load(text).experiment.target.services["world"].offers.replay
    assert replay is not None and replay.snapshot is not None
    assert (replay.snapshot.begin, replay.keep) == (("-f", "${snapshot}"), ("-k", "${state}"))
    assert said in only(wrong, text.replace(f"'{right}'", f"'{typo}'"))


def test_a_wrong_part_brings_no_complaints_about_what_refers_to_it(wrong: Wrong, load: Load) -> None:
    text = load().source.replace("ports: [main, status]", "ports: main")
    assert only(wrong, text) == "'main' is not a list; write [a, b]"
    text = load().source.replace("at: 12s, fault: kill", "at: 12, fault: kill")
    assert only(wrong, text).startswith("'12' is not a duration")
