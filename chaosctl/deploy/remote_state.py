"""The state folder of a replica whose engine is elsewhere: a volume of the run there, and a copy of it here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from chaosctl.deploy.contract import Replica
from chaosctl.errors import NotReadyError
from chaosctl.safety.engine import RUN_LABEL, Engine

_WITHIN_S = 60.0


def volume(run_id: str, replica: Replica, target: str) -> Mapping[str, Any]:
    """Return the mount of its volume, which is made with its first container and carries the label of the run."""
    name = f"chaosctl-{run_id}-{replica.service}-{replica.index}"
    options = {"NoCopy": True, "Labels": {RUN_LABEL: run_id}}
    return {"Type": "volume", "Source": name, "Target": target, "VolumeOptions": options}


def let_all_write(engine: Engine, container: str, target: str) -> None:
    """Let whoever the image runs as write to the volume at `target`. Raises EngineError."""
    folder, packed = PurePosixPath(target), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(folder.name)
        member.type, member.mode = tarfile.DIRTYPE, 0o777
        archive.addfile(member)
    engine.ask("PUT", f"/containers/{container}/archive", packed.getvalue(), path=str(folder.parent))


def fetch(engine: Engine, container: str, source: str, into: Path) -> None:
    """Copy the files below a folder of a container, running or not, into a folder here; what is no plain file is left
    out. Raises NotReadyError for what could not be copied, EngineError."""
    with engine.open("GET", f"/containers/{container}/archive", None, _WITHIN_S, path=f"{source}/.") as answer:
        try:
            with tarfile.open(fileobj=answer, mode="r|") as archive:
                for member in archive:
                    _take(archive, member, into)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise NotReadyError(f"{source} of container {container[:12]} was not copied whole: {error}") from error


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    path = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    # The names are the container's: they are not believed.
    if content is None or path.is_absolute() or ".." in path.parts:
        return
    to = into / path
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("wb") as file:
        while data := content.read(1 << 20):
            file.write(data)
