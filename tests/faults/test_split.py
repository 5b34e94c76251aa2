"""A split: its rules, what is made of what arrived, what is refused; and on real containers, who reaches whom."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from chaosctl.errors import ExperimentError
from chaosctl.experiment.loader import Loaded, fault_items, load_experiment
from chaosctl.faults import firewall, reach
from chaosctl.faults.contract import Line, Place
from chaosctl.faults.registry import fault_kinds, faults
from chaosctl.faults.split import SplitParams, lost_in, rules_of
from chaosctl.plan.build import build_plan
from chaosctl.plan.excerpt import excerpt
from chaosctl.verify.registry import objective_kinds
from tests.e2e.harness import HELD
from tests.faults.boxes import SERVICE, Box, box
from tests.faults.conftest import inject, params_of, prove, prove_healed
from tests.faults.undoing import undo_elsewhere

FAULT = faults()["split"]
SPLIT = HELD.parent / "split.yaml"
ADDRESSES = {"a[0]": ("10.0.0.2",), "b[0]": ("10.0.0.3",), "b[1]": ("10.0.0.4", "10.1.0.4")}
LINES = (Line("a", "b[0]", "10.0.0.1:7001"), Line("a", "b[1]", "10.0.0.1:7002"))
TO_B, FROM_B = "-d 10.0.0.1 -p tcp --dport 7001 -j DROP", "-s 10.0.0.1 -p tcp --sport 7001 -j DROP"


def test_who_receives_drops_and_the_client_of_a_link_drops_what_goes_over_it() -> None:
    assert rules_of(frozenset({("a[0]", "b[0]"), ("b[0]", "a[0]")}), ADDRESSES, LINES) == {
        "b[0]": ["-s 10.0.0.2 -j DROP"],
        "a[0]": [TO_B, "-s 10.0.0.3 -j DROP", FROM_B],
    }
    assert rules_of(frozenset({("a[0]", "b[0]")}), ADDRESSES, LINES) == {
        "b[0]": ["-s 10.0.0.2 -j DROP"],
        "a[0]": [TO_B],
    }
    assert rules_of(frozenset({("b[0]", "a[0]")}), ADDRESSES, LINES) == {"a[0]": ["-s 10.0.0.3 -j DROP", FROM_B]}
    both_networks = ["-s 10.0.0.4 -j DROP", "-s 10.1.0.4 -j DROP"]
    assert rules_of(frozenset({("b[1]", "b[0]")}), ADDRESSES, LINES) == {"b[0]": both_networks}
    assert rules_of(frozenset({("b[0]", "b[1]")}), ADDRESSES, LINES) == {"b[1]": ["-s 10.0.0.3 -j DROP"]}


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({}, "one of groups, isolate and shape"),
        ({"isolate": "leader", "shape": "ring"}, "one of groups, isolate and shape"),
        ({"groups": [["a"]]}, "at least 2 items"),
        ({"groups": [["a"], []]}, "a group without a replica is parted from nobody"),
        ({"groups": [["a"], ["b"], ["c"]], "one_way": True}, "one_way is from one group to a second one"),
        ({"shape": "ring", "one_way": True}, "one_way is from one group to a second one"),
        ({"shape": "star"}, "majority/minority"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        SplitParams.model_validate(written)


def test_what_should_arrive_and_what_should_not_both_count() -> None:
    lost, names = frozenset({("a", "b")}), ("a", "b")
    right = reach.judge(names, lost, frozenset({("b", "a")}), {})
    assert right.proved
    assert right.text == "datagrams arrive between 1 of 2 ordered pairs of 2 containers, as they should"
    assert "a still reaches b" in reach.judge(names, lost, frozenset({("b", "a"), ("a", "b")}), {}).text
    assert "b does not reach a" in reach.judge(names, lost, frozenset(), {}).text
    assert not reach.judge(("a",), frozenset(), frozenset(), {}).proved
    link = ("b", "a", "10.0.0.1:1")
    assert reach.judge(names, lost, frozenset({("b", "a")}), {link: False}).proved
    assert "b still reaches a over its link" in reach.judge(names, lost, frozenset({("b", "a")}), {link: True}).text
    whole = reach.judge(names, frozenset(), frozenset({("b", "a"), ("a", "b")}), {link: False})
    assert "b does not reach a over its link" in whole.text


def loaded(*overrides: str) -> Loaded:
    return load_experiment(SPLIT, fault_kinds(), objective_kinds(), overrides=overrides, environ={})


def test_a_plan_has_groups_and_what_is_made_of_it_has_the_same() -> None:
    plan = build_plan(loaded(), 7, fault_kinds())
    first, leader, few = (fault.params["groups"] for fault in plan.faults)
    assert first == [["tiny[0]", "front"], ["tiny[1,2]"]]
    assert leader == [["leader of tiny"], ["the rest"]]
    assert [fault.by_role for fault in plan.faults] == [False, True, False]
    assert few != build_plan(loaded(), 8, fault_kinds()).faults[2].params["groups"]
    written = fault_items(SPLIT, (), {})
    again = YAML(typ="safe").load(excerpt(plan, "./split.yaml", "less", written, ()))["timeline"]
    assert [item["groups"] for item in again] == [first, leader, few]
    assert [item.get("one_way") for item in again] == [None, None, True]
    assert not any({"isolate", "shape"} & item.keys() for item in again)


def test_those_that_are_cut_off_count_for_the_blast_radius() -> None:
    assert loaded("blast_radius.at_most=34%")
    with pytest.raises(ExperimentError, match="split takes down 1 of 3 replicas of 'tiny' at once"):
        loaded("blast_radius.at_most=30%")
    with pytest.raises(ExperimentError, match="part fewer of them from the rest, or raise blast_radius"):
        loaded("blast_radius.at_most=34%", "timeline[0].groups=[['tiny[0]'],['tiny[1]'],['tiny[2]']]")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Two replicas of one, and a front that is told of a relay for each of them."""
    services = {"one": {**SERVICE, "replicas": 2}, "front": SERVICE}
    with box(tmp_path_factory.mktemp("split"), services=services) as running:
        yield running


