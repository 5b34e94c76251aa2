"""verdict.json: the verdict for other people's programs."""

from __future__ import annotations

from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Verdict
from chaosctl.verify.verdict_json import verdict_to_json


class JsonReporter:
    """The verdict as it is, field by field; `schema_version` says how to read it."""

    name = "JSON"
    file_name = "verdict.json"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return strict JSON, indented, with a final newline. Raises ValueError for a NaN."""
        return verdict_to_json(verdict)
