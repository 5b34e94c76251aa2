"""Several trials of one experiment, on real processes: what is said, and judging them again."""

from __future__ import annotations

import pytest

from tests.e2e.harness import TINY, Place

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_every_trial_is_played_and_can_be_judged_again(place: Place) -> None:
    folder = place.folder / "series"
    words = ("run", TINY, "--relay", "embedded", "--trials", "2", "--seed", "7", "--out", folder, "--json")
    # The first player is back only after the restart delay of 200 ms: no trial can hold the second limit.
    ended = place.chaosctl(*words, "--set", "objectives.recovery.steady=20ms")
    assert ended.code == 1, ended
    said = ended.json
    assert (said["asked"], len(said["trials"])) == (2, 2)
    first, second = said["trials"]
    assert first["seed"] == 7 != second["seed"]
    assert first["run_id"] != second["run_id"]
    rows = {row["name"]: row for row in said["objectives"]}
    assert rows["recovery.steady"]["failed"] > 0 == rows["lost_acks"]["failed"]
    again = place.chaosctl("verify", folder, "--json")
    assert again.code == 1 and again.json["trials"] == said["trials"]
