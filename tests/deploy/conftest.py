"""A keeper, a sink that remembers, and drivers that are always taken down."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.process import ProcessDriver
from chaosctl.experiment.model import Target
from chaosctl.safety.keeper_client import Keeper
from tests.fixtures.drivers import setup

BOUND_S = 10.0


class Sink:
    """Remembers events in order."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: str, /, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in list(self.events) if one["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.of(event)) >= count, f"{count} x {event}")
        return self.of(event)


def wait_until(holds: Callable[[], bool], what: str, within_s: float = BOUND_S) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, f"not within {within_s} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def abort() -> threading.Event:
    return threading.Event()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper.start(f"test-{uuid.uuid4().hex}", tmp_path / "bundle", time.monotonic_ns())
    yield keeper
    assert keeper.close() == ()


@pytest.fixture
def deploy(
    tmp_path: Path, keeper: Keeper, sink: Sink, abort: threading.Event
) -> Iterator[Callable[..., ProcessDriver]]:
    drivers: list[ProcessDriver] = []

    def make(services: dict[str, Any], order: tuple[str, ...] | None = None) -> ProcessDriver:
        target = Target.model_validate({"services": services})
        told = setup(target, tmp_path, keeper.bundle, keeper.run_id, sink, abort)
        driver = ProcessDriver(replace(told, start_order=order or tuple(services)), keeper)
        drivers.append(driver)
        return driver

    yield make
    for driver in drivers:
        assert driver.down() == ()
