"""The JSON Schema (draft 2020-12) of an experiment file as people write it: what editors complete and explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chaosctl.experiment.frozen import NAME
from chaosctl.experiment.kinds import FaultKind, FaultKinds, ObjectiveKind, ObjectiveKinds
from chaosctl.experiment.model import Chaos, ChaosFault, Experiment, FaultItem, TimelineItem

Schema = dict[str, Any]
_REFS = "#/$defs/"
_FROM_ENVIRONMENT: Schema = {"type": "string", "pattern": r"\$\{"}
_EXTENDS: Schema = {
    "type": "string",
    "description": "A file to inherit from, relative to this: mappings merge, lists and values replace, null removes",
}


def experiment_schema(faults: FaultKinds, objectives: ObjectiveKinds) -> Schema:
    """Return the schema with one variant of a timeline item for each fault kind, and each objective kind by name.

    A file that `extends` another may leave out anything that the other has, and remove it with null.
    """
    params = [*(kind.params for kind in faults.values()), *(kind.params for kind in objectives.values())]
    unique: list[type[BaseModel]] = list(dict.fromkeys((Experiment, *params)))
    references, generated = models_json_schema([(model, "validation") for model in unique], by_alias=True)
    definitions = generated["$defs"]
    names = {model: references[model, "validation"]["$ref"].removeprefix(_REFS) for model in unique}
    whole = definitions[names[Experiment]]
    kinds_of_faults = [(kind, definitions[names[kind.params]]) for kind in faults.values()]
    whole["properties"]["timeline"]["items"] = {"oneOf": [_item(TimelineItem, *kind) for kind in kinds_of_faults]}
    by_chance = [_item(ChaosFault, *kind) for kind in kinds_of_faults if kind[0].follows is None]
    definitions[Chaos.__name__]["properties"]["faults"]["items"] = {"oneOf": by_chance}
    whole["properties"]["objectives"] = {
        "type": "object",
        "description": Experiment.model_fields["objectives"].description,
        "properties": {name: _objective(kind, names[kind.params]) for name, kind in objectives.items()},
        "additionalProperties": False,
    }
    for definition in definitions.values():
        _as_written(definition)
    return _with_inheritance(whole, _reachable(whole, definitions))


def _item(model: type[FaultItem], kind: FaultKind, params: Schema) -> Schema:
    """Return the schema of one item of the timeline or of chaos, with the kind's own keys beside the common ones."""
    common = model.model_json_schema(by_alias=True)["properties"]
    when = "at" if model is TimelineItem else "every"
    keys = (when, "for", "fault", "on") if kind.lasting != "never" else (when, "fault", "on")
    properties = {key: common[key] for key in keys}
    properties["fault"] = {"const": kind.name, "description": kind.summary}
    required = [when, "fault", "on", *(["for"] if kind.lasting == "always" else []), *params.get("required", ())]
    return {
        "type": "object",
        "title": kind.name,
        "description": kind.summary,
        "properties": {**properties, **deepcopy(params.get("properties", {}))},
        "required": required,
        "additionalProperties": False,
    }


def _objective(kind: ObjectiveKind, name: str) -> Schema:
    long: Schema = {"$ref": f"{_REFS}{name}"}
    forms = [long] if kind.shorthand is None else [_property(dict(kind.shorthand)), long]
    return {"anyOf": forms, "description": f"{kind.summary} Example: `{kind.example}`"}


def _as_written(schema: Schema) -> None:
    """Turn what pydantic says about values in memory into what stands in a file, in place."""
    for name, value in schema.get("properties", {}).items():
        schema["properties"][name] = _property(value)
    if isinstance(schema.get("items"), dict):
        for variant in schema["items"].get("oneOf", ()):
            _as_written(variant)


def _property(schema: Schema) -> Schema:
    schema = {key: value for key, value in schema.items() if key != "title"}
    unit = any("pattern" in form and form.get("type") == "string" for form in schema.get("anyOf", ()))
    if unit or schema.get("default", 0) is None:
        schema.pop("default", None)  # a number without its unit would mislead
    patterns = schema.get("patternProperties")
    if patterns and NAME in patterns:
        schema["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        _as_written({"items": schema["items"]})
    literal = schema.get("type") in ("integer", "number", "boolean") or "enum" in schema
    if literal and "const" not in schema:
        description = schema.pop("description", None)
        written: Schema = {"anyOf": [schema, _FROM_ENVIRONMENT]}
        return {**written, "description": description} if description else written
    return schema


def _reachable(root: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definitions that `root` refers to, directly or through others."""
    found: dict[str, Schema] = {}
    waiting = list(_references(root))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting += _references(definitions[name])
    return dict(sorted(found.items()))


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REFS)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _with_inheritance(whole: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema of a complete file, and beside it that of a file that inherits the rest."""
    partial = {f"Partial{name}": _partial(definition) for name, definition in definitions.items()}
    child = _partial(whole)
    child["properties"] = {"extends": _EXTENDS, **child["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chaosctl experiment",
        "description": whole.get("description", ""),
        "type": "object",
        "$defs": {**definitions, **partial, "Complete": whole, "Inheriting": child},
        "if": {"required": ["extends"]},
        "then": {"$ref": f"{_REFS}Inheriting"},
        "else": {"$ref": f"{_REFS}Complete"},
    }


def _partial(schema: Schema) -> Schema:
    """Return the object's schema with nothing required and null allowed everywhere. Lists replace, so theirs stay."""
    result = {key: value for key, value in schema.items() if key != "required"}
    for group in ("properties", "patternProperties"):
        if group in schema:
            result[group] = {name: _nullable(value) for name, value in schema[group].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _nullable(schema["additionalProperties"])
    return result


def _nullable(schema: Schema) -> Schema:
    schema = _partial(schema)
    description = schema.pop("description", None)
    forms = [_to_partial(form) for form in schema.pop("anyOf", ())] or [_to_partial(schema)]
    result: Schema = {"anyOf": [*forms, {"type": "null"}]}
    return {**result, "description": description} if description else result


def _to_partial(form: Schema) -> Schema:
    if "$ref" in form:
        return {"$ref": form["$ref"].replace(_REFS, f"{_REFS}Partial")}
    return form
