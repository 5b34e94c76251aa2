"""`chaosctl halt` from another terminal, in mid-fault and while the target comes up."""

from __future__ import annotations

import pytest

from tests.e2e.harness import HELD, Place, one_sentence

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_halt_ends_every_run_heals_and_blocks_until_resume(place: Place) -> None:
    held, early = place.run("held", file=HELD), place.run("early", TINY_MOOD="deaf")
    held.wait_until_held()
    early.wait_for("service_started")
    halted = place.chaosctl("halt", "--reason", "the shop is open")
    assert halted.code == 0, halted
    for run in (held, early):
        assert f"run {run.run_id}: has ended, and nothing is left of it" in halted.out
        run.nothing_is_left()
        ended = run.ended()
        assert ended.code == 5, ended
        assert "the shop is open" in ended.out
        assert [event["condition"].endswith(": the shop is open") for event in run.events("stopped")] == [True]
        verdict = run.verdict()
        assert (verdict["status"], verdict["exit_code"], verdict["ended"]) == ("inconclusive", 5, "stopped")
    assert {event["fault"] for event in held.events("fault_healed")} == {"f1-partition", "f2-pause"}
    assert "the shop is open" in (held.bundle / "report.html").read_text()
    refused = place.run("refused").ended()
    assert refused.code == 4
    one_sentence(refused, "no run starts: halted by", "the shop is open", "`chaosctl resume`")
    assert place.chaosctl("halt").out.endswith("no run was going\n")
    assert place.chaosctl("resume").code == 0
    assert place.run("after", "--set", "timeline=[]", "--set", "objectives={lost_acks: 0}", "--set", "duration=1s"
                     ).ended().code == 0  # fmt: skip
