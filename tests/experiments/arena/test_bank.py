from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.bank import OPENING, TREASURY, Bank

PLAYERS = ("ann", "bob")
HOLD = {"op": "hold", "match": "m1", "players": list(PLAYERS), "stake": 10}
SETTLE = {"op": "settle", "match": "m1", "players": list(PLAYERS), "winner": "ann"}
RELEASE = {"op": "release", "match": "m1", "players": list(PLAYERS)}


@pytest.fixture
def bank() -> Bank:
    bank = Bank(":memory:")
    for name in PLAYERS:
        assert bank.apply(f"open:{name}", {"op": "open", "player": name}) == (True, {name: OPENING})
    return bank


def test_a_settlement_happens_once_however_often_it_is_asked(bank: Bank) -> None:
    bank.apply("hold:m1", HOLD)
    first = bank.apply("settle:m1", SETTLE)
    assert first == (True, {"ann": 110, "bob": 90})
    before = bank.digest()
    assert bank.apply("settle:m1", SETTLE) == (True, {"ann": 110, "bob": 90})
    assert bank.digest() == before


def test_a_release_gives_both_stakes_back(bank: Bank) -> None:
    assert bank.apply("hold:m1", HOLD) == (True, {"ann": 90, "bob": 90})
    assert bank.apply("release:m1", RELEASE) == (True, {"ann": 100, "bob": 100})


def test_a_release_of_what_was_never_held_moves_nothing(bank: Bank) -> None:
    assert bank.apply("release:m1", RELEASE) == (True, {"ann": 100, "bob": 100})


def test_a_hold_that_one_cannot_pay_takes_from_neither(bank: Bank) -> None:
    done, balances = bank.apply("hold:m1", {**HOLD, "stake": 101})
    assert (done, balances) == (False, {"ann": 100, "bob": 100})
    assert bank.total() == TREASURY


def test_an_unknown_operation_is_an_error_and_changes_nothing(bank: Bank) -> None:
    before = bank.digest()
    with pytest.raises(ValueError, match="no such operation"):
        bank.apply("x:1", {"op": "print-money"})
    assert bank.digest() == before
    assert bank.apply("hold:m1", HOLD)[0], "the books are still open"


def test_what_is_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Bank(tmp_path / "ledger.db")
    first.apply("open:ann", {"op": "open", "player": "ann"})
    digest = first.digest()
    again = Bank(tmp_path / "ledger.db")  # the first one was never closed, as after SIGKILL
    assert again.digest() == digest
    assert again.total() == TREASURY
    first.close()


entries = st.one_of(
    st.builds(lambda p: (f"open:{p}", {"op": "open", "player": p}), st.sampled_from("abcd")),
    st.builds(
        lambda m, op, players, stake: (
            f"{op}:{m}",
            {"op": op, "match": m, "players": list(players), "stake": stake, "winner": players[0]},
        ),
        st.sampled_from(("m1", "m2", "m3")),
        st.sampled_from(("hold", "settle", "release")),
        st.permutations("abcd").map(lambda order: order[:2]),
        st.integers(0, 150),
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(entries, max_size=25))
def test_the_total_never_changes(asked: list[tuple[str, dict[str, Any]]]) -> None:
    bank = Bank(":memory:")
    for key, entry in asked:
        first = bank.apply(key, entry)
        assert bank.apply(key, entry) == first
        assert bank.total() == TREASURY
