"""A process without a free descriptor: nothing more is opened, what is open works on, and all is as before after the
undo, also for what was forked meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.safety import descriptors
from chaosctl.safety.descriptors import Descriptors
from chaosctl.safety.processes import look
from tests.faults.boxes import SERVICE, Box, box
from tests.faults.conftest import NOT_APPLIED, inject, params_of, prove, prove_healed
from tests.faults.insides import evaluating, replica_of
from tests.faults.undoing import undo_elsewhere, undo_of

FILL = faults()["fill_fds"]
PATIENT = "while (1) { $c = $s->accept or (select(undef, undef, undef, 0.05), next);"
OPEN = "os.open('/dev/null', os.O_RDONLY)"


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@pytest.mark.parametrize(
    ("numbers", "leave", "limit"),
    [
        ({0, 1, 2}, 0, 3),
        ({0, 1, 2}, 2, 5),
        ({0, 1, 2, 9}, 0, 3),
        ({0, 1, 4, 9}, 1, 3),
        ({0, 2, 4}, 2, 5),
        (set(), 0, 0),
    ],
)
def test_gaps_between_what_is_open_count_as_free(numbers: set[int], leave: int, limit: int) -> None:
    has = Descriptors(frozenset(numbers), 1024)
    assert has.limit_leaving(leave) == limit
    assert Descriptors(has.numbers, limit).free == leave


@pytest.mark.e2e
@pytest.mark.parametrize("leave", [0, 2])
def test_nothing_more_is_opened_until_the_undo(leave: int) -> None:
    written = {"leave": leave}
    # Its descriptors have a gap, which opening would fill first.
    with replica_of(*evaluating(f"import os\ngap = {OPEN}, {OPEN}; os.close(gap[0])")) as (place, replica, inside):
        (before,) = [inside.descriptors(one).limit for one in inside.members()]
        undo = FILL.prepare("f1", place, params_of(FILL, written))
        assert not prove(FILL, place, written, NOT_APPLIED).proved
        applied = inject(FILL, place, written)
        proof = prove(FILL, place, written, applied)
        assert proof.proved, proof
        assert f"may open {leave} more" in proof.text
        assert not prove_healed(FILL, place, written).proved
        opened = [replica.ask(OPEN) for _ in range(leave)]
        assert "EMFILE" not in opened
        assert replica.ask(OPEN) == "EMFILE"
        assert replica.ask("socket.socket()") == "EMFILE"
        assert replica.ask("os.write(gap[1], b'x') if False else os.fstat(gap[1]).st_size") == "0"
        assert replica.ask("os.fork() and 1 or time.sleep(60)") == "1"
        assert "may open files again" in undo_elsewhere(undo)
        assert {inside.descriptors(one).limit for one in inside.members()} == {before}
        assert len(inside.members()) == 2
        assert replica.ask(OPEN).isdecimal()
        assert prove_healed(FILL, place, written).proved
        assert not prove(FILL, place, written, applied).proved
        assert "nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
def test_what_is_down_or_belongs_to_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with replica_of(*evaluating()) as (place, replica, _):

        def refuse(*_: object) -> None:
            raise PermissionError

        with monkeypatch.context() as patched:
            patched.setattr(descriptors.resource, "prlimit", refuse)
            with pytest.raises(NotReadyError, match=r"belongs to another user; run chaosctl as root"):
                FILL.prepare("f1", place, params_of(FILL, {}))
        undo = FILL.prepare("f1", place, params_of(FILL, {}))
        replica.end()
        with pytest.raises(NotReadyError, match="is down"):
            inject(FILL, place, {})
        assert "nothing to undo" in undo_elsewhere(undo)
    assert not prove_healed(FILL, Place("world"), {}).proved
    me = look(os.getpid())
    assert me is not None
    ended = type(me)(4_194_305, "gone", "S", 1, 1, 1)
    with pytest.raises(NotReadyError, match=r"gone .* has just ended"):
        descriptors.descriptors_of(ended)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Box]:
    # A server that tries again where it cannot accept.
    with box(tmp_path, run=["perl", "-e", SERVICE["run"][2].replace("while ($c = $s->accept) {", PATIENT)]) as running:
        yield running


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_a_server_in_a_container_answers_whom_it_knows_and_nobody_else(one: Box) -> None:
    host, _, port = one.published.rpartition(":")
    with socket.create_connection((host, int(port)), 5.0) as known:
        known.settimeout(5.0)
        known.sendall(b"PING\n")
        assert known.recv(100) == b"+PONG"
        undo = undo_of("fill_fds", one)
        applied = inject(FILL, one.place, {})
        proof = prove(FILL, one.place, {}, applied)
        assert proof.proved, proof
        known.sendall(b"PING\n")
        assert known.recv(100) == b"+PONG"
        # The one that it was waiting for has its number already (see accept4 in the kernel's net/socket.c).
        one.answer(0.5)
        assert one.answer(0.5) != "answered"
        assert not prove_healed(FILL, one.place, {}).proved
        undo_elsewhere(undo)
        assert prove_healed(FILL, one.place, {}).proved
