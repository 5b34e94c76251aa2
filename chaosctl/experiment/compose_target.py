"""What driver `compose` is told, beside the services: which compose file, or which project that is running already."""

from __future__ import annotations

from pydantic import Field

from chaosctl.experiment.frozen import Frozen


class Compose(Frozen):
    """A compose file that is brought up for the run, or a project that is attached to."""

    file: str | None = Field(
        default=None,
        min_length=1,
        description="The compose file, relative to this file; it is used as it is, under a project name of the run's "
        "own, together with an override file that is written into the bundle",
    )
    attach: bool = Field(
        default=False,
        description="`true`: act on a project that is running already, and leave it as it was found; needs "
        "--allow-external",
    )
    project: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="With `attach`: the name of that project, as `docker compose ls` shows it",
    )
