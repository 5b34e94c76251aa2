from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.errors import ExperimentError
from chaosctl.experiment.extends import load_tree
from chaosctl.experiment.yaml_source import locate, to_plain


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(files))}.yaml"


def refused(path: Path, **environ: str) -> str:
    with pytest.raises(ExperimentError) as caught:
        load_tree(path, environ)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_mappings_merge_lists_and_values_replace_and_null_removes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        child="extends: ./parent.yaml\na: {x: 9, gone: null}\nlist: [3]\nown: null\n",
        parent="extends: grand.yaml\na: {x: 1, gone: 2}\nb: 1\n",
        grand="a: {y: 1}\nb: 2\nlist: [1, 2]\n",
    )
    tree, source = load_tree(path, {})
    assert to_plain(tree) == {"a": {"x": 9, "y": 1}, "b": 1, "list": [3], "own": None}
    assert source == path.read_text()
    assert locate(tree, ("a", "y")).file == str(tmp_path / "grand.yaml")
    assert locate(tree, ("a", "x")).line == 2


def test_the_parent_may_come_from_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, child="extends: ${BASE}.yaml\n", other="a: 1\n")
    assert to_plain(load_tree(path, {"BASE": "other"})[0]) == {"a": 1}
    assert "child.yaml:1:10: BASE is not set" in refused(path)


@pytest.mark.parametrize(
    ("child", "parent", "expected"),
    [
        ("extends: ./missing.yaml", "", "child.yaml:1:10: extends missing.yaml: there is no such file"),
        ("extends: [a]", "", "child.yaml:1:10: extends takes one file"),
        ("extends: parent.yaml", "extends: child.yaml", "child.yaml -> parent.yaml -> child.yaml"),
        ("extends: child.yaml", "", "child.yaml:1:10: extends goes round in a circle"),
        ("extends: parent.yaml", "a: [", "parent.yaml:1:5: YAML syntax"),
        ("extends: parent.yaml", "- a", "parent.yaml:1:1: is not a mapping"),
        ("just text", "", "child.yaml:1:1: is not a mapping"),
    ],
)
def test_what_cannot_be_inherited(tmp_path: Path, child: str, parent: str, expected: str) -> None:
    assert expected in refused(write(tmp_path, child=child, parent=parent))


def test_a_long_chain_ends(tmp_path: Path) -> None:
    files = {f"f{n}": f"extends: f{n + 1}.yaml" for n in range(40)}
    assert "more than 16 files extend each other" in refused(write(tmp_path, **files))


def test_paths_mean_the_file_that_they_are_written_in(tmp_path: Path) -> None:
    for folder in ("base", "base/deep", "mine"):
        (tmp_path / folder).mkdir(exist_ok=True)
    base = (
        "swarm: {bots: ../bots.py:Player}\ntarget: {services: {a: {run: [x]}, b: {folder: sub}, c: {folder: /abs}}}\n"
    )
    write(tmp_path / "base", base=base)
    write(tmp_path / "base" / "deep", middle="extends: ../base.yaml\ntarget: {services: {d: {folder: .}}}\n")
    path = write(
        tmp_path / "mine",
        child="extends: ../base/deep/middle.yaml\ntarget: {services: {b: {folder: own}, e: {run: [y]}}}\n",
    )
    plain = to_plain(load_tree(path, {})[0])
    assert plain["swarm"]["bots"] == "../bots.py:Player"
    folders = {name: service.get("folder") for name, service in plain["target"]["services"].items()}
    assert folders == {"a": "../base", "b": "own", "c": "/abs", "d": "../base/deep", "e": None}


def test_what_is_no_path_is_left_to_those_who_validate(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    write(tmp_path / "up", parent="swarm: [1]\ntarget: {services: {a: 3, b: {folder: [x]}, c: {folder: '${WHERE}'}}}\n")
    plain = to_plain(load_tree(write(tmp_path, child="extends: up/parent.yaml\n"), {})[0])
    assert plain == {
        "swarm": [1],
        "target": {"services": {"a": 3, "b": {"folder": ["x"]}, "c": {"folder": "${WHERE}"}}},
    }
