"""The base of everything in an experiment's model, and the small types that its parts share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = r"^[a-z][a-z0-9-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]


def not_a_truth_value(value: Any) -> Any:
    """Return the value. Raises ValueError for true and false, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"'{str(value).lower()}' is not a whole number; write 5")
    return value


Count = Annotated[int, BeforeValidator(not_a_truth_value)]


class Frozen(BaseModel):
    """Base: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