@pytest.fixture
def relays(three: Box) -> Iterator[tuple[Line, ...]]:
    """What listens at this machine's address on their network, one for each replica of `one`."""
    listeners = [socket.create_server((three.driver.link_listen("", 0).rpartition(":")[0], 0)) for _ in range(2)]
    for listener in listeners:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    yield tuple(
        Line("front", f"one[{index}]", "{}:{}".format(*one.getsockname())) for index, one in enumerate(listeners)
    )
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket) -> None:
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        return


def reaches(three: Box, who: tuple[str, int], address: str) -> bool:
    """Have a program in a container connect."""
    host, _, port = address.rpartition(":")
    connect = f"use IO::Socket::INET; exit !IO::Socket::INET->new(PeerAddr => '{host}:{port}', Timeout => 1)"
    return three.run("perl", "-e", connect, replica=who) == 0


@pytest.mark.e2e
@pytest.mark.needs("docker")
@pytest.mark.parametrize("one_way", [False, True])
def test_parted_replicas_do_not_reach_each_other_nor_over_a_link_until_the_undo(
    three: Box, relays: tuple[Line, ...], one_way: bool
) -> None:
    members = [("front", 0), ("one", 0), ("one", 1)]
    place = Place(
        "one",
        processes=tuple(three.driver.process(*member) for member in members),
        held=True,
        groups=(("front[0]", "one[0]"), ("one[1]",)),
        lines=relays,
    )
    written = {"groups": [["front", "one[0]"], ["one[1]"]], "one_way": one_way}
    boxes = {member: three.driver.process(*member).container() for member in members}
    at = {name: f"{one.endpoint().address}:7000" for name, one in boxes.items() if one and one.endpoint()}
    undo = FAULT.prepare("f1", place, params_of(FAULT, written))
    applied = inject(FAULT, place, written)
    proof = prove(FAULT, place, written, applied)
    assert proof.proved, proof
    assert "all in force within" in proof.text
    assert reaches(three, ("front", 0), at["one", 0])
    assert reaches(three, ("front", 0), relays[0].listen)
    assert not reaches(three, ("front", 0), at["one", 1])
    assert not reaches(three, ("front", 0), relays[1].listen)
    assert not reaches(three, ("one", 1), at["one", 0])
    # Not named by this split: as if it were none.
    assert not prove_healed(FAULT, place, written).proved
    other = replace(place, groups=(("front[0]",), ("one[0]", "one[1]")))
    assert "still reaches" in prove(FAULT, other, written, applied).text
    counted = sum(_dropped(box) for box in boxes.values())
    assert counted > 0
    assert undo_elsewhere(undo).count("removed chain") == (3 if not one_way else 2)
    healed = prove_healed(FAULT, place, written)
    assert healed.proved, healed
    assert reaches(three, ("front", 0), relays[1].listen)
    assert reaches(three, ("one", 1), at["one", 0])
    assert undo_elsewhere(undo).count("nothing to undo") == 3


def _dropped(box: object) -> int:
    try:
        return firewall.counted("f1", box, "DROP")[1]  # type: ignore[arg-type]
    except firewall.NotReadyError:
        return 0


def test_one_way_what_the_second_group_sends_arrives() -> None:
    params = SplitParams(groups=(("front",), ("one",)), one_way=True)
    place = Place("one", groups=(("front[0]",), ("one[0]", "one[1]")))
    assert lost_in(place, params) == {("front[0]", "one[0]"), ("front[0]", "one[1]")}
