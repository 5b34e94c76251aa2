"""The swarm's process: `python -m chaosctl.swarm`, told what to do on standard input. Not for people."""

from __future__ import annotations

# First of all: it patches what the modules below import, and fails in a recursion when it comes later.
import locust  # noqa: F401  # isort: skip

import logging
import os
import sys
from typing import Any

from chaosctl.errors import ChaosctlError
from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.control import Control
from chaosctl.swarm.local import run_local
from chaosctl.swarm.master import run_master
from chaosctl.swarm.worker import run_worker


def main() -> int:
    """Read the configuration, play the role that it gives, and return the exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    control = Control()
    told: dict[str, Any] = control.messages.get()
    role: dict[str, int] | None = told.pop("role", None)
    config = SwarmConfig.from_data(told)
    try:
        if role is not None:
            run_worker(config, role["worker"], role["master_port"], control)
        elif config.workers > 1:
            run_master(config, control)
        else:
            run_local(config, control)
    except ChaosctlError as error:
        control.emit({"event": "failed", "why": str(error)})
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not sys.exit: a bot that does not let go must not hold it up.
    os._exit(code)
