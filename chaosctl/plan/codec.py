"""plan.json: a plan as text, and back."""

from __future__ import annotations

import json

from pydantic import TypeAdapter, ValidationError

from chaosctl.errors import RecordingError
from chaosctl.plan.model import SCHEMA_VERSION, Plan

_PLAN = TypeAdapter(Plan)
_NOT_WRITTEN = "(not written down)"


def plan_to_json(plan: Plan) -> str:
    """Return the plan as JSON with sorted keys and a newline at the end: equal plans give equal bytes.

    What a fault puts into an environment is left out, but for the names: there are secrets.
    """
    plain = _PLAN.dump_python(plan, mode="json")
    for fault in plain["faults"]:
        if isinstance(env := fault["params"].get("env"), dict):
            fault["params"]["env"] = dict.fromkeys(env, _NOT_WRITTEN)
    return json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def plan_from_json(text: str) -> Plan:
    """Return the plan in `text`. Fields that are not known are skipped; raises RecordingError for what is no plan."""
    try:
        plan = _PLAN.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise RecordingError(
            f"plan.json is no plan ({where}: {first['msg']}); make it again with `chaosctl plan`"
        ) from error
    if plan.schema_version > SCHEMA_VERSION:
        text = f"plan.json has format {plan.schema_version}, this chaosctl reads up to {SCHEMA_VERSION}"
        raise RecordingError(f"{text}; use a newer chaosctl")
    if not plan.phases:
        raise RecordingError("plan.json has no phases, so it is no plan; make it again with `chaosctl plan`")
    return plan
