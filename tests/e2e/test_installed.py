"""What a user gets: the built wheel in an environment of its own, in folders that know nothing of this repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaosctl.safety.label import processes_of
from tests.e2e.harness import wait_until
from tests.e2e.shortened import SHORT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

REPOSITORY = Path(__file__).parents[2]
NO_INDEX = ("No matching distribution found", "Could not find a version", "NewConnectionError", "ConnectionError")

LOCUSTFILE = """\
from locust import HttpUser, constant_pacing, task


class Customer(HttpUser):
    wait_time = constant_pacing(0.1)

    @task
    def look(self):
        self.client.get("/")
"""
SHOP = """\
import http.server
import sys

host, _, port = sys.argv[1].rpartition(":")
http.server.ThreadingHTTPServer((host, int(port)), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
EXPERIMENT = """\
name: shop
hypothesis: Customers of a shop whose link is slow for a while are all served.
target:
  services:
    shop:
      run: [python3, shop.py, "${self.main}"]
      ports: [main]
      ready: { http: main/, within: 10s }
      probe: { http: / }
  links:
    customers-shop: { to: shop }
swarm:
  bots: locustfile.py
  users: 10
  ramp: 500ms
baseline: 1s
timeline:
  - { at: 0s, for: 1s, fault: latency, on: customers-shop, latency: 60ms }
duration: 4s
objectives:
  recovery: { serviceable: 3s }
  errors: { at_most: 5%, during: all }
"""


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel; it sees the checkout's dependencies, but not the checkout."""

    folder: Path

    def run(self, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in that folder, to its end."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("CHAOSCTL_", "PYTHON"))}
        environ |= {"XDG_STATE_HOME": str(self.folder / "state"), "COLUMNS": "200", "NO_COLOR": "1"}
        program = self.folder / "venv" / "bin" / words[0]
        return subprocess.run(
            [program, *words[1:]],
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def chaosctl(self, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command. No traceback ever reaches a user."""
        ended = self.run(cwd, "chaosctl", *words)
        assert "Traceback" not in ended.stdout + ended.stderr, ended
        return ended


def build_wheel(folder: Path) -> Path:
    """Build the wheel as pip does, in isolation; skip where pip reaches no index for the build's own tools."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(REPOSITORY),
        "--no-deps",
        "--quiet",
        "--wheel-dir",
        str(folder),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if built.returncode and any(sign in built.stderr for sign in NO_INDEX):
        pytest.skip("pip reaches no package index to build the wheel with")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment. Its dependencies are borrowed by a path file: path files there do not count."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(folder)
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    install = [sys.executable, "-m", "pip", "--python", str(folder / "venv" / "bin" / "python"), "install"]
    subprocess.run([*install, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=60)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(folder)


@pytest.fixture(scope="module")
def starter(installed: Installed) -> Path:
    """What `chaosctl init` writes into an empty folder."""
    folder = installed.folder / "my-chaos"
    folder.mkdir()
    ended = installed.chaosctl(folder, "init")
    assert ended.returncode == 0, ended
    return folder


def judged(bundle: Path, ended: subprocess.CompletedProcess[str]) -> Any:
    """Return the verdict of a run that passed and of which nothing is left."""
    assert ended.returncode == 0, ended
    verdict = json.loads((bundle / "verdict.json").read_text())
    assert verdict["status"] == "pass"
    wait_until(lambda: not processes_of(verdict["run_id"]), "no process is left", 2)
    return verdict


def test_what_is_imported_is_the_wheel(installed: Installed) -> None:
    ended = installed.run(installed.folder, "python", "-c", "import chaosctl; print(chaosctl.__file__)")
    assert Path(ended.stdout.strip()).is_relative_to(installed.folder)


def test_the_starter_runs_at_once(installed: Installed, starter: Path) -> None:
    files = [path.relative_to(starter).as_posix() for path in sorted(starter.rglob("*.yaml"))]
    assert "experiments/arena/world-crash.yaml" in files
    experiments = [file for file in files if "-" in Path(file).name]  # the others are shared, or for compose
    assert installed.chaosctl(starter, "validate", *experiments).returncode == 0
    words = ("run", "experiments/arena/world-crash.yaml", "--relay", "embedded", *SHORT["world-crash"])
    ended = installed.chaosctl(starter, *words)
    judged(starter / "reports" / "world-crash" / "latest", ended)


def test_init_touches_no_folder_that_holds_something(installed: Installed, starter: Path) -> None:
    before = sorted(starter.rglob("*"))
    ended = installed.chaosctl(starter, "init")
    assert ended.returncode == 2
    assert "is not an empty folder" in ended.stderr
    assert sorted(starter.rglob("*")) == before


def test_an_ordinary_locustfile_in_an_empty_folder(installed: Installed) -> None:
    folder = installed.folder / "shop"
    folder.mkdir()
    for name, text in {"locustfile.py": LOCUSTFILE, "shop.py": SHOP, "shop.yaml": EXPERIMENT}.items():
        (folder / name).write_text(text)
    ended = installed.chaosctl(folder, "run", "shop.yaml", "--relay", "embedded", "--out", "bundle")
    verdict = judged(folder / "bundle", ended)
    assert {one["name"] for one in verdict["objectives"]} == {"recovery.serviceable", "errors"}
