from __future__ import annotations

import pytest

from chaosctl.experiment.complaints import dotted, mend


@pytest.mark.parametrize(
    ("word", "known", "text"),
    [
        ("usrs", ["users", "ramp"], "did you mean 'users'?"),
        ("USERS", ["users", "ramp"], "did you mean 'users'?"),
        ("zzz", ["users", "ramp"], "there is: ramp, users"),
        ("zzz", [], "add one"),
        ("zzz", [f"name{n:02}" for n in range(20)], "there is: name00, name01, name02, name03, name04, name05, name06, "
            "name07, name08, name09, name10, name11, ..."),
    ],
)  # fmt: skip
def test_the_nearest_right_word(word: str, known: list[str], text: str) -> None:
    assert mend(word, known, "add one") == text


def test_a_path_as_people_write_it() -> None:
    assert dotted(("timeline", 0, "on")) == "timeline[0].on"
    assert dotted(()) == ""
