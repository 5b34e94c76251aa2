"""Faults on what a container sends: their words for tc, what is made of what arrived, and both on a real container."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from pydantic import ValidationError

from chaosctl.experiment.units import WRITTEN
from chaosctl.faults import processes, queues
from chaosctl.faults.netem import NetemParams, judge_netem, words_of
from chaosctl.faults.queues import Arrived, handle_of, send_from
from chaosctl.faults.registry import faults
from chaosctl.faults.throttle import PACKET_BYTES, burst_bytes, judge_rate
from chaosctl.faults.throttle import words_of as throttle_words
from chaosctl.safety.container import Container
from tests.faults.boxes import Box, box
from tests.faults.conftest import inject, prove, prove_healed
from tests.faults.undoing import undo_elsewhere, undo_of

MS = 1_000_000


def netem(**written: object) -> NetemParams:
    return NetemParams.model_validate(written, context=WRITTEN)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"delay": "40ms"}, "delay 40000us"),
        ({"delay": "40ms", "jitter": "500us"}, "delay 40000us 500us"),
        ({"loss": "0.5%"}, "loss 0.5%"),
        (
            {"delay": "1s", "reorder": "25%", "duplicate": "1%", "corrupt": "0.1%", "loss": "100%"},
            "delay 1000000us loss 100% duplicate 1% reorder 25% corrupt 0.1%",
        ),
    ],
)
def test_the_words_are_those_of_tc(written: dict[str, object], words: str) -> None:
    assert words_of(netem(**written)) == ("netem", "limit", "10000", *words.split())


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({}, "nothing would happen"),
        ({"jitter": "1ms", "loss": "1%"}, "add delay"),
        ({"reorder": "5%"}, "nothing would happen"),
        ({"reorder": "5%", "loss": "1%"}, "add delay"),
        ({"delay": "1ms", "jitter": "2ms"}, "jitter is more than delay"),
        ({"delay": "2s"}, "less than or equal"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        netem(**written)


def network(params: NetemParams, count: int, seed: int = 7) -> Arrived:
    """Do to datagrams what netem does (net/sched/sch_netem.c); a wrong bit is a wrong checksum, so a loss."""
    source, found = Random(seed), []
    for number in range(count):
        copies = 1 + (source.random() < params.duplicate) - (source.random() < params.loss)
        for _ in range(copies):
            if source.random() < params.corrupt:
                continue
            at_once = source.random() < params.reorder
            held_ns = 0 if at_once else params.delay_ns + round((2 * source.random() - 1) * params.jitter_ns)
            found.append((number * MS // 4 + held_ns + 80_000, number, held_ns + 80_000))
    found.sort()
    return Arrived(
        count,
        tuple(number for _, number, _ in found),
        tuple(took_ns for _, _, took_ns in found),
        tuple(at_ns for at_ns, _, _ in found),
    )


ALL_OF_IT = [
    netem(delay="40ms"),
    netem(delay="40ms", jitter="20ms"),
    netem(loss="20%"),
    netem(loss="100%"),
    netem(duplicate="5%"),
    netem(delay="20ms", reorder="25%"),
    netem(corrupt="10%"),
    netem(delay="80ms", jitter="5ms", reorder="50%", loss="10%", duplicate="10%", corrupt="5%"),
]


@pytest.mark.parametrize("params", ALL_OF_IT, ids=lambda params: " ".join(words_of(params)[3:]))
def test_each_is_seen_in_what_arrives_and_not_where_it_is_not(params: NetemParams) -> None:
    for seed in range(5):
        proof = judge_netem(params, network(params, 1000, seed))
        assert proof.proved, proof
    assert not judge_netem(params, network(netem(duplicate="0.0001%"), 1000)).proved
    assert params.loss == 1 or not judge_netem(params, Arrived(1000, (), (), ())).proved


def line(rate: float, count: int) -> Arrived:
    """What a bucket lets through: so much at once, the rest at its rate."""
    once = burst_bytes(rate) // PACKET_BYTES
    at_ns = tuple(max(0, number - once) * round(PACKET_BYTES * 1e9 / rate) for number in range(count))
    return Arrived(2 * count, tuple(range(count)), at_ns, at_ns)


def test_the_rate_is_that_of_what_comes_after_the_first_at_once() -> None:
    assert throttle_words(200_000) == ("tbf", "rate", "200000bps", "burst", "65536", "latency", "400ms")
    assert judge_rate(200_000, line(200_000, 120)).proved
    assert judge_rate(200_000, line(100_000, 120)).proved
    assert not judge_rate(200_000, line(400_000, 200)).proved
    assert "too few to tell" in judge_rate(200_000, Arrived(100, (), (), ())).text


def test_a_handle_is_a_number_of_tc_and_of_one_fault_in_one_run() -> None:
    handles = {handle_of(f"f{n}-netem", Container("", "x", run)) for n in range(200) for run in ("a", "b")}
    assert len(handles) > 390
    assert all(0 < int(handle, 16) < 0xFFFF for handle in handles)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_what_a_container_sends_is_throttled_until_the_undo(one: Box) -> None:
    fault, written = faults()["throttle"], {"rate": "100KB/s"}
    if (why := fault.kind.lacks()) is not None:
        pytest.skip(why)
    undo = undo_of("throttle", one, **written)
    whole = send_from(one.container, 100, 1400, 1.0, paced=False)
    assert len(whole.numbers) == 100
    applied = inject(fault, one.place, written)
    proof = prove(fault, one.place, written, applied)
    assert proof.proved, proof
    assert not prove(fault, one.place, {"rate": "10KB/s"}, applied).proved
    assert not prove_healed(fault, one.place, written).proved
    assert "removed queue" in undo_elsewhere(undo)
    assert prove_healed(fault, one.place, written).proved
    assert "no such queue" in prove(fault, one.place, written, applied).text
    assert len(send_from(one.container, 100, 1400, 1.0, paced=False).numbers) == 100
    assert "nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_a_bad_network_where_the_kernel_has_one_else_a_plain_answer(one: Box) -> None:
    fault, written = faults()["netem"], {"delay": "40ms", "loss": "10%"}
    why, params = fault.kind.lacks(), netem(**written)
    assert judge_netem(netem(loss="0.0001%"), send_from(one.container, 100, 64, 0.5)).text.startswith(
        "of what it sends, 0 of 100 were lost"
    )
    undo = undo_of("netem", one, **written)
    if why is not None:
        with pytest.raises(queues.NotReadyError, match="tc in a container's network namespace failed"):
            inject(fault, one.place, written)
    else:
        applied = inject(fault, one.place, written)
        proof = prove(fault, one.place, written, applied)
        assert proof.proved, (proof, params)
        assert not prove(fault, one.place, {"delay": "200ms"}, applied).proved
        assert "removed queue" in undo_elsewhere(undo)
    assert "nothing to undo" in undo_elsewhere(undo)
    assert prove_healed(fault, one.place, written).proved
