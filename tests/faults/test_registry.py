"""What can be injected is found by its file, and says everything about itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.units import WRITTEN
from chaosctl.faults.registry import fault_kinds, faults

LINKS = {"latency", "bandwidth", "partition", "slow_close", "slicer", "data_limit"}
SERVICES = {"kill", "stop", "pause", "restart", "deploy", "rollback", "command", "crash", "disconnect", "loss", "block"}
SERVICES |= {
    "cpu",
    "memory",
    "oom",
    "split",
    "freeze",
    "netem",
    "throttle",
    "disk_full",
    "disk_slow",
    "io_errors",
    "fill_fds",
    "clock_skew",
    "dns",
}
COMMON = {"at", "for", "fault", "on"}


def test_every_fault_is_found_by_the_name_of_its_kind() -> None:
    assert set(faults()) == LINKS | SERVICES
    assert all(fault.kind.name == name for name, fault in faults().items())
    assert list(faults()) == sorted(faults())
    assert {name for name, kind in fault_kinds().items() if kind.acts_on == "link"} == LINKS


@pytest.mark.parametrize("kind", fault_kinds().values(), ids=lambda kind: kind.name)
def test_the_example_of_a_fault_is_a_timeline_item_that_works(kind: FaultKind) -> None:
    item = YAML(typ="safe").load(kind.example)
    assert item["fault"] == kind.name
    assert {"at", "on"} <= item.keys()
    assert ("for" in item) == (kind.lasting == "always") or kind.lasting == "optional"
    written = {key: value for key, value in item.items() if key not in COMMON}
    params = kind.params.model_validate(written, context=WRITTEN)
    # What stands in a plan is ready to be used again.
    assert kind.params(**params.model_dump(mode="json")) == params
    assert len(kind.summary) < 120


@pytest.mark.parametrize("kind", fault_kinds().values(), ids=lambda kind: kind.name)
def test_every_parameter_is_described(kind: FaultKind) -> None:
    for name, field in kind.params.model_fields.items():
        assert field.description, name


def test_finding_the_faults_imports_nothing_heavy() -> None:
    code = (
        "import sys; from chaosctl.faults.registry import faults; faults();"
        "print(*{'requests', 'docker', 'toxiproxy', 'numpy', 'pyarrow', 'locust'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == ""
