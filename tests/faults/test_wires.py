"""A link that no relay carries, cut at its packets: which rules, and that both ends of a real one notice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chaosctl.faults.contract import Place, Wire
from chaosctl.faults.registry import faults
from chaosctl.faults.wires import Cut, rules_of
from chaosctl.safety.undo import play
from tests.faults.boxes import PORT, SERVICE, Box, box

SERVERS = (("10.0.0.2", 7000), ("10.1.0.2", 7000))


@pytest.mark.parametrize(
    ("how", "rules"),
    [
        (Cut("blackhole", "up"), ("-d 10.0.0.2 -p tcp --dport 7000 -j DROP",)),
        (Cut("blackhole", "down"), ("-s 10.0.0.2 -p tcp --sport 7000 -j DROP",)),
        (
            Cut("blackhole", "both"),
            ("-d 10.0.0.2 -p tcp --dport 7000 -j DROP", "-s 10.0.0.2 -p tcp --sport 7000 -j DROP"),
        ),
        (Cut("refuse", "both"), ("-d 10.0.0.2 -p tcp --dport 7000 -j REJECT --reject-with tcp-reset",)),
    ],
)
def test_what_is_cut_is_one_port_at_every_address_of_the_server(how: Cut, rules: tuple[str, ...]) -> None:
    assert rules_of(SERVERS[:1], how) == rules
    both = rules_of(SERVERS, how)
    assert len(both) == 2 * len(rules)
    assert {rule.replace("10.1.0.2", "10.0.0.2") for rule in both} == set(rules)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One, and a front that connects to it: as containers that know of no relay."""
    with box(tmp_path_factory.mktemp("wires"), services={"one": SERVICE, "front": SERVICE}) as running:
        yield running


@pytest.mark.e2e
@pytest.mark.needs("docker")
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("params", "seen"),
    [
        ({"mode": "blackhole", "direction": "up"}, "a connection was silent"),
        ({"mode": "blackhole", "direction": "down"}, "a connection was silent"),
        ({"mode": "refuse"}, "a connection was refused"),
    ],
)
def test_a_real_link_is_cut_and_whole_again(two: Box, params: dict[str, str], seen: str) -> None:
    ends = [two.driver.process(name, 0).container() for name in ("front", "one")]
    assert ends[0] is not None
    assert ends[1] is not None
    place = Place("front-one", wires=(Wire("front[0]", "one[0]", ends[0], ends[1], PORT),))
    cut, how = faults()["partition"], faults()["partition"].kind.params(**params)
    undo = cut.prepare("f1", place, how)
    before = ends[0].rules()
    assert cut.prove_healed("f1", place, how).proved
    applied = cut.inject("f1", place, how, time.monotonic_ns)
    proof = cut.prove("f1", place, how, applied)
    assert proof.proved, proof
    assert seen in proof.text
    assert not cut.prove_healed("f1", place, how).proved
    # Whoever else asks the server is answered.
    assert two.connection() == "answered"
    assert [play(action).done for action in undo * 2] == [True, True]
    assert cut.prove_healed("f1", place, how).proved
    assert not cut.prove("f1", place, how, applied).proved
    assert [rule for _, rule in ends[0].rules()] == [rule for _, rule in before]
