"""Which perturbations this machine can do, and their canaries: each notices that it is there, and that it is not."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.recording.factors import Factor, factor_of, perturbed_run
from chaosctl.replay import perturb
from chaosctl.replay.canary import send_canary
from chaosctl.replay.legs import TWO_LEGS
from chaosctl.replay.perturb import NotHereError, choose_locale, find_faketime, perturbation_of
from chaosctl.replay.start import PLAIN, SHARED_MEMORY, Start, sweep

ENV = {name: value for name, value in os.environ.items() if name not in ("PYTHONHASHSEED", "TZ", "LC_ALL")}


@pytest.mark.e2e
@pytest.mark.parametrize("factor", [factor for factor in Factor if factor not in TWO_LEGS])
def test_a_canary_notices_presence_and_absence(factor: Factor, tmp_path: Path) -> None:
    try:
        perturbation = perturbation_of(factor, ENV, tmp_path)
    except NotHereError as error:
        pytest.skip(str(error))
    there = send_canary(perturbation, tmp_path, ENV)
    assert there.reached, there.text
    absent = send_canary(replace(perturbation, starts=(PLAIN,)), tmp_path, ENV)
    assert not absent.reached
    assert "its canary sees" in absent.text


@pytest.mark.e2e
def test_a_value_that_is_there_already_is_no_perturbation(tmp_path: Path) -> None:
    env = {**ENV, **perturbation_of(Factor.TIMEZONE, ENV).starts[0].env}
    sighting = send_canary(perturbation_of(Factor.TIMEZONE, env), tmp_path, env)
    assert not sighting.reached
    assert "with it and without it" in sighting.text


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("start", "said"),
    [(Start(prefix=("./no-such-wrapper",)), "No such file"), (Start(prefix=("false",)), "it ended with code 1")],
)
def test_a_canary_that_does_not_run_is_said(start: Start, said: str, tmp_path: Path) -> None:
    perturbation = replace(perturbation_of(Factor.ENVIRONMENT, ENV), starts=(start,))
    sighting = send_canary(perturbation, tmp_path, ENV)
    assert not sighting.reached
    assert said in sighting.text


@pytest.mark.e2e
def test_a_locale_that_is_not_installed_reaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturb, "_installed_locales", lambda env: ["C", "xx_YY.utf8"])
    sighting = send_canary(perturbation_of(Factor.LOCALE, ENV), tmp_path, ENV)
    assert not sighting.reached
    assert "unsupported locale" in sighting.text


@pytest.mark.e2e
def test_a_locale_with_a_comma_is_made_where_none_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("localedef") is None or not (perturb.LOCALE_SOURCES / "locales" / "de_DE").is_file():
        pytest.skip("localedef or its sources are not installed")
    monkeypatch.setattr(perturb, "_installed_locales", lambda env: ["C", "en_GB.utf8"])
    sighting = send_canary(perturbation_of(Factor.LOCALE, ENV, tmp_path), tmp_path, ENV)
    assert sighting.reached
    assert "('de_DE.UTF-8', ','" in sighting.text
    assert perturbation_of(Factor.LOCALE, ENV).starts[0].env["LC_ALL"] == "en_GB.utf8"
    monkeypatch.setattr(perturb, "LOCALE_SOURCES", tmp_path / "nowhere")
    assert perturbation_of(Factor.LOCALE, ENV, tmp_path).starts[0].env["LC_ALL"] == "en_GB.utf8"


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (["C", "C.utf8", "POSIX"], None),
        (["C", "en_GB.utf8", "ja_JP.utf8"], "en_GB.utf8"),
        (["en_GB.utf8", "tr_TR.utf8", "de_AT.utf8"], "de_AT.utf8"),
    ],
)
def test_a_locale_with_another_decimal_point_comes_first(installed: list[str], chosen: str | None) -> None:
    assert choose_locale(installed) == chosen


def test_libfaketime_is_found_where_distributions_put_it(tmp_path: Path) -> None:
    assert find_faketime([str(tmp_path)]) is None
    library = tmp_path / "x86_64-linux-gnu" / "faketime" / "libfaketime.so.1"
    library.parent.mkdir(parents=True)
    library.touch()
    assert find_faketime([str(tmp_path)]) == library


@pytest.mark.parametrize("factor", [Factor.CPU, Factor.ADDRESSES, Factor.LOCALE])
def test_what_the_machine_lacks_is_said(factor: Factor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotHereError, match="is not on PATH"):
        perturbation_of(factor, ENV)


def test_one_cpu_cannot_be_chosen_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    with pytest.raises(NotHereError, match="only one CPU"):
        perturbation_of(Factor.CPU, ENV)


def test_runs_are_named_after_their_factor() -> None:
    assert {factor_of(perturbed_run(factor, n)) for factor in Factor for n in (1, "again")} == set(Factor)
    assert factor_of("replay-1") is factor_of("live") is None


@pytest.mark.e2e
def test_a_faked_clock_leaves_nothing_in_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        perturbation = perturbation_of(Factor.CLOCK, ENV)
    except NotHereError as error:
        pytest.skip(str(error))
    swept: list[int] = []
    monkeypatch.setattr("chaosctl.replay.start.sweep", lambda pid: (swept.append(pid), sweep(pid)))
    assert send_canary(perturbation, tmp_path, ENV).reached
    assert len(swept) == 5
    assert not [pid for pid in swept if list(SHARED_MEMORY.glob(f"*faketime_*_{pid}"))]
