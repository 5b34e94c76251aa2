"""verdict.json: the verdict for other people's programs."""

from __future__ import annotations

import json

from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Verdict
from chaosctl.verify.verdict_json import verdict_to_dict


class JsonReporter:
    """The verdict as it is, field by field; `schema_version` says how to read it."""

    name = "JSON"
    file_name = "verdict.json"

    def render(self, recording: Recording, verdict: Verdict) -> str:
        """Return strict JSON (no NaN, no infinity), indented, with a final newline. Raises ValueError otherwise."""
        return json.dumps(verdict_to_dict(verdict), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
