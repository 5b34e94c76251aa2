from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arena.state import Player
from arena.views import MOST_SEEN, RADIUS, Grid, view_line

places = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.booleans()), min_size=1, max_size=40)


@given(places)
def test_the_grid_sees_what_a_look_at_everybody_sees(at: list[tuple[int, int, bool]]) -> None:
    players = [Player(f"p{n:02d}", "k", x, y, online=online) for n, (x, y, online) in enumerate(at)]
    me = players[0]

    def distance(other: Player) -> int:
        return (other.x - me.x) ** 2 + (other.y - me.y) ** 2

    near = [other for other in players[1:] if other.online and distance(other) <= RADIUS**2]
    expected = sorted(near, key=lambda other: (distance(other), other.name))[:MOST_SEEN]
    assert Grid(players).nearest(me) == expected


def test_a_view_as_a_line() -> None:
    assert view_line(10, [Player("bob", "k", 3, 4, hp=90)]) == "* VIEW 10 bob:3:4:90"
    assert view_line(10, []) == "* VIEW 10"
