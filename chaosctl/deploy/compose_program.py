"""Docker Compose itself: the plugin of docker's client (version 2), or the older program where that is what is here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chaosctl.errors import NotReadyError, RecordingError

# Since 2.24.4 an override file can take something away (docs.docker.com/reference/compose-file/merge).
_TAKES_AWAY = (2, 24, 4)
_NAMES = (("docker", "compose"), ("docker-compose",))
_LOOK_WITHIN_S = 10.0
_POLL_S = 0.05
_LAST_LINES = 4
# How far it has come with something, a line each: no reason why it failed.
_PROGRESS = re.compile(
    r"^\s*(#\d+|(Creating|Starting|Pulling|Building|Container|Network|Volume|Image|Service) .*|"
    r".* (Pulling|Building|Built|Pulled|skipping))\b"
)


@dataclass(frozen=True)
class ComposeProgram:
    """How it is called here, and its version."""

    words: tuple[str, ...]
    version: tuple[int, ...]

    @property
    def takes_away(self) -> bool:
        """Whether an override file can take away what the file says: published ports, a container's name."""
        return self.version >= _TAKES_AWAY

    @property
    def is_plugin(self) -> bool:
        """Whether it is version 2."""
        return self.version >= (2,)


def find_compose(environ: Mapping[str, str]) -> ComposeProgram:
    """Return the newest that is here. Raises NotReadyError with the mend."""
    for words in _NAMES:
        if shutil.which(words[0], path=environ.get("PATH")) is None:
            continue
        try:
            said = subprocess.run(
                [*words, "version", "--short"],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LOOK_WITHIN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", said.stdout.strip())
        if said.returncode == 0 and version is not None:
            return ComposeProgram(words, tuple(int(part or 0) for part in version.groups()))
    raise NotReadyError(
        "Docker Compose is not here: neither `docker compose` nor `docker-compose` answers; install the plugin "
        "(docker-compose-plugin, or docker-compose-v2), or use driver docker"
    )


@dataclass(frozen=True)
class Project:
    """One project: its files, its name, and the environment that compose fills them in from. What it says goes to
    `log_path`; `abort` ends it."""

    program: ComposeProgram
    name: str
    files: tuple[Path, ...]
    environ: Mapping[str, str]
    log_path: Path
    abort: threading.Event

    def config_words(self) -> tuple[str, ...]:
        """Return how it is asked what the files say."""
        return ("config", *(("--format", "json") if self.program.is_plugin else ()))

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the command that has compose do this."""
        files = [word for file in self.files for word in ("-f", str(file))]
        return [*self.program.words, *files, "-p", self.name, *words]

    def config(self) -> Mapping[str, Any]:
        """Return what the files say, as compose reads them, completed. Raises NotReadyError with what it says."""
        what = f"{self.files[0]} is not right for compose"
        text = self._run(self.config_words(), _LOOK_WITHIN_S, what)
        try:
            read: Any = json.loads(text) if self.program.is_plugin else YAML(typ="safe", pure=True).load(text)
        except (ValueError, YAMLError) as error:
            raise NotReadyError(f"what compose says of {self.files[0]} cannot be read: {error}") from error
        return dict(read) if isinstance(read, dict) else {}

    def build(self, within_s: float) -> None:
        """Build what is to be built, for a version that does it only once it needs it. Raises NotReadyError."""
        self._run(("build",), within_s, f"compose cannot build what {self.files[0]} says")

    def up(self, words: Sequence[str], within_s: float) -> None:
        """Bring it up, as the words say (`up --detach`). Raises NotReadyError with what compose says."""
        self._run(words, within_s, f"compose cannot bring {self.files[0]} up")

    def _run(self, words: Sequence[str], within_s: float, what: str) -> str:
        """Run it and return what it prints. Raises NotReadyError, RecordingError."""
        argv = self.argv(words)
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            log = self.log_path.open("a+")
        except OSError as error:
            mend = "give another folder with --out"
            raise RecordingError(f"{self.log_path} cannot be made ({error.strerror}); {mend}") from error
        with log:
            begin = log.tell()
            code, printed = self._ended(argv, within_s, log)
            log.seek(begin)
            said = [line.strip() for line in log.read().splitlines() if line.strip()]
        if code is None:
            raise NotReadyError(f"{what}: it did not end within {within_s:g} s; see {self.log_path}")
        if code != 0:
            why = [line for line in said if not _PROGRESS.match(line)][-_LAST_LINES:] or said[-1:]
            raise NotReadyError(f"{what}: {'; '.join(why) or f'it ended with {code}'}; see {self.log_path}")
        return printed

    def _ended(self, argv: Sequence[str], within_s: float, log: Any) -> tuple[int | None, str]:
        """Run it to its end, and return its code and what it printed; None where it was ended. Raises NotReadyError."""
        try:
            process = subprocess.Popen(
                argv,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise NotReadyError(f"{argv[0]} cannot be started: {error.strerror}") from error
        end_s = time.monotonic() + within_s
        while True:
            try:
                printed, _ = process.communicate(timeout=_POLL_S)
                return process.returncode, printed
            except subprocess.TimeoutExpired:
                if not self.abort.is_set() and time.monotonic() < end_s:
                    continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if self.abort.is_set():
                raise NotReadyError("stopped while compose was at work")
            return None, ""
