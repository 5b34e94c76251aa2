from __future__ import annotations

import pytest

from chaosctl.errors import ChaosctlError
from chaosctl.experiment.interpolate import expand, interpolate, is_filled_in, placeholders
from chaosctl.experiment.yaml_source import parse, to_plain


def filled(text: str, **environ: str) -> tuple[object, list[str]]:
    root, problems = interpolate(parse(text, "f"), environ)
    return to_plain(root), [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${USERS}", {"USERS": "7"}, 7),
        ("'${USERS}'", {"USERS": "7"}, "7"),
        ("${USERS:-8}", {}, 8),
        ("${USERS:-8}", {"USERS": ""}, 8),
        ("${USERS}", {"USERS": ""}, None),
        ("${USERS:-}", {}, None),
        ("${A}-${B:-b}", {"A": "a"}, "a-b"),
        ("'${URL:-http://x:1/?a=b}'", {}, "http://x:1/?a=b"),
        ("$$5 $x", {}, "$5 $x"),
        ("$${state}", {}, "${state}"),
        ("${A}", {"A": "${B}"}, "${B}"),
    ],
)
def test_the_environment_is_filled_in(text: str, environ: dict[str, str], value: object) -> None:
    assert filled(f"a: {text}", **environ) == ({"a": value}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${USERS}", "f:1:4: USERS is not set in the environment; set it, or write ${USERS:-default}"),
        ("'${USERS:?how many}'", "f:1:4: USERS is not set in the environment: how many; set USERS"),
        ("${state}", "f:1:4: '${state}' is filled in only in commands and env"),
        ("${Users}", "f:1:4: '${Users}' is neither"),
        ("'${A'", "f:1:4: '${A' is not closed"),
        ("${A-x}", "is neither"),
    ],
)
def test_what_cannot_be_filled_in_is_named(text: str, expected: str) -> None:
    assert expected in filled(f"a: {text}")[1][0]


def test_run_time_texts_keep_their_placeholders_and_doubled_dollars() -> None:
    text = "target: {services: {world: {run: ['${self.main}', '$$x', '${PATH}'], folder: '$$x'}}}"
    value, problems = filled(text, PATH="$b")
    assert problems == []
    assert value == {"target": {"services": {"world": {"run": ["${self.main}", "$$x", "$$b"], "folder": "$x"}}}}


def test_what_survives_to_run_time_comes_out_as_it_was_meant() -> None:
    text = "target: {services: {w: {run: ['$${state}', '${VALUE}', '${state}']}}}"
    value, _ = filled(text, VALUE="${state}")
    words = value["target"]["services"]["w"]["run"]  # type: ignore[index]
    assert expand(words, {"state": "/s"}) == ("${state}", "${state}", "/s")


def test_expand_refuses_what_has_no_value() -> None:
    assert expand(["${a}${a}", "x"], {"a": "1"}) == ("11", "x")
    with pytest.raises(ChaosctlError, match=r"'\$\{self\.mian\}' has no value here; did you mean 'self\.main'\?"):
        expand(["${self.mian}"], {"self.main": "1", "state": "2"})


def test_placeholders_and_where_they_may_stand() -> None:
    assert list(placeholders("$${no} ${a.b} ${c}")) == ["a.b", "c"]
    assert is_filled_in(("target", "services", "w", "offers", "replay", "run", 0))
    assert not is_filled_in(("target", "services", "w", "folder"))
    assert not is_filled_in(("swarm", "bots"))
