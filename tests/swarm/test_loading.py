"""Bots files that are wrong: each gets one sentence. One process for all, since Locust patches who imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

BOT = "from chaosctl.swarm.bot import Bot\n"
WEB = "from locust import HttpUser, User, task\n"
# name: text of the file, the class that is named, what the sentence says
WRONG = {
    "syntax": ("x = (\n", None, "syntax.py:1: SyntaxError"),
    "raises": ("\n\nraise RuntimeError('no luck')\n", None, "raises.py:3: RuntimeError: no luck; "),
    "exits": ("import sys\nsys.exit(2)\n", None, "exits.py:2: SystemExit: 2; "),
    "empty": ("", None, "empty.py: there is no User class in it; define one"),
    "misspelt": (f"{BOT}class Player(Bot):\n    def turn(self): ...\n", "Playr", "did you mean 'Player'?"),
    "unknown": (f"{BOT}class Player(Bot):\n    def turn(self): ...\n", "Zebra", "it has Player"),
    "no-user": ("class Player: ...\n", "Player", "'Player' is not a Locust User class"),
    "base": (BOT, "Bot", "name a subclass of it"),
    "no-turn": (f"{BOT}class Player(Bot): ...\n", None, "class 'Player' has no turn(self)"),
    "no-task": (f"{WEB}class Visitor(HttpUser): ...\n", None, "class 'Visitor' has no task"),
}
RIGHT = {
    "all": (f"{BOT}{WEB}class A(Bot):\n    def turn(self): ...\nclass B(A): ...\n", None, ["A", "B"]),
    "one": (f"{BOT}class A(Bot):\n    def turn(self): ...\nclass B(A): ...\n", "B", ["B"]),
    "no-weight": (f"{BOT}class A(Bot):\n    def turn(self): ...\nclass B(A):\n    weight = 0\n", None, ["A"]),
    "beside": ("from neighbour import A\n", None, ["A"]),
    # Its name is that of a module which half of the standard library imports.
    "http": ("import http.client\nfrom neighbour import A\n", None, ["A"]),
}
PROGRAM = """
import locust, json, sys
from pathlib import Path
from chaosctl.errors import NotReadyError
from chaosctl.swarm.loading import load_user_classes
said = {}
for file, name in json.loads(sys.argv[1]):
    try:
        said[Path(file).stem] = [found.__name__ for found in load_user_classes(Path(file), name)]
    except NotReadyError as error:
        said[Path(file).stem] = str(error)
from chaosctl.swarm.ordinary import judge
import requests, urllib3
no_connection = urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.NewConnectionError(None, "refused"))
aborted = urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
response = requests.Response()
response.status_code = 503
said["judged"] = [[int(outcome), reason] for outcome, reason in map(judge, (
    None,
    requests.exceptions.ConnectionError(no_connection),
    requests.exceptions.ConnectionError(aborted),
    requests.exceptions.ReadTimeout("late"),
    requests.exceptions.HTTPError("503 at /x", response=response),
    ConnectionRefusedError(111, "refused"),
    TimeoutError(),
    locust.exception.CatchResponseError("only 17 of 20"),
))]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("bots")
    (folder / "neighbour.py").write_text(f"{BOT}class A(Bot):\n    def turn(self): ...\n")
    asked = [[str(folder / "nowhere.py"), None]]
    for name, (text, named, _) in {**WRONG, **RIGHT}.items():
        path = folder / f"{name}.py"
        path.write_text(text)
        asked.append([str(path), named])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)], capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gets_one_sentence(said: dict[str, object], name: str) -> None:
    sentence = str(said[name])
    assert WRONG[name][2] in sentence
    assert sentence.startswith("/")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", RIGHT)
def test_classes_are_found(said: dict[str, object], name: str) -> None:
    assert said[name] == RIGHT[name][2]


def test_a_file_that_is_not_there(said: dict[str, object]) -> None:
    assert Path("nowhere.py").name in str(said["nowhere"])
    assert "there is no such Python file" in str(said["nowhere"])


def test_exceptions_of_ordinary_users_are_judged(said: dict[str, object]) -> None:
    ok, fail, info = range(3)
    assert said["judged"] == [
        [ok, ""],
        [fail, "refused"],
        [info, "cut"],
        [info, "silent"],
        [fail, "HTTP 503"],
        [fail, "refused"],
        [info, "silent"],
        [fail, "CatchResponseError: only N of N"],
    ]
