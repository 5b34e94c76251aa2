"""What the arena's bots journal of their matches, in a process of its own: Locust patches the one that imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ASK = """
import json, random, sys, time
from locust.env import Environment
from bots import arena

class Written:
    def __init__(self):
        self.events, self.ids = [], 0
    def next_id(self):
        self.ids += 1
        return self.ids
    def sample(self, *fields, **more):
        pass
    def history(self, at_ns, mark, id, bot, f, key, value):
        if f in ("event", "read"):
            self.events.append([f if f == "read" else key, value])

def player(written, answers):
    class One(arena.Player):
        abstract = True
        name, cohort, seed, options, addresses = "ann", "all", "1", {}, ("127.0.0.1:1",)
        random, recorder = random.Random(1), written
        def ask(self, line):
            self.questions_sent += 1
            return answers[line.split()[0]].pop(0)
        def hang_up(self, session):
            written.events.append(["session", session])
    return One(Environment(user_classes=[]))

found = []
for pushes, answers in json.loads(sys.argv[1]):
    written = Written()
    bot = player(written, answers)
    for push in pushes:
        bot.on_push(push)
    if "HELLO" in answers:
        while answers["HELLO"]:
            bot.on_connected()
    elif "SEEN" in answers:
        bot.audit()
    else:
        arena.time = type("Later", (), {"monotonic": staticmethod(lambda: time.monotonic() + 6.1)})
        bot.turn()
    found.append([bot.failed_operations, written.events])
print(json.dumps(found))
"""
STARTED = "* MATCH m1 started bob 10"


def journalled(*cases: tuple[list[str], dict[str, list[str]]]) -> list[tuple[int, list[list[str | None]]]]:
    """Return for each case, of pushes and answers, how many operations failed and what the bot wrote."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(cases)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(failed, events) for failed, events in json.loads(done.stdout.splitlines()[-1])]


def test_ends_are_journalled_as_they_are_told_and_asked_for() -> None:
    told, twice, open_, absent, overdue, again = journalled(
        ([STARTED, "* MATCH m1 settled bob", "* MATCH m1 settled bob", STARTED], {"SEEN": ["SEEN -"]}),
        ([STARTED, "* MATCH m1 rolled_back", "* MATCH m1 settled bob"], {"SEEN": ["SEEN -"]}),
        ([STARTED], {"SEEN": ["SEEN -"], "MATCHES": ["MATCHES m0:settled:ann,m1:open"]}),
        ([STARTED], {"SEEN": ["SEEN -"], "MATCHES": ["MATCHES m0:settled:ann"]}),
        ([STARTED], {"MATCHES": ["MATCHES m1:rolled_back"]}),
        (
            [STARTED],
            {
                "HELLO": ["WELCOME ann fresh k", "WELCOME ann resumed k"],
                "MATCHES": ["MATCHES m1:open", "MATCHES m1:settled:ann"],
                "SEEN": ["SEEN 1-3"],
            },
        ),
    )
    nothing_read: list[list[str | None]] = [["read", None], ["read", ""]]
    assert told == (0, [["m1", "started"], ["m1", "settled"], *nothing_read])
    assert twice == (0, [["m1", "started"], ["m1", "rolled_back"], ["m1", "settled"], *nothing_read])
    assert open_ == (1, [["m1", "started"], *nothing_read, ["m1", "open"]])  # a failure: the audit asks again
    assert absent == (0, [["m1", "started"], *nothing_read, ["m1", "absent"]])
    assert overdue == (0, [["m1", "started"], ["m1", "rolled_back"]])
    read_back = [["read", None], ["read", "1-3"]]
    assert again == (0, [["m1", "started"], ["m1", "open"], ["m1", "settled"], *read_back])


def test_a_session_that_is_gone_is_opened_again() -> None:
    answers = ("ERR say HELLO first", "ERR this session was resumed elsewhere", "ERR something else")
    forgotten, elsewhere, other = (events for _, events in journalled(*(([], {"SEEN": [one]}) for one in answers)))
    read: list[list[str | None]] = [["read", None], ["read", None]]
    assert forgotten == elsewhere == [read[0], ["session", "cut"], read[1]]
    assert other == read
