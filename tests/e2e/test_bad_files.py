"""Every bad experiment file is refused in words, with its place and a mend, and nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import TINY, Place

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

LEVELS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
BOMB = f"l0: &l0 [{', '.join(['x'] * 9)}]\n{LEVELS}\n"

# What is written, the place that is named, and what is said of it.
REFUSED = {
    "empty": (b"", "1:1", "is empty"),
    "only-a-comment": (b"# soon\n", "1:1", "is empty"),
    "bomb": (BOMB.encode(), "", "aliases"),
    "tabs": (b"name: tiny\ntarget:\n\tservices: {}\n", "3:1", "indent with spaces"),
    "duplicate": (b"name: tiny\nduration: 3s\nname: tiny\n", "3:1", "'name' stands here again (first in line 1)"),
    "not-utf8": (b"name: tiny\nhypothesis: Caf\xe9\n", "2:16", "is not UTF-8; save the file in UTF-8"),
    "not-yaml": (b"name: [tiny\n", "", "not-yaml.yaml"),
    "a-list": (b"- name: tiny\n", "1:1", "a-list.yaml"),
}


def edited(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """Return a copy of the tiny experiment with the changes made."""
    text = TINY.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_experiment_is_refused_with_its_place(place: Place, name: str) -> None:
    text, where, said = REFUSED[name]
    path = place.folder / f"{name}.yaml"
    path.write_bytes(text)
    ended = place.chaosctl("validate", path)
    assert ended.code == 3
    assert ended.err.startswith(f"{path}:{where}")
    assert said in ended.err
    assert len(ended.err) < 2000
    assert ended.out == ""


def test_a_missing_file_and_a_folder_are_refused(place: Place) -> None:
    missing = place.chaosctl("run", "nowhere.yaml", "--out", "never")
    assert (missing.code, missing.err) == (3, "nowhere.yaml:1:1: there is no such file; check the path\n")
    folder = place.chaosctl("plan", place.folder)
    assert folder.code == 3
    assert "is a folder; name an experiment file" in folder.err
    assert not (place.folder / "never").exists()


def test_all_problems_are_told_at_once_each_with_its_place_and_the_nearest_right_word(place: Place) -> None:
    path = edited(
        place.folder,
        "many.yaml",
        ("ramp: 500ms", "ramp: 500 parsecs"),
        ("on: bots-tiny, latency", "on: bots-tinny, latency"),
        ("fault: kill, on: tiny", "fault: kil, on: tiny"),
        ("users: 10", "user: 10"),
        ("lost_acks", "lost_ack"),
    )
    ended = place.chaosctl("run", path, "--out", "never")
    assert ended.code == 3
    problems = ended.err.splitlines()
    lines = dict(enumerate(path.read_text().splitlines(), 1))
    wanted = {
        "500 parsecs": "'500 parsecs' is not a duration; write it as 80ms",
        "bots-tinny": "there is no link 'bots-tinny'; did you mean 'bots-tiny'?",
        "kil,": "there is no fault 'kil'; did you mean 'kill'?",
        "user:": "unknown key 'user'; did you mean 'users'?",
        "lost_ack:": "there is no objective 'lost_ack'; did you mean 'lost_acks'?",
    }
    for wrong, said in wanted.items():
        ((number, line),) = [(number, line) for number, line in lines.items() if wrong in line]
        assert any(p.startswith(f"{path}:{number}:{line.index(wrong) + 1}: {said}") for p in problems), (said, problems)
    assert not (place.folder / "never").exists()


def test_an_unknown_service_is_named_with_the_nearest(place: Place) -> None:
    path = edited(place.folder, "service.yaml", ("fault: kill, on: tiny", "fault: kill, on: tinny"))
    ended = place.chaosctl("validate", path)
    assert ended.code == 3
    assert "there is no service 'tinny'; did you mean 'tiny'?" in ended.err


def test_values_set_from_outside_are_checked_as_those_in_the_file(place: Place) -> None:
    ended = place.chaosctl("validate", TINY, "--set", "swarm.users=many", "--set", "swarm.usrs=5")
    assert ended.code == 3
    assert "--set:1:1: " in ended.err
    assert "'usrs'" in ended.err
    assert "did you mean 'users'?" in ended.err
