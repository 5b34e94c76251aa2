from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.protocol import HELP, hello_name, parse
from arena.state import Config, State
from arena.wire import LineSplitter


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(1, 20))
def test_lines_do_not_depend_on_how_the_bytes_come(chunks: list[bytes], longest: int) -> None:
    whole, pieces = LineSplitter(longest), LineSplitter(longest)
    data = b"".join(chunks)
    in_pieces = [line for chunk in chunks for line in pieces.feed(chunk)]
    assert whole.feed(data) == in_pieces
    assert len(in_pieces) == data.count(b"\n")
    assert all(line is None or len(line) <= longest for line in in_pieces)


def test_a_line_that_is_too_long_is_none_and_the_next_one_is_fine() -> None:
    splitter = LineSplitter(5)
    assert splitter.feed(b"123456789") == []
    assert splitter.feed(b"0\nMOVE\r\n") == [None, b"MOVE"]


@pytest.mark.parametrize(
    ("line", "given_"),
    [
        ("MOVE 1 -3 10", ["move", "ann", 1, -3, 10]),
        ("HIT 2 bob", ["hit", "ann", 2, "bob"]),
        ("CHAT 3 well played", ["chat", "ann", 3, "well played"]),
        ("QUEUE 4", ["queue", "ann", 4]),
    ],
)
def test_an_action_becomes_an_input(line: str, given_: list[object]) -> None:
    assert parse("ann", line).given == given_


@pytest.mark.parametrize(
    ("player", "line", "error"),
    [
        (None, "MOVE 1 1 1", "ERR say HELLO first"),
        (None, "SEEN", "ERR say HELLO first"),
        (None, "HELLO", "ERR write HELLO name [token]; letters, digits, - and _"),
        (None, "HELLO 1ann token", "ERR write HELLO name [token]; letters, digits, - and _"),
        ("ann", "MOVE 0 1 1", "ERR '0' is no whole number from 1 to 9007199254740992"),
        ("ann", "MOVE 1 1", "ERR write MOVE n dx dy"),
        ("ann", "MOVE 1 11 0", "ERR '11' is no whole number from -10 to 10"),
        ("ann", "MOVE 1 ١ 0", "ERR '١' is no whole number from -10 to 10"),
        ("ann", "QUEUE 1 2", "ERR write QUEUE n"),
        ("ann", "CHAT 1", "ERR write CHAT n text"),
        ("ann", "HIT 1 two words", "ERR write HIT n name"),
        ("ann", "JUMP 1", "ERR unknown command; HELP lists them"),
    ],
)
def test_a_wrong_line_is_answered_with_what_is_wrong(player: str | None, line: str, error: str) -> None:
    assert parse(player, line).error == error


@given(st.one_of(st.none(), st.just("ann")), st.text(max_size=80))
def test_any_text_is_an_input_a_question_or_an_error(player: str | None, line: str) -> None:
    asked = parse(player, line)
    assert [asked.given is None, asked.question is None, asked.error is None].count(False) == 1
    hello_name(line)


verbs = st.sampled_from(["HELLO", "MOVE", "HIT", "CHAT", "QUEUE", "SEEN", "WHERE", "GOLD", "MATCHES"])
words = st.one_of(st.integers().map(str), st.sampled_from(["ann", "bob", "-", "", "0x1", "1_0"]), st.text(max_size=6))


@given(st.lists(st.builds(lambda verb, rest: " ".join([verb, *rest]), verbs, st.lists(words, max_size=3)), max_size=20))
def test_whatever_is_understood_can_be_applied(lines: list[str]) -> None:
    state = State(Config(seed=1))
    state.step([["hello", "ann", "k"]])
    for line in lines:
        asked = parse("ann", line)
        state.step([asked.given] if asked.given is not None else [])
        if asked.question is not None:
            assert "\n" not in asked.question(state)


def test_help_names_every_command() -> None:
    assert all(
        f"# {verb}" in HELP for verb in ("HELLO", "MOVE", "HIT", "CHAT", "QUEUE", "SEEN", "WHERE", "PING", "QUIT")
    )


def test_matches_are_told_with_their_ends_and_the_one_that_goes_on_as_open() -> None:
    state = State(Config(seed=1))
    state.step([["hello", "ann", "k"]])
    question = parse("ann", "MATCHES").question
    assert question is not None
    assert question(state) == "MATCHES -"
    state.players["ann"].results = [("m1", "settled bob"), ("m4", "rolled_back")]
    state.players["ann"].match = "m7"
    assert question(state) == "MATCHES m1:settled:bob,m4:rolled_back,m7:open"
    assert "m7:open" in HELP
