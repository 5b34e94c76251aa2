"""From a file to an `Experiment`, or to everything that is wrong with it, each thing with its place and its mend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaosctl.errors import ExperimentError, Problem
from chaosctl.experiment import semantics
from chaosctl.experiment.complaints import Complaint, mend
from chaosctl.experiment.complaints import Path as TreePath
from chaosctl.experiment.compose_target import Compose
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.extends import load_tree
from chaosctl.experiment.fingerprint import fingerprint
from chaosctl.experiment.interpolate import interpolate
from chaosctl.experiment.kinds import FaultKinds, ObjectiveKinds, Params
from chaosctl.experiment.model import (
    BlastRadius,
    Chaos,
    ChaosFault,
    Cohort,
    Experiment,
    FaultItem,
    Frozen,
    Link,
    Probe,
    Service,
    Swarm,
    Target,
    TimelineItem,
)
from chaosctl.experiment.overrides import apply_overrides
from chaosctl.experiment.shape import validate
from chaosctl.experiment.units import parse_duration_ns
from chaosctl.experiment.yaml_source import Mark, Node, locate, marks_below, to_plain

_ITEM_KEYS = ("at", "for", "fault", "on")
_CHAOS_KEYS = ("every", "for", "fault", "on")
_Part = TypeVar("_Part", bound=Frozen)
_Fault = TypeVar("_Fault", bound=FaultItem)


@dataclass(frozen=True)
class Loaded:
    """An experiment and where it came from.

    `source` is the file's text as read; `folder` is what its paths are relative to; `objectives` are the validated
    parameters by name; `fault_params` are parallel to `experiment.timeline`, `chaos_params` to its `chaos.faults`;
    `fingerprint` is of the meaning.
    """

    experiment: Experiment
    source: str
    path: Path
    folder: Path
    objectives: Mapping[str, Params]
    fault_params: tuple[Params, ...]
    fingerprint: str
    chaos_params: tuple[Params, ...] = ()


def load_experiment(
    path: Path,
    faults: FaultKinds,
    objectives: ObjectiveKinds,
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str],
) -> Loaded:
    """Return the experiment in `path`. Raises ExperimentError with every problem found."""
    inherited, source = load_tree(path, environ)
    overridden, not_set = apply_overrides(inherited, overrides)
    root, not_filled = interpolate(overridden, environ)
    parts = _Parts(to_plain(root), faults, objectives)
    draft, experiment = parts.draft(), parts.experiment()
    stages = (
        (*not_set, *_where_keys_are_known(root, not_filled, parts.complaints)),
        _placed(root, parts.complaints),
        _placed(root, _missing_files(draft, path.parent)),
        _placed(root, _missing_folders(experiment, path.parent)),
        _placed(root, semantics.check(draft, faults, objectives)),
    )
    problems = _first_at_each_place(stages)
    if problems or experiment is None:
        raise ExperimentError(problems)
    fault_params = tuple(params for params in draft.fault_params if params is not None)
    chaos_params = tuple(params for params in draft.chaos_params if params is not None)
    judged = {name: params for name, params in draft.objectives.items() if params is not None}
    mark = fingerprint(experiment, (*fault_params, *chaos_params), judged)
    return Loaded(experiment, source, path, path.parent.resolve(), judged, fault_params, mark, chaos_params)


def fault_items(path: Path, overrides: Sequence[str], environ: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Return every item of `timeline` and `chaos.faults` by its place (`timeline[0]`), as it is written: what the
    environment fills in is not filled in. The file is valid; raises ExperimentError where it no longer is."""
    inherited, _ = load_tree(path, environ)
    plain = to_plain(apply_overrides(inherited, overrides)[0])
    lists = {"timeline": plain.get("timeline"), "chaos.faults": _mapping(plain.get("chaos")).get("faults")}
    return {f"{name}[{index}]": item for name, items in lists.items() for index, item in enumerate(items or ())}


def _placed(root: Node, complaints: Iterable[Complaint]) -> tuple[Problem, ...]:
    return tuple(locate(root, wrong.path, wrong.at_key).problem(wrong.text) for wrong in complaints)


def _where_keys_are_known(
    root: Node, problems: Iterable[Problem], complaints: Iterable[Complaint]
) -> tuple[Problem, ...]:
    """Return the problems without those below a wrong key: what is filled in there is known once it is right."""
    below = {mark for wrong in complaints if wrong.at_key for mark in marks_below(root, wrong.path)}
    return tuple(wrong for wrong in problems if Mark(wrong.file, wrong.line, wrong.column) not in below)


