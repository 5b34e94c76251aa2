"""The commands as a person, a pipeline and an editor use them."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest

from tests.e2e.harness import HELD, TINY, Ended, Place, Run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

COMMANDS = (
    "run",
    "validate",
    "plan",
    "faults",
    "verify",
    "replay",
    "shrink",
    "explain",
    "report",
    "runs",
    "doctor",
    "init",
    "schema",
    "restore",
    "halt",
    "resume",
)
REPORTS = ("verdict.json", "report.html", "junit.xml", "summary.md")
HEAVY = ("pyarrow", "numpy", "docker", "requests", "locust", "gevent", "bokeh", "jinja2", "pydantic", "ruamel")


@pytest.fixture(scope="module")
def recorded(place: Place) -> tuple[Run, Ended]:
    """One run to its end, for all that can be done with it."""
    run = place.run("recorded", "--json", "--seed", "7")
    return run, run.ended()


def test_a_run_passes_and_leaves_nothing(recorded: tuple[Run, Ended]) -> None:
    run, ended = recorded
    assert ended.code == 0, ended
    run.nothing_is_left()
    assert run.events()[-1]["event"] == "run_ended"
    assert [fault["proved"] for fault in run.verdict()["faults"]] == [True, True]


def test_with_json_a_run_prints_its_verdict_and_nothing_else(recorded: tuple[Run, Ended]) -> None:
    run, ended = recorded
    assert ended.json == run.verdict()
    assert ended.json["status"] == "pass"
    assert ended.err == ""


def test_quiet_prints_one_line(place: Place) -> None:
    short = ("timeline=[]", "objectives={lost_acks: 0}", "baseline=500ms", "duration=500ms")
    run = place.run("quiet", "--quiet", *(word for value in short for word in ("--set", value)))
    ended = run.ended()
    assert ended.err == ""
    assert ended.code == 0
    (line,) = ended.out.splitlines()
    assert line == f"pass {run.bundle}/report.html"


def test_verify_gives_the_same_verdict(place: Place, recorded: tuple[Run, Ended]) -> None:
    run, _ = recorded
    again = place.chaosctl("verify", run.bundle, "--json")
    assert (again.code, again.json) == (0, run.verdict())


def test_report_makes_its_files_again(place: Place, recorded: tuple[Run, Ended]) -> None:
    run, _ = recorded
    made = {name: (run.bundle / name).read_bytes() for name in REPORTS}
    for name in REPORTS:
        (run.bundle / name).unlink()
    again = place.chaosctl("report", run.bundle)
    assert again.code == 0
    assert all(str(run.bundle / name) in again.out for name in REPORTS)
    assert (run.bundle / "verdict.json").read_bytes() == made["verdict.json"]
    assert (run.bundle / "summary.md").read_bytes() == made["summary.md"]
    assert (run.bundle / "junit.xml").read_bytes() == made["junit.xml"]
    assert (run.bundle / "report.html").stat().st_size > 100_000


def test_runs_lists_it(place: Place, recorded: tuple[Run, Ended]) -> None:
    run, _ = recorded
    listed = place.chaosctl("runs", place.folder, "--json").json
    assert {"run_id": run.run_id, "status": "pass"}.items() <= next(row for row in listed if row["seed"] == 7).items()
    assert run.bundle.name in place.chaosctl("runs", place.folder).out
    assert "no runs below" in place.chaosctl("runs", place.folder / "nowhere").out


def test_the_same_seed_gives_the_same_plan_byte_for_byte(place: Place) -> None:
    plans = [place.start("plan", TINY, "--json", "--seed", seed) for seed in ("7", "7", "8")]
    one, same, other = (plan.ended() for plan in plans)
    assert one.code == 0
    assert one.out == same.out
    assert one.out != other.out
    assert json.loads(one.out)["seed"] == 7


def test_a_plan_for_people_shows_every_fault_and_the_last_heal(place: Place) -> None:
    shown = place.chaosctl("plan", TINY)
    assert shown.code == 0
    assert "latency" in shown.out
    assert "kill" in shown.out
    assert "heal" in shown.out


def test_valid_files_are_said_to_be(place: Place) -> None:
    ended = place.chaosctl("validate", TINY, HELD)
    assert (ended.code, ended.err) == (0, "")
    assert [line.partition(": ")[2].partition(" ")[0] for line in ended.out.splitlines()] == ["valid", "valid"]


def test_the_schema_takes_the_experiments(place: Place) -> None:
    from ruamel.yaml import YAML

    schema = place.chaosctl("schema").json
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    assert list(validator(schema).iter_errors(YAML(typ="safe").load(TINY.read_text()))) == []


def test_faults_are_explained_one_by_one(place: Place) -> None:
    one = place.chaosctl("faults", "partition")
    assert one.code == 0
    assert "blackhole" in one.out
    assert "kill" not in one.out
    everything = place.chaosctl("faults", "--json").json
    assert {"latency", "partition", "kill", "pause"} <= {fault["name"] for fault in everything}
    unknown = place.chaosctl("faults", "partitoin")
    assert (unknown.code, unknown.err) == (2, "there is no fault 'partitoin'; did you mean 'partition'?\n")


def test_doctor_finds_this_machine_fit(place: Place) -> None:
    assert place.chaosctl("doctor").code == 0
    assert {"Python", "cores"} <= {fact["name"] for fact in place.chaosctl("doctor", "--json").json}


@pytest.mark.parametrize(
    "words", [("rnu",), ("run",), ("run", "x.yaml", "--sede", "1"), ("run", "x.yaml", "--seed", "one"), ("verify", ".")]
)
def test_a_command_line_that_makes_no_sense_exits_with_2(place: Place, words: tuple[str, ...]) -> None:
    ended = place.chaosctl(*words)
    assert ended.code == 2
    assert ended.err
    assert ended.out == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_real_example(place: Place, command: str) -> None:
    helped = place.chaosctl(command, "--help")
    assert helped.code == 0
    assert f"Example: chaosctl {command}" in helped.out


def test_help_is_there_at_once_since_nothing_heavy_is_imported(place: Place) -> None:
    code = "import sys, chaosctl.cli.app; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "chaosctl.cli.run" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    helped = place.chaosctl("--help")
    assert helped.code == 0
    assert all(command in helped.out for command in COMMANDS)


def test_a_starter_is_written_and_valid_and_nothing_is_written_over(place: Place) -> None:
    assert place.chaosctl("init", "mine").code == 0
    assert place.chaosctl("validate", *(place.folder / "mine").glob("experiments/arena/*-*.yaml")).code == 0
    again = place.chaosctl("init", "mine")
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith("mine: is not an empty folder")
