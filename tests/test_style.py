"""The house rules that a linter does not know. A rule that nothing enforces is not a rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("chaosctl/**/*.py"), *ROOT.glob("bots/**/*.py"), *ROOT.glob("experiments/**/*.py")])
EVERYTHING = sorted(
    [
        *SOURCES,
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("benchmarks/**/*.py"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
    ]
)
FILE_LINES = 400
FUNCTION_LINES = 50
VAGUE = {"utils", "util", "core", "manager", "helpers", "helper", "misc", "common"}
# A number whose name is one of these must say its unit: timeout_s, delay_ms, size_bytes.
NEEDS_UNIT = re.compile(r"(^|_)(timeout|delay|duration|interval|latency|jitter|size|elapsed|deadline)$")


def _ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", EVERYTHING, ids=_ids)
def test_files_are_short_enough_to_read(path: Path) -> None:
    if path.suffix == ".py":
        assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_functions_are_short_enough_to_read(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text())):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= FUNCTION_LINES, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("path", EVERYTHING, ids=_ids)
def test_names_of_files_say_what_is_in_them(path: Path) -> None:
    assert not VAGUE & {part.lower() for part in path.relative_to(ROOT).with_suffix("").parts}


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_what_is_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) is not None or not tree.body, "the module has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_numbers_carry_their_units_in_their_names(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AnnAssign | ast.arg) and isinstance(node.annotation, ast.Name):
            name = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", "")
            if node.annotation.id in ("int", "float"):
                assert not NEEDS_UNIT.search(name), f"line {node.lineno}: {name} does not say its unit"


@pytest.mark.parametrize("path", EVERYTHING, ids=_ids)
def test_nothing_names_a_machine(path: Path) -> None:
    if path != Path(__file__):
        found = re.search(
            r"/home/\w+|/work/\w+|/root/|pypi\.org|registry-1\.docker|proxy\.golang\.org", path.read_text()
        )
        assert found is None, found


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/**/*.yaml")), ids=_ids)
def test_experiments_name_their_schema_for_editors(path: Path) -> None:
    if "\nname:" not in path.read_text():
        return  # a part that experiments share by `extends:`, not an experiment
    first = path.read_text().splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match, "the first line must be `# yaml-language-server: $schema=...`"
    assert (path.parent / match[1]).resolve() == ROOT / "docs" / "experiment.schema.json"
