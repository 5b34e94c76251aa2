"""What a fault kind and an objective kind are, as data.

The experiment stage validates names and parameters against these without knowing the code behind them: faults and
checkers register a kind each, and the loader is handed the mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator, model_validator


class Params(BaseModel):
    """Base of every fault's and objective's parameters: frozen, unknown keys are errors, YAML names are aliases."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic would take `lost_acks: true` for `lost_acks: 1`, which allows what it seems to forbid.
        field = cls.model_fields[info.field_name or ""]
        counts = int in (field.annotation, *get_args(field.annotation))
        if isinstance(value, bool) and counts and not any(isinstance(one, BeforeValidator) for one in field.metadata):
            raise ValueError(f"'{str(value).lower()}' is not a whole number; write 0, or how many")
        return value


class ShortParams(Params):
    """Parameters of which one may stand alone: `lost_acks: 0` is short for `lost_acks: { at_most: 0 }`."""

    stands_alone: ClassVar[str] = "at_most"

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {cls.stands_alone: given}


@dataclass(frozen=True)
class Grouping:
    """What the plan has to know of a fault that parts replicas from each other.

    Each is told its parameters and the service of its `on:`. `named` returns the places that they name, by parameter
    and index. `wrong` says in a sentence why they cannot be had of so many replicas. `settled` returns them as groups,
    for these replicas, drawn from the source where chance decides. `cut_off` returns how many of so many replicas of
    the service are cut off at most from the most of them.
    """

    named: Callable[[Any, str], Iterable[tuple[tuple[str | int, ...], str]]]
    wrong: Callable[[Any, str, int], str | None]
    settled: Callable[[Any, str, Sequence[int], Random], Any]
    cut_off: Callable[[Any, str, int], int]


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    `acts_on` says what `on:` names. `lasting` faults take `for:` and are healed; the others happen at one moment.
    Two faults of one `dimension` on one place at one time contradict each other (two latencies, two partitions).
    `example` is one timeline item in YAML flow style, as a user would write it.
    `of_containers` are parameters that mean something to containers only.
    `filled_in` are parameters whose `${...}` are completed when the deployment is up, as those of a service's `run`.
    A fault that `follows` a kind needs one of it before, on the same place, that has no end of its own.
    `takes_down`: replicas serve nothing while it lasts (without an end: until their restart policy acts), or only for
    the moment in which they give way. The blast radius counts them.
    `needs_containers`: processes have nothing that it could act on, since what it is about they have `shared` with this
    machine. `needs_restart`: the service's restart policy is all that ends it. `ports` are parameters that name a
    port of the service.
    `needs_disk`: the service must have a disk of its own, which is what it acts on.
    `through_engine`: what it does to a container, and what it looks at, is all asked of the engine, which may then be
    on another machine. Faults on links always are.
    `of_others`: it can act on services that chaosctl did not start. Faults on links always can.
    `lacks` returns what this machine lacks for it, None if nothing; it is asked before anything is started. So is
    `process_lacks`, where services are processes.
    `groups` makes it one that parts replicas from each other, and says how.
    `replaces`: it starts services as something else, which a compose file does not tell how.
    `without_relay`: it can act on a link that no relay carries, on the packets, where each of these parameters has one
    of its values; None: it cannot.
    """

    name: str
    acts_on: Literal["link", "service"]
    params: type[Params]
    lasting: Literal["always", "optional", "never"]
    dimension: str
    summary: str
    example: str
    filled_in: frozenset[str] = frozenset()
    of_containers: frozenset[str] = frozenset()
    follows: str | None = None
    takes_down: Literal["while", "moment"] | None = None
    needs_containers: bool = False
    shared: Literal["network", "memory"] = "network"
    needs_restart: bool = False
    needs_disk: bool = False
    ports: frozenset[str] = frozenset()
    of_others: bool = False
    lacks: Callable[[], str | None] | None = None
    process_lacks: Callable[[], str | None] | None = None
    groups: Grouping | None = None
    through_engine: bool = False
    replaces: bool = False
    without_relay: Mapping[str, frozenset[Any]] | None = None


@dataclass(frozen=True)
class ObjectiveKind:
    """One kind of objective: its parameters, and what the experiment must have for it to be measured at all.

    `needs` names come from: `probe`, `faults`, `deploy`, `input_log`, `replay`, `digest`, `totals`, `history`,
    `restarts` (it is measured by ending a service and starting it).
    `shorthand` is the JSON Schema of the short form, when the kind has one (`lost_acks: 0`, `conserved: [gold]`);
    the params model turns it into the long form in a before-validator.
    `numbers` returns which numbers of which services the parameters judge, as (service, number); both stand as keys.
    """

    name: str
    params: type[Params]
    summary: str
    example: str
    needs: frozenset[str] = frozenset()
    shorthand: Mapping[str, Any] | None = field(default=None)
    numbers: Callable[[Any], Iterable[tuple[str, str]]] | None = field(default=None)


FaultKinds = Mapping[str, FaultKind]
ObjectiveKinds = Mapping[str, ObjectiveKind]
