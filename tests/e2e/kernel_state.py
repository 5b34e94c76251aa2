"""What this machine's kernel has, as tests see it: mounts, loop devices, bounds of block devices, rules of packets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from chaosctl.safety.journal import journal_path


def held_below(folder: Path) -> list[str]:
    """Return what the kernel holds below a folder: mounts, and the files of loop devices."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {folder}/" in line]
    backing = [_read(path).strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return mounts + [file for file in backing if file.startswith(f"{folder}/")]


def slowed_devices(bundle: Path) -> set[str]:
    """Return the block devices that a run has slowed, by its journal."""
    journal = journal_path(bundle)
    return set(re.findall(r'"device": "([^"]+)"', journal.read_text())) if journal.exists() else set()


def bounded(devices: set[str]) -> list[str]:
    """Return the bounds that any control group of version 1 has for these block devices."""
    knobs = Path("/sys/fs/cgroup/blkio").glob("**/blkio.throttle.*_device")
    return [line for knob in knobs for line in _read(knob).splitlines() if line.split()[0] in devices]


def packet_rules(namespace: str | None = None) -> list[str]:
    """Return all rules of packets, without their counters: those of this machine, or of a network namespace."""
    inside = ["nsenter", f"--net={namespace}", "--"] if namespace else []
    ran = subprocess.run([*inside, "iptables-save"], capture_output=True, text=True, check=True, timeout=30)
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in ran.stdout.splitlines() if not line.startswith("#")]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # gone meanwhile
