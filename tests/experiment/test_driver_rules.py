"""What the driver `docker` needs of a service, and what one file for both drivers may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.experiment.extends import load_tree
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.yaml_source import to_plain

from .conftest import GOOD

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]

DOCKER = GOOD.replace("target:\n", "target:\n  driver: docker\n")
BUILT = "      build: { context: image, dockerfile: Other }\n"
WITH_IMAGES = (
    DOCKER.replace("    ledger:\n", "    ledger:\n      image: 'db:5'\n      container_ports: { main: 5432 }\n")
    .replace("    world:\n", f"    world:\n{BUILT}")
    .replace("    gateway:\n", f"    gateway:\n{BUILT}")
)
LEDGER_RUNS = '      run: [ledger, --listen, "${self.main}"]\n'


@pytest.fixture(autouse=True)
def _dockerfile(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Other").touch()


def only(wrong: Wrong, text: str, *overrides: str) -> str:
    problems = wrong(text, *overrides)
    assert len(problems) == 1, problems
    return problems[0].split(": ", 1)[1]


def test_one_file_serves_both_drivers(load: Load) -> None:
    services = load(WITH_IMAGES).experiment.target.services
    assert (services["ledger"].image, services["ledger"].container_ports) == ("db:5", {"main": 5432})
    assert services["world"].build is not None and services["world"].build.dockerfile == "Other"
    assert load(WITH_IMAGES, "target.driver=process").experiment.target.driver == "process"


def test_a_container_may_run_what_its_image_says(load: Load, wrong: Wrong) -> None:
    text = WITH_IMAGES.replace(LEDGER_RUNS, "")
    assert load(text).experiment.target.services["ledger"].run is None
    assert "'run' is missing in target.services.ledger; add `run:" in only(wrong, text, "target.driver=process")


def test_a_container_needs_an_image(wrong: Wrong) -> None:
    text = WITH_IMAGES.replace("      image: 'db:5'\n", "")
    assert only(wrong, text).startswith("nothing says what target.services.ledger runs from; add `image: NAME` or")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("image: 'db:5'", "image: x\n      build: {}", "give image or build, not both"),
        ("{ main: 5432 }", "{ man: 5432 }", "the service has no port 'man'; did you mean 'main'?"),
        ("{ main: 5432 }", "{ main: 70000 }", "'70000' is out of bounds; write at most 65535"),
        ("{ main: 5432 }", "{ main: true }", "'true' is not a whole number"),
        ("dockerfile: Other", "dockerfile: Oter", "there is no file '"),
        ("{ http: status/healthz, within: 10s }", "{ health: false }", "exactly one of tcp, http, log, command"),
    ],
)
def test_what_is_wrong_with_containers(wrong: Wrong, old: str, new: str, expected: str) -> None:
    assert expected in " ".join(wrong(WITH_IMAGES.replace(old, new)))


def test_two_ports_with_one_number(wrong: Wrong) -> None:
    text = WITH_IMAGES.replace("      ports: [main]\n    world", "      ports: [main, b]\n    world")
    said = only(wrong, text.replace("{ main: 5432 }", "{ main: 5432, b: 5432 }"))
    assert said == "2 ports have the number 5432; give each a number of its own"


def test_a_process_has_no_health_check(wrong: Wrong, load: Load) -> None:
    text = WITH_IMAGES.replace("{ http: status/healthz, within: 10s }", "{ health: true }")
    assert load(text).experiment.target.services["world"].ready is not None
    assert "only containers have a health check" in only(wrong, text, "target.driver=process")


def test_a_dockerfile_is_only_looked_for_where_it_is_needed(load: Load, tmp_path: Path) -> None:
    (tmp_path / "image" / "Other").unlink()
    load(WITH_IMAGES, "target.driver=process")


def test_a_build_context_means_the_file_that_it_is_written_in(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    services = "a: {build: {}}, b: {build: {context: sub}}, c: {image: x}"
    (tmp_path / "base" / "base.yaml").write_text(f"target: {{services: {{{services}}}}}\n")
    (tmp_path / "child.yaml").write_text("extends: base/base.yaml\n")
    plain = to_plain(load_tree(tmp_path / "child.yaml", {})[0])["target"]["services"]
    assert [plain[name].get("build") for name in "abc"] == [{"context": "base"}, {"context": "base/sub"}, None]