def _first_at_each_place(stages: Iterable[tuple[Problem, ...]]) -> tuple[Problem, ...]:
    """Return the problems of all stages, without those that only follow from an earlier one at the same place."""
    found: dict[Problem, None] = {}
    for stage in stages:
        taken = {(problem.file, problem.line, problem.column) for problem in found}
        found |= {wrong: None for wrong in stage if (wrong.file, wrong.line, wrong.column) not in taken}
    return tuple(found)


def _missing_files(draft: Draft, folder: Path) -> Iterable[Complaint]:
    """Yield what the experiment names in its folder that is not there."""
    if draft.swarm is not None:
        file, _, _ = draft.swarm.bots.partition(":")
        if not (folder / file).is_file():
            beside = sorted(near.name for near in (folder / file).parent.glob("*.py"))
            hint = mend(Path(file).name, beside, f"paths are relative to {folder}/")
            yield Complaint(("swarm", "bots"), f"there is no file '{folder / file}'; {hint}")
    for name, service in draft.services.items():
        if service is not None and not (folder / service.folder).is_dir():
            text = f"there is no folder '{folder / service.folder}'; paths are relative to {folder}/"
            yield Complaint(("target", "services", name, "folder"), text)
        if service is not None and service.build is not None:
            dockerfile = folder / service.build.context / service.build.dockerfile
            if draft.driver == "docker" and not dockerfile.is_file():
                text = f"there is no file '{dockerfile}'; `context` is relative to {folder}/, `dockerfile` to `context`"
                yield Complaint(("target", "services", name, "build"), text)
    compose_file = draft.compose.file if draft.driver == "compose" and draft.compose is not None else None
    if compose_file is not None and not draft.is_attached and not (folder / compose_file).is_file():
        text = f"there is no file '{folder / compose_file}'; paths are relative to {folder}/"
        yield Complaint(("target", "compose", "file"), text)


def _missing_folders(experiment: Experiment | None, folder: Path) -> Iterable[Complaint]:
    for index, condition in enumerate(experiment.stop_when if experiment is not None else ()):
        if not (folder / condition.folder).is_dir():
            text = f"there is no folder '{folder / condition.folder}'; paths are relative to {folder}/"
            yield Complaint(("stop_when", index, "folder"), text)


