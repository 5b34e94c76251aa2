"""Stage 7: what a reporter is. One file a format; pure: `write.py` does the writing."""

from __future__ import annotations

from typing import Protocol

from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Verdict


class Reporter(Protocol):
    """One format. `name` is for people, `file_name` is its place in the bundle."""

    name: str
    file_name: str

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return the whole file. Reads nothing but the recording, changes nothing, needs no network."""
        ...
