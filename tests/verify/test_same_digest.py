from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosctl.verify.contract import Status, Verdict
from chaosctl.verify.judge import judge
from tests.fixtures.generator import LOAD_START, S, Truth, make

AFTER_LOAD = LOAD_START + 31 * S


def said(moment: str, digest: str | None, service: str = "redis") -> tuple[int, str, dict[str, Any]]:
    """One observation: a digest, or that there was none."""
    answer = {"ok": True, "digest": digest} if digest is not None else {"ok": False, "error": "refused"}
    return AFTER_LOAD, "observed", {"what": "digest", "service": service, "moment": moment, **answer}


def verdict_of(folder: Path, *events: tuple[int, str, dict[str, Any]]) -> Verdict:
    return judge(make(folder / "run", Truth(objectives={"same_digest": "kill"}, faults=(), events=events)))


def test_the_same_digest_before_and_after_passes(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, said("before", "abc"), said("after", "abc"))
    assert [(one.name, one.status) for one in verdict.objectives] == [("same_digest.redis", Status.PASS)]


def test_another_digest_fails_and_both_are_shown(tmp_path: Path) -> None:
    (finding,) = verdict_of(tmp_path, said("before", "abc"), said("after", "abd")).objectives
    assert finding.status is Status.FAIL
    assert [one.text for one in finding.evidence] == ["before the kill: abc", "after the kill: abd"]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "no digest was asked for"),
        ([said("before", "abc")], "no digest after the kill"),
        ([said("before", None), said("after", "abc")], "no digest before the kill: refused"),
        ([said("before", None), said("after", None)], "no digest before nor after the kill: refused"),
    ],
)
def test_a_digest_that_was_not_seen_is_inconclusive(
    tmp_path: Path, events: list[tuple[int, str, dict[str, Any]]], why: str
) -> None:
    (finding,) = verdict_of(tmp_path, *events).objectives
    assert (finding.status, finding.why) == (Status.INCONCLUSIVE, why)


def restored(folder: Path, *events: tuple[int, str, dict[str, Any]], after: Any = "kill") -> Verdict:
    return judge(make(folder / "run", Truth(objectives={"same_digest": after}, faults=(), events=events)))


def test_a_restore_is_judged_beside_the_kill(tmp_path: Path) -> None:
    events = [said("before", "a"), said("after", "0"), said("restored", "a")]
    verdict = restored(tmp_path, *events, after={"after": ["kill", "restore"]})
    assert {one.name: one.status for one in verdict.objectives} == {
        "same_digest.redis": Status.FAIL,
        "same_digest.redis.restored": Status.PASS,
    }
    assert [one.text for one in verdict.objectives[1].evidence] == ["before the restore: a", "after the restore: a"]


@pytest.mark.parametrize(
    ("last", "status", "why"),
    [
        ([said("restored", "b")], Status.FAIL, "the state is another one: something was lost or changed"),
        ([said("restored", None)], Status.INCONCLUSIVE, "no digest after the restore: refused"),
        ([], Status.INCONCLUSIVE, "no digest after the restore"),
    ],
)
def test_only_the_restore_may_be_asked_for(
    tmp_path: Path, last: list[tuple[int, str, dict[str, Any]]], status: Status, why: str
) -> None:
    (finding,) = restored(tmp_path, said("before", "a"), *last, after="restore").objectives
    assert (finding.name, finding.status, finding.why) == ("same_digest.redis.restored", status, why)


def test_each_service_is_judged_on_its_own(tmp_path: Path) -> None:
    events = [said("before", "1"), said("after", "1"), said("before", "2", "ledger"), said("after", "3", "ledger")]
    verdict = verdict_of(tmp_path, *events)
    assert {one.name: one.status for one in verdict.objectives} == {
        "same_digest.ledger": Status.FAIL,
        "same_digest.redis": Status.PASS,
    }
