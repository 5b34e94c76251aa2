"""Finds the checkers: every module of this package that has a `CHECKER` registers one by that alone."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import chaosctl.verify
from chaosctl.experiment.kinds import ObjectiveKind
from chaosctl.verify.contract import Checker


@cache
def checkers() -> Mapping[str, Checker]:
    """Return every checker by the name of its objective, in alphabetical order.

    Checker modules import numpy and pyarrow only while checking, so that validating an experiment stays quick.
    """
    found: dict[str, Checker] = {}
    for module in pkgutil.iter_modules(chaosctl.verify.__path__):
        checker = getattr(importlib.import_module(f"chaosctl.verify.{module.name}"), "CHECKER", None)
        if checker is not None:
            found[checker.kind.name] = checker
    return MappingProxyType(dict(sorted(found.items())))


def objective_kinds() -> Mapping[str, ObjectiveKind]:
    """Return every kind of objective by name: what experiments are validated against."""
    return MappingProxyType({name: checker.kind for name, checker in checkers().items()})
