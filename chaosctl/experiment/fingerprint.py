"""What an experiment means, as 16 hexadecimal digits: layout, comments and ways to write a unit do not count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from chaosctl.experiment.kinds import Params
from chaosctl.experiment.model import Experiment


def fingerprint(experiment: Experiment, fault_params: tuple[Params, ...], objectives: Mapping[str, Params]) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over the canonical JSON of the meaning.

    The hypothesis is words for people: a corrected sentence leaves old runs comparable.
    """
    meaning: dict[str, Any] = experiment.model_dump(mode="json", exclude={"hypothesis", "objectives"})
    meaning["params"] = [params.model_dump(mode="json") for params in fault_params]
    meaning["objectives"] = {name: params.model_dump(mode="json") for name, params in objectives.items()}
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
