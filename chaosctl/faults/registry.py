"""Every fault there is: each module of this package that has a `FAULT` is one."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

import chaosctl.faults
from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults.contract import Fault


@cache
def faults() -> Mapping[str, Fault]:
    """Return the code of every fault by the name of its kind, in the order of the names."""
    names = (module.name for module in pkgutil.iter_modules(chaosctl.faults.__path__) if module.name != "registry")
    modules = (import_module(f"{chaosctl.faults.__name__}.{name}") for name in names)
    found: list[Fault] = [module.FAULT for module in modules if hasattr(module, "FAULT")]
    return MappingProxyType({fault.kind.name: fault for fault in sorted(found, key=lambda fault: fault.kind.name)})


def fault_kinds() -> Mapping[str, FaultKind]:
    """Return what can be written in a timeline, by name."""
    return MappingProxyType({name: fault.kind for name, fault in faults().items()})