class _Parts:
    """Validates an experiment part by part, so that one wrong part hides nothing about the others."""

    def __init__(self, plain: dict[str, Any], faults: FaultKinds, objectives: ObjectiveKinds) -> None:
        self.complaints: list[Complaint] = []
        self._plain = plain
        self._faults = faults
        self._target = _mapping(plain.get("target"))
        self._swarm = _mapping(plain.get("swarm"))
        self._services = self._each(Service, self._target, ("target", "services"))
        self._links = self._each(Link, self._target, ("target", "links"))
        self._cohorts = self._each(Cohort, self._swarm, ("swarm", "cohorts"))
        self._swarm_model = self._whole(Swarm, "swarm", cohorts=self._cohorts)
        self._probe = self._whole(Probe, "probe") if "probe" in plain else Probe()
        self._blast_radius = self._whole(BlastRadius, "blast_radius")
        self._items = self._each_fault(TimelineItem, plain.get("timeline"), ("timeline",), _ITEM_KEYS)
        drawn = _mapping(plain.get("chaos")).get("faults")
        self._drawn = self._each_fault(ChaosFault, drawn, ("chaos", "faults"), _CHAOS_KEYS)
        self._chaos = self._chaos_of(plain.get("chaos"))
        self._objectives = {
            name: self._objective(name, value, objectives) for name, value in _mapping(plain.get("objectives")).items()
        }

    def draft(self) -> Draft:
        """Return the parts for the semantic checks."""
        return Draft(
            self._services,
            self._links,
            self._cohorts,
            self._swarm_model,
            self._probe,
            tuple(item for item, _ in self._items),
            self._objectives,
            _duration_ns(self._plain.get("baseline"), Experiment.model_fields["baseline_ns"].default),
            _duration_ns(self._plain.get("duration"), None),
            blast_radius=self._blast_radius,
            fault_params=tuple(params for _, params in self._items),
            chaos=self._chaos,
            chaos_items=tuple(item for item, _ in self._drawn),
            chaos_params=tuple(params for _, params in self._drawn),
            driver=str(self._target.get("driver", Target.model_fields["driver"].default)),
            compose=validate(Compose, self._target.get("compose", {}), ())[0],
        )

    def experiment(self) -> Experiment | None:
        """Return the whole; parts that are wrong in themselves, and reported, are left out of it."""
        target = self._whole(Target, "target", services=self._services, links=self._links)
        data = dict(self._plain)
        if isinstance(data.get("target"), dict):
            data["target"] = target or Target.model_construct()
        if isinstance(data.get("swarm"), dict):
            data["swarm"] = self._swarm_model or Swarm.model_construct()
        if isinstance(data.get("probe"), dict):
            data["probe"] = self._probe or Probe.model_construct()
        if isinstance(data.get("blast_radius"), dict):
            data["blast_radius"] = self._blast_radius
        if isinstance(data.get("chaos"), dict):
            data["chaos"] = self._chaos
        if isinstance(data.get("timeline"), list):
            data["timeline"] = tuple(item or TimelineItem.model_construct() for item, _ in self._items)
        experiment, wrong = validate(Experiment, data, ())
        self.complaints += wrong
        return experiment

    def _each(self, model: type[_Part], owner: Mapping[str, Any], path: TreePath) -> dict[str, _Part | None]:
        found: dict[str, _Part | None] = {}
        for name, value in _mapping(owner.get(str(path[-1]))).items():
            found[name], wrong = validate(model, value, (*path, name))
            self.complaints += wrong
        return found

    def _whole(self, model: type[_Part], key: str, **checked: Mapping[str, Frozen | None]) -> _Part | None:
        """Validate the mapping at `key`, whose parts `checked` have been validated and reported before."""
        data = self._plain.get(key)
        if not isinstance(data, dict):
            return None
        types: dict[str, type[Frozen]] = {"services": Service, "links": Link, "cohorts": Cohort}
        for name, parts in checked.items():
            if isinstance(data.get(name), dict):
                filled = {part: value or types[name].model_construct() for part, value in parts.items()}
                data = {**data, name: filled}
        instance, wrong = validate(model, data, (key,))
        self.complaints += wrong
        return instance

    def _chaos_of(self, data: Any) -> Chaos | None:
        """Validate `chaos`, whose faults have been validated and reported before."""
        if not isinstance(data, dict):
            return None
        if isinstance(data.get("faults"), list):
            data = {**data, "faults": tuple(item or ChaosFault.model_construct() for item, _ in self._drawn)}
        chaos, wrong = validate(Chaos, data, ("chaos",))
        self.complaints += wrong
        return chaos

    def _each_fault(
        self, model: type[_Fault], items: Any, path: TreePath, keys: tuple[str, ...]
    ) -> list[tuple[_Fault | None, Params | None]]:
        listed = enumerate(items if isinstance(items, list) else ())
        return [self._item(model, item, (*path, index), keys) for index, item in listed]

    def _item(
        self, model: type[_Fault], item: Any, path: TreePath, keys: tuple[str, ...]
    ) -> tuple[_Fault | None, Params | None]:
        """Split one flat item into what all faults have and the kind's own keys, and validate both."""
        own = {key: value for key, value in item.items() if key not in keys} if isinstance(item, dict) else {}
        common = {key: item[key] for key in item if key in keys} if isinstance(item, dict) else item
        checked, wrong = validate(model, common, path)
        kind_name = common.get("fault") if isinstance(common, dict) else None
        params: Params | None = None
        if isinstance(kind_name, str):
            if kind := self._faults.get(kind_name):
                params, wrong_own = validate(kind.params, own, path, keys)
            else:
                text = f"there is no fault '{kind_name}'; {mend(kind_name, self._faults, 'none is installed')}"
                wrong_own = (Complaint((*path, "fault"), text),)
            wrong = (*wrong, *wrong_own)
        self.complaints += wrong
        return None if checked is None or wrong else checked.model_copy(update={"params": own}), params

    def _objective(self, name: str, value: Any, kinds: ObjectiveKinds) -> Params | None:
        path: TreePath = ("objectives", name)
        if name not in kinds:
            text = f"there is no objective '{name}'; {mend(name, kinds, 'none is installed')}"
            self.complaints.append(Complaint(path, text, at_key=True))
            return None
        params, wrong = validate(kinds[name].params, value, path)
        self.complaints += wrong
        return params


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _duration_ns(value: Any, default: int | None) -> int | None:
    if value is None:
        return default
    try:
        return parse_duration_ns(value)
    except ValueError:
        return None
