"""Plain data against a model: either the instance, or what is wrong with each key, in words and with the mend."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chaosctl.experiment.complaints import Complaint, Path, dotted, mend
from chaosctl.experiment.frozen import NAME
from chaosctl.experiment.units import WRITTEN, format_duration, format_size

Model = TypeVar("Model", bound=BaseModel)

# Pydantic's error types (docs.pydantic.dev, "Validation Errors") -> what is expected instead.
_NUMBER, _TRUTH, _LIST = ("a whole number", "5"), ("true or false", "true or false"), ("a list", "[a, b]")
_MAPPING = ("a mapping", "`key: value` lines below it")
_EXPECTED = {
    "string_type": ("text", "it in quotes"),
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_from_float": _NUMBER,
    "float_type": ("a number", "1.5"),
    "float_parsing": ("a number", "1.5"),
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}
_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
}


def validate(
    model: type[Model], data: Any, path: Path, also_known: Iterable[str] = ()
) -> tuple[Model | None, tuple[Complaint, ...]]:
    """Return the instance, or None and every complaint, with paths below `path`.

    `also_known` are keys that may stand beside the model's own, for suggestions only.
    """
    try:
        # A short form is turned into attribute names by the model itself; what people write has YAML names only.
        written = isinstance(data, Mapping)
        instance = model.model_validate(data, by_alias=True, by_name=not written, context=WRITTEN)
    except ValidationError as error:
        return None, _complaints(model, data, path, error.errors(include_url=False), tuple(also_known))
    return instance, ()


def _complaints(
    model: type[BaseModel], data: Any, path: Path, errors: list[ErrorDetails], also_known: tuple[str, ...]
) -> tuple[Complaint, ...]:
    found: dict[tuple[Path, str], Complaint] = {}
    for error in errors:
        loc = error["loc"]
        place, written = _existing(data, loc)
        key = next((part for part in reversed(loc) if isinstance(part, str)), "")
        if error["type"] == "missing":
            complaint = Complaint(path + place, _missing(model, path + place, loc))
        elif error["type"] == "extra_forbidden":
            known = (*_keys(_model_at(model, loc[:-1])), *(also_known if len(loc) == 1 else ()))
            text = f"unknown key '{key}'; {mend(key, known, 'nothing can be set here')}"
            complaint = Complaint(path + place, text, at_key=True)
        elif loc and loc[-1] == "[key]":
            complaint = Complaint(path + loc[:-1], f"'{loc[-2]}' is no name; {_NAME_MEND}", at_key=True)
        else:
            complaint = Complaint(path + place, _wrong_value(error, written, _attribute(model, loc)))
        # Each arm of a union reports for itself; the first says it, unless the arms look at different keys.
        in_union = place != loc and error["type"] != "missing"
        found.setdefault((complaint.path, "" if in_union else complaint.text), complaint)
    meant = {complaint.text.split("did you mean ")[-1] for complaint in found.values() if complaint.at_key}
    return tuple(complaint for complaint in found.values() if f"{complaint.text.split(' is missing')[0]}?" not in meant)


_NAME_MEND = "write lower-case letters, digits and dashes, beginning with a letter, at most 63"


def _existing(data: Any, loc: Path) -> tuple[Path, Any]:
    """Return the part of `loc` that stands in the data, and what stands there: the rest names arms of unions."""
    place: list[str | int] = []
    for part in loc:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, Mapping) and part in data):
            data = data[part]
            place.append(part)
    return tuple(place), data


def _missing(model: type[BaseModel], path: Path, loc: Path) -> str:
    owner = _model_at(model, loc[:-1])
    name = str(loc[-1])
    description = next(
        (field.description for key, field in owner.model_fields.items() if (field.alias or key) == name), None
    )
    where = f" in {dotted(path)}" if path else ""
    return f"'{name}' is missing{where}; add `{name}: ...`{f' ({description})' if description else ''}"


def _wrong_value(error: ErrorDetails, value: Any, attribute: str) -> str:
    kind, context = error["type"], error.get("ctx", {})
    shown = "nothing" if value is None else f"'{value}'" if isinstance(value, (str, int, float)) else "this"
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{shown} is out of bounds; write {words.format(_in_units(context[name], attribute))}"
    if kind in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        return f"{shown} is not known here; {mend(str(value), known, 'leave it out')}"
    if kind in ("too_short", "too_long"):
        words = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"there are {context['actual_length']} items; write {words}"
    if kind == "string_pattern_mismatch":
        return f"{shown} does not fit; {_NAME_MEND if context['pattern'] == NAME else 'write ' + context['pattern']}"
    expected, example = _EXPECTED.get(kind, (None, "it"))
    if value is None:
        return f"there is no value; write {expected or 'one'}, or leave the key out"
    if expected:
        return f"{shown} is not {expected}; write {example}"
    return f"{shown} is refused ({error['msg']}); `chaosctl schema` says what can stand here"


def _in_units(value: Any, attribute: str) -> str:
    """Return a bound as people write it; attribute names end in their unit."""
    if attribute.endswith("_ns"):
        return format_duration(value)
    if attribute.endswith(("_bytes", "_bytes_per_s")):
        return format_size(value) + ("/s" if attribute.endswith("_per_s") else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _attribute(model: type[BaseModel], loc: Path) -> str:
    fields = _model_at(model, loc[:-1]).model_fields.items() if loc else ()
    return next((name for name, field in fields if (field.alias or name) == loc[-1]), "")


def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel]:
    """Return the model that `loc` leads to, going through lists, mappings and unions."""
    at = model
    for part in loc:
        field = next((field for name, field in at.model_fields.items() if (field.alias or name) == part), None)
        if field is not None:
            at = next(_models_in(field.annotation), at)
    return at


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated, tuple, list, dict):
        for argument in get_args(annotation):
            yield from _models_in(argument)
