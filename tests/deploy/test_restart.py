"""The policy is pure: when is what died started again?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.deploy.restart import restart_due_ns
from chaosctl.experiment.model import Restart
from chaosctl.safety.exits import Exit

END = Exit(at_ns=1_000, code=None, signal="SIGKILL")
POLICY = Restart.model_validate({"after": "500ms", "at_most": 3})


def test_without_a_policy_it_stays_dead() -> None:
    assert restart_due_ns(None, END, 0, wanted_down=False) is None


def test_what_is_wanted_down_stays_dead() -> None:
    assert restart_due_ns(POLICY, END, 0, wanted_down=True) is None


def test_the_delay_counts_from_the_end() -> None:
    assert restart_due_ns(POLICY, END, 0, wanted_down=False) == 500_001_000


@given(restarts=st.integers(0, 10), at_most=st.integers(1, 10))
def test_it_acts_at_most_so_often(restarts: int, at_most: int) -> None:
    policy = Restart.model_validate({"after": "0", "at_most": at_most})
    assert (restart_due_ns(policy, END, restarts, wanted_down=False) is not None) == (restarts < at_most)
