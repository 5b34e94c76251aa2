"""What a run leaves for people: the same again from the files alone, and a page that a real browser shows whole."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, SHORT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

REPORTS = ("report.html", "verdict.json", "junit.xml", "summary.md")
WIDTHS = (1200, 400)
CALM = re.compile(r"\[bokeh [0-9.]+\] (setting log level to|document idle at)")

# The page stands in frames, since no browser window is as narrow as a telephone; each frame says what it shows.
FRAMES = """<!doctype html><body><script>
addEventListener("message", (said) => {
  const shown = document.createElement("pre");
  shown.textContent = JSON.stringify(said.data);
  document.body.append(shown);
});
</script>%s</body>"""
FRAME = '<iframe src="shown.html" style="width: %dpx; height: 900px; border: 0"></iframe>'
LOOK = """<script>
addEventListener("load", () => setTimeout(() => {
  const within = (root) =>
    [...root.querySelectorAll("*")].flatMap((one) => [one, ...(one.shadowRoot ? within(one.shadowRoot) : [])]);
  const colours = (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  };
  const models = Bokeh.documents.flatMap((one) => [...one._all_models.values()]);
  parent.postMessage({
    width: innerWidth,
    needs: document.documentElement.scrollWidth,
    text: document.body.innerText,
    colours: [...document.querySelectorAll(".plot")].map((plot) => {
      const canvas = within(plot).find((one) => one.tagName === "CANVAS");
      return canvas ? colours(canvas) : 0;
    }),
    bands: models.filter((one) => one.type === "BoxAnnotation").map((one) => [one.left, one.right]),
  }, "*");
}, 2000));
</script></body>"""


@pytest.fixture(scope="module")
def judged(place: Place) -> tuple[Run, Ended]:
    """A run that has something for every part of the page: passes, a fail, faults, recovery, replays that part."""
    file = ARENA / "world-crash.yaml"
    run = place.run("judged", *SHORT["world-crash"], file=file, ARENA_DEFECT="wall-clock")
    ended = run.ended(120)
    assert ended.code == 1, ended
    return run, ended


@pytest.fixture(scope="module")
def shown(judged: tuple[Run, Ended], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """What a browser shows of the page in frames of each width, without a complaint on its console."""
    folder = tmp_path_factory.mktemp("shown")
    page = (judged[0].bundle / "report.html").read_text()
    (folder / "shown.html").write_text(page.replace("</body>", LOOK))
    (folder / "frames.html").write_text(FRAMES % "".join(FRAME % width for width in WIDTHS))
    dumped = browse(folder / "frames.html", folder / "profile")
    console = [line.partition('"')[2] for line in dumped.stderr.splitlines() if ":CONSOLE" in line]
    assert [line for line in console if not CALM.match(line)] == []
    frames = [json.loads(html.unescape(text)) for text in re.findall(r"<pre>(.*?)</pre>", dumped.stdout, re.DOTALL)]
    assert sorted(frame["width"] for frame in frames) == sorted(WIDTHS), dumped
    return {frame["width"]: frame for frame in frames}


def browse(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    """Open the page in a headless browser and return its document, and its console on stderr."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--window-size=1300,1000"]
    chromium = [shutil.which("chromium") or "chromium", *options, f"--user-data-dir={profile}"]
    command = [*chromium, "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_is_judged_again_from_its_files_with_the_same_answer(place: Place, judged: tuple[Run, Ended]) -> None:
    run, _ = judged
    again = place.chaosctl("verify", run.bundle, "--json")
    assert again.code == 1
    assert again.json == run.verdict()


def test_the_summary_is_printed_again(place: Place, judged: tuple[Run, Ended]) -> None:
    run, ended = judged
    again = place.chaosctl("verify", run.bundle)
    assert (again.code, again.out) == (1, ended.out)


def test_the_reports_are_made_again_to_the_byte(place: Place, judged: tuple[Run, Ended]) -> None:
    run, _ = judged
    before = {name: (run.bundle / name).read_bytes() for name in REPORTS}
    for name in REPORTS:
        (run.bundle / name).unlink()
    assert place.chaosctl("report", run.bundle).code == 0
    for name in REPORTS:
        assert (run.bundle / name).read_bytes() == before[name], f"{name} is another one"


@pytest.mark.needs("chromium")
def test_a_browser_shows_the_verdict_every_objective_and_every_fault(
    judged: tuple[Run, Ended], shown: dict[int, Any]
) -> None:
    verdict, text = judged[0].verdict(), shown[1200]["text"]
    assert verdict["experiment"] in text
    assert "fail" in text.splitlines()[0].lower()
    for objective in verdict["objectives"]:
        assert objective["name"] in text
        assert objective["why"] in text
    for fault in verdict["faults"]:
        assert fault["id"] in text
        assert fault["proof"] in text
    assert verdict["replays"][0]["diff"][0]["path"] in text


@pytest.mark.needs("chromium")
def test_a_browser_draws_every_plot_and_the_bands_of_the_faults(
    judged: tuple[Run, Ended], shown: dict[int, Any]
) -> None:
    for frame in shown.values():
        bands = [band for band in frame["bands"] if None not in band]
        assert len(frame["colours"]) >= 4
        assert min(frame["colours"]) > 5, "an empty plot has one colour"
        for fault in judged[0].verdict()["faults"]:
            from_s, to_s = fault["applied_ns"] / 1e9, fault["healed_ns"] / 1e9
            assert any(band == pytest.approx([from_s, to_s], abs=0.2) for band in bands), (fault, bands)


@pytest.mark.needs("chromium")
def test_on_a_telephone_nothing_is_wider_than_the_screen(shown: dict[int, Any]) -> None:
    assert shown[400]["needs"] <= 400
