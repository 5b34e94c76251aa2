"""What a planted defect is to the matrix: the experiment that brings it out, and the objective that catches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One row of the matrix. `defect` is "" for the clean arena.

    `caught_by`: patterns of the findings of which at least one must fail. `also`: other findings that may fail or stay
    inconclusive, as patterns, each with the reason why the defect touches them too. `env`: for the run.
    """

    defect: str
    experiment: str
    caught_by: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what the case is called: its defect, or the clean arena under its experiment."""
        return self.defect or f"clean-{self.experiment}"

    @property
    def file(self) -> Path:
        """Return the experiment's file."""
        return FOLDER / f"{self.experiment}.yaml"

    def is_meant(self, finding: str) -> bool:
        """Say whether the finding is the one that the defect is for."""
        return any(fnmatchcase(finding, pattern) for pattern in self.caught_by)

    def explanation(self, finding: str) -> str | None:
        """Return why the finding may be bad too, None if it may not."""
        return next((why for pattern, why in self.also.items() if fnmatchcase(finding, pattern)), None)
