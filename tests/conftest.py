"""Shared by all tests: what a test needs of the machine, and a folder that is kept when a test fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from chaosctl.safety.disk import disks_lack

# How quickly examples are made says how busy the machine is, and nothing about the code.
settings.register_profile("chaosctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chaosctl")


def _toxiproxy() -> bool:
    named = os.environ.get("CHAOSCTL_TOXIPROXY")
    return bool(named and shutil.which(named)) or shutil.which("toxiproxy-server") is not None


def _docker() -> bool:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
        client.ping()
    except (DockerException, OSError):
        return False
    client.close()
    return True


def _compose() -> bool:
    from chaosctl.deploy.compose_program import find_compose
    from chaosctl.errors import NotReadyError

    try:
        return find_compose(os.environ).takes_away
    except NotReadyError:
        return False


def _faketime() -> bool:
    return any(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def _locale() -> bool:
    return shutil.which("localedef") is not None and Path("/usr/share/i18n/locales/de_DE").is_file()


# What is looked for, and the sentence that a skipped test says.
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "toxiproxy": (_toxiproxy, "no toxiproxy-server on PATH, and CHAOSCTL_TOXIPROXY names none"),
    "docker": (_docker, "no Docker Engine answers"),
    "disks": (lambda: disks_lack() is None, "no disk can be made here: see `chaosctl doctor`"),
    "compose": (_compose, "no Docker Compose of 2.24.4 or newer"),
    "redis": (lambda: shutil.which("redis-server") is not None, "no redis-server on PATH"),
    "nginx": (lambda: shutil.which("nginx") is not None, "no nginx on PATH"),
    "chromium": (lambda: shutil.which("chromium") is not None, "no chromium on PATH"),
    "faketime": (_faketime, "libfaketime is not installed"),
    "locale": (_locale, "no localedef with the sources of de_DE"),
}
_found: dict[str, bool] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): skipped, with the reason, where the machine lacks one of them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(filter(None, os.environ.get("CHAOSCTL_REQUIRE", "").split(",")))
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            here, reason = NEEDS[name]
            if not _found.setdefault(name, here()):
                if name in required:
                    pytest.fail(f"required here: {reason}", pytrace=False)
                pytest.skip(reason)
