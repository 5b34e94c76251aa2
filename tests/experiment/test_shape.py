from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from chaosctl.experiment.complaints import Complaint
from chaosctl.experiment.kinds import Params
from chaosctl.experiment.shape import validate
from chaosctl.experiment.units import BytesPerS, DurationNs


class Inner(Params):
    share: float = Field(default=0.5, gt=0, lt=1, description="A part")


class Everything(Params):
    latency_ns: DurationNs = Field(alias="latency", ge=1_000_000, description="How much later")
    rate_bytes_per_s: BytesPerS = Field(default=0, alias="rate", le=65536, description="How much")
    mode: Literal["soft", "hard"] | None = Field(default=None, description="How")
    which: Literal["all"] | tuple[str, ...] = Field(default="all", description="Which")
    inner: tuple[Inner, ...] = Field(default=(), max_length=1, description="Parts")
    on: bool = Field(default=True, description="Whether")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"latency_ns": given}

    @model_validator(mode="after")
    def _hard_is_slow(self) -> Everything:
        if self.mode == "hard" and self.latency_ns < 10**9:
            raise ValueError("hard needs a second; write latency: 1s")
        return self


def complaints(data: Any) -> list[tuple[tuple[str | int, ...], str]]:
    instance, wrong = validate(Everything, data, ("p",), also_known=("for",))
    assert instance is None
    return [(complaint.path[1:], complaint.text) for complaint in wrong]


def test_what_fits_comes_back_as_the_model() -> None:
    assert validate(Everything, {"latency": "5ms"}, ()) == (Everything(latency_ns=5_000_000), ())


def test_a_short_form_may_use_attribute_names_and_a_file_may_not() -> None:
    assert validate(Everything, "5ms", ()) == (Everything(latency_ns=5_000_000), ())
    assert complaints({"latency_ns": "5ms"}) == [(("latency_ns",), "unknown key 'latency_ns'; did you mean 'latency'?")]


@pytest.mark.parametrize(
    ("data", "path", "text"),
    [
        ({"latency": "10us"}, ("latency",), "'10us' is out of bounds; write at least 1ms"),
        ({"rate": "1MB/s"}, ("rate",), "'1MB/s' is out of bounds; write at most 64KiB/s"),
        ({"mode": "sfot"}, ("mode",), "'sfot' is not known here; did you mean 'soft'?"),
        ({"mode": "hard"}, (), "hard needs a second; write latency: 1s"),
        ({"which": "al"}, ("which",), "'al' is not known here; did you mean 'all'?"),
        ({"inner": [{"share": 2}]}, ("inner", 0, "share"), "'2' is out of bounds; write less than 1"),
        ({"inner": [{"share": "x"}]}, ("inner", 0, "share"), "'x' is not a number; write 1.5"),
        ({"inner": [{"shar": 2}]}, ("inner", 0, "shar"), "unknown key 'shar'; did you mean 'share'?"),
        ({"inner": [{}, {}]}, ("inner",), "there are 2 items; write at most 1"),
        ({"inner": 5}, ("inner",), "'5' is not a list; write [a, b]"),
        ({"on": "perhaps"}, ("on",), "'perhaps' is not true or false; write true or false"),
        ({"fr": 1}, ("fr",), "unknown key 'fr'; did you mean 'for'?"),
    ],
)
def test_each_wrong_value_is_named_with_its_mend(data: dict[str, Any], path: tuple[str | int, ...], text: str) -> None:
    assert complaints({"latency": "5ms", **data}) == [(path, text)]


def test_a_missing_key_is_named_with_what_it_is() -> None:
    instance, wrong = validate(Everything, {}, ("timeline", 0))
    text = "'latency' is missing in timeline[0]; add `latency: ...` (How much later)"
    assert (instance, wrong) == (None, (Complaint(("timeline", 0), text),))


def test_a_misspelt_key_is_not_missing_too() -> None:
    assert complaints({"latncy": "5ms"}) == [(("latncy",), "unknown key 'latncy'; did you mean 'latency'?")]
