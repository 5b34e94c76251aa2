from __future__ import annotations

import pytest

from chaosctl.experiment.overrides import apply_overrides
from chaosctl.experiment.yaml_source import MapNode, locate, parse, to_plain

TEXT = """\
swarm: { users: 5, cohorts: { far: { share: 20% } } }
timeline: [{ at: 0s, latency: 80ms }]
target: { services: { world: { run: [a] } } }
"""


def tree() -> MapNode:
    root = parse(TEXT, "f")
    assert isinstance(root, MapNode)
    return root


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("swarm.users=500", ("swarm", "users"), 500),
        ("timeline[0].latency=200ms", ("timeline", 0, "latency"), "200ms"),
        ("swarm.cohorts.far.share=", ("swarm", "cohorts", "far"), {}),
        ("swarm.rate=10/s", ("swarm", "rate"), "10/s"),
        ("objectives.recovery.serviceable=3s", ("objectives", "recovery", "serviceable"), "3s"),
        ("objectives.conserved=[gold, iron]", ("objectives", "conserved"), ["gold", "iron"]),
        ("name='007'", ("name",), "007"),
        ("hypothesis=a: b = c", ("hypothesis",), "a: b = c"),
        ("probe={every: 20ms}", ("probe", "every"), "20ms"),
        ("timeline=[]", ("timeline",), []),
    ],
)
def test_a_value_is_set(override: str, path: tuple[str | int, ...], value: object) -> None:
    root, problems = apply_overrides(tree(), [override])
    assert problems == ()
    found = to_plain(root)
    for part in path:
        found = found[part]
    assert found == value
    if value:
        assert locate(root, path, at_key=True).file == "--set"


def test_the_rest_stays_as_it_was() -> None:
    root, _ = apply_overrides(tree(), ["swarm.users=6", "swarm.users=7"])
    expected = to_plain(tree())
    expected["swarm"]["users"] = 7
    assert to_plain(root) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("swarm.users", "is not path=value; write it as swarm.users=500"),
        ("=5", "is not path=value"),
        ("a..b=5", "is not path=value"),
        ("timeline[3].at=5s", "there is no 'timeline[3]'; its last item is [0]"),
        ("timeline.at=5s", "'timeline' is a list; write its place, as in [0]"),
        ("swarm[0]=5", "'swarm' is not a list; name one of its keys"),
        ("swarm.users.x=5", "'swarm.users' is one value; set it as a whole"),
        ("target.services.wrld.replicas=3", "there is no 'target.services.wrld'; did you mean 'world'?"),
        ("swarm.cohorts.fart.share=3%", "there is no 'swarm.cohorts.fart'; did you mean 'far'?"),
        ("swarm.user=null", "there is no 'swarm.user' to remove; did you mean 'users'?"),
        ("timeline=[1", "the value [1: YAML syntax"),
        ("name='x", "the quote opened"),
    ],
)
def test_what_cannot_be_set_is_named_by_its_number(override: str, expected: str) -> None:
    root, problems = apply_overrides(tree(), ["swarm.users=5", override])
    assert [(problem.file, problem.line) for problem in problems] == [("--set", 2)]
    assert expected in problems[0].text
    assert to_plain(root) == to_plain(tree())


def test_every_bad_override_is_reported() -> None:
    assert len(apply_overrides(tree(), ["x", "y", "swarm.users=1"])[1]) == 2
