from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.errors import ExperimentError
from chaosctl.experiment.yaml_source import MAX_BYTES, Mark, locate, parse, read_text, resolve_scalar, to_plain


def problem(text: str) -> str:
    with pytest.raises(ExperimentError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


def unreadable(path: Path) -> str:
    with pytest.raises(ExperimentError) as caught:
        read_text(path)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1:1: is empty"),
        ("# only a comment\n", "f.yaml:1:1: is empty"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: a tab cannot stand here; indent with spaces"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' stands here again (first in line 1); keep one of them"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here"),
        ("a: [1\nb: 2\n", "f.yaml:2:2: YAML syntax: while parsing a flow sequence"),
        ("a: b: c\n", "f.yaml:1:5: a second ': ' on this line"),
        ("a: {b: ${X}}\n", "f.yaml:1:9: a '{' cannot stand here; inside [ ] and { }, put a text with ${...} in quotes"),
        ("a: @b\n", "f.yaml:1:4: character '@' that cannot start any token; put the value in quotes"),
        ("a: 'x\n", "the quote opened in line 1 is never closed"),
        ("a: x\x00y\n", "f.yaml:1:5: the character U+0000 is not allowed in YAML; remove it"),
        ("a: *b\n", "f.yaml:1:4: *b names no anchor"),
        ("a: &b [*b]\n", "f.yaml:1:8: *b contains itself"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: the tag"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a word"),
        ("a:\n  <<: [1]\n", "f.yaml:2:7: `<<` takes a mapping"),
        ("%YAML 3.0\n---\na: 1\n", "f.yaml:1:1: YAML syntax"),
        ("a: " + "[" * 200_000, "f.yaml:1:36: nested more than 32 deep"),
    ],
)
def test_what_is_no_single_mapping_is_named_at_its_place(text: str, expected: str) -> None:
    assert expected in problem(text)


def test_every_duplicate_is_reported_at_once() -> None:
    assert problem("a: 1\na: 2\nb: 1\nb: 2\n").count("stands here again") == 2


def test_a_bomb_of_aliases_is_refused_before_it_expands() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values after aliases are expanded; write fewer" in problem("\n".join(lines))


def test_a_ladder_of_aliases_is_refused_before_it_is_too_deep() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]" for n in range(1, 60))]
    assert "nested more than 32 deep" in problem("\n".join(lines))


def test_anchors_and_merge_keys_work_as_in_yaml() -> None:
    root = parse("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nlist: [*b]\n", "f")
    assert to_plain(root) == {"base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}, "list": [{"x": 1, "y": 2}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("0x10", "0x10"),
        ("~", None), ("", None), ("true", True), ("-5", -5), ("1.5", 1.5), ("1e3", 1000.0), ("9" * 30, float("9" * 30)),
        ("9" * 5000, "9" * 5000), (".nan", ".nan"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert resolve_scalar(text) == value
    assert type(resolve_scalar(text)) is type(value)


def test_quotes_make_text() -> None:
    assert to_plain(parse("a: '5'\nb: |\n  5\n", "f")) == {"a": "5", "b": "5\n"}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?\n \t0\x00\ufeff~", max_size=40))
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    try:
        to_plain(parse(text, "f"))
    except ExperimentError as error:
        assert all(wrong.line >= 1 and wrong.column >= 1 and ";" in wrong.text for wrong in error.problems)


def test_places_of_values_keys_and_mappings() -> None:
    root = parse("a:\n  b: [x, {c: 1}]\nd:\n", "f")
    for path, at_key, place in [
        (("a",), False, (1, 1)),
        (("a", "b"), False, (2, 6)),
        (("a", "b"), True, (2, 3)),
        (("a", "b", 1, "c"), False, (2, 14)),
        (("a", "b", 1, "absent"), False, (2, 10)),
        (("d",), False, (3, 1)),
        ((), False, (1, 1)),
    ]:
        mark = locate(root, path, at_key)
        assert (mark.line, mark.column) == place, path


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "world-crash.yaml").write_text("a: 1")
    assert "did you mean" in unreadable(tmp_path / "world-crsh.yaml")
    assert "there is no such file; check the path" in unreadable(tmp_path / "zzz.yaml")
    assert "there is no such file" in unreadable(tmp_path / "no" / "folder.yaml")
    assert "is a folder; name an experiment file, such as" in unreadable(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not an ordinary file" in unreadable(tmp_path / "pipe")
    assert "cannot be read (File name too long)" in unreadable(tmp_path / ("x" * 300))
    assert "there is no such file" in unreadable(tmp_path / "nul\0")


def test_a_file_in_another_encoding_is_refused_at_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: für\n".encode("latin-1"))
    assert unreadable(path) == "2:5: byte 0xfc is not UTF-8; save the file in UTF-8"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert to_plain(parse(read_text(path), "f")) == {"a": 1}


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 1 MiB" in unreadable(path)


def test_a_file_without_the_right_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert unreadable(path) == "1:1: cannot be read (Permission denied); make it readable, or name another file"


def test_a_problem_is_one_line_of_bearable_length() -> None:
    text = Mark("f", 1, 1).problem("the key '\n\x1b[31m" + "x" * 10_000 + "' is unknown; remove it").text
    assert text.startswith("the key '\\n\\x1b[31mxxx")
    assert text.endswith("remove it")
    assert len(text) < 420
