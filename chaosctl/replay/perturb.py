"""Perturbations: for each factor, how a replay is started so that only this factor differs, and what proves it.

Each is data: the starts to try, and the expression that a canary (a Python process started in the same way) evaluates
to see whether the factor is another one there. Which of them this machine can do is found out here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaosctl.recording.factors import Factor
from chaosctl.replay.start import MOST_PIECE_BYTES, PIECES_SEED, SINGLE_BYTES, Pace, Start

PADDING_BYTES = 16_384
LOCALES_WITHIN_S = 5.0
BUILT_WITHIN_S = 30.0
ZONES = Path("/usr/share/zoneinfo")
FAKETIME_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
FAKETIME_NAMES = ("libfaketime.so.1", "faketime/libfaketime.so.1", "*/faketime/libfaketime.so.1")
# Locales that write numbers with a comma come first: those are what breaks programs.
COMMA_LOCALES = ("de_", "fr_", "ru_", "es_", "pt_", "tr_")
LOCALE_SOURCES = Path("/usr/share/i18n")
BUILT_LOCALE = "de_DE.UTF-8"
TIMES = ("2001-02-03 04:05:06", "2033-12-31 23:59:59")
PACE = Pace(runs_s=0.005, stands_s=0.010)
# How long a canary works, in CPU seconds, before it says that nobody stops it.
STOPS_SEEN = 3
STOPS_WITHIN_S = 0.3


class NotHereError(Exception):
    """This machine cannot perturb the factor; the message says why."""


@dataclass(frozen=True)
class Perturbation:
    """A factor, the starts that perturb it, and the Python expression with which a canary sees it.

    `pins`: a start gives the factor one value that stays, where a plain process has another one every time. Then even
    a target that is never deterministic can be asked whether it becomes so. `told`: what the canary does not show.
    """

    factor: Factor
    starts: tuple[Start, ...]
    seen_by: str
    pins: bool = False
    told: str = ""


def perturbation_of(
    factor: Factor, env: Mapping[str, str], scratch: Path | None = None, clock_file: str | None = None
) -> Perturbation:
    """Return how `factor` is perturbed on this machine, for a process with the environment `env`.

    `scratch` is a folder for what has to be made first (a locale), which must be there as long as the perturbation is
    used; without it nothing is made. `clock_file` names the variable under which the target finds a file with the
    time. Raises NotHereError, also for a factor that takes more than another start.
    """
    if factor is Factor.LOCALE:
        return _locale(env, scratch)
    if factor is Factor.CLOCK:
        return _clock(env, scratch, clock_file)
    if factor not in _MAKERS:
        raise NotHereError("it takes two processes that are started as usual")
    return _MAKERS[factor](env)


def _hash_seed(_env: Mapping[str, str]) -> Perturbation:
    starts = tuple(Start(env={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))
    return Perturbation(Factor.HASH_SEED, starts, "hash('canary')", pins=True)


def _timezone(_env: Mapping[str, str]) -> Perturbation:
    # A name, where zones are installed: not every runtime understands the POSIX form.
    zone = "Pacific/Chatham" if (ZONES / "Pacific" / "Chatham").is_file() else "CHT-12:45"
    return Perturbation(Factor.TIMEZONE, (Start(env={"TZ": zone}),), "time.strftime('%z', time.localtime(0))")


def _locale(env: Mapping[str, str], scratch: Path | None) -> Perturbation:
    name = choose_locale(_installed_locales(env))
    built = scratch is not None and not (name or "").startswith(COMMA_LOCALES) and _build_locale(scratch)
    if built:
        name = BUILT_LOCALE
    if name is None:
        raise NotHereError("no locale but C and POSIX is installed here")
    seen_by = "(locale.setlocale(locale.LC_ALL, ''), locale.localeconv()['decimal_point'], time.strftime('%B'))"
    there = {"LC_ALL": name, "LANG": name} | ({"LOCPATH": str(scratch)} if built else {})
    return Perturbation(Factor.LOCALE, (Start(env=there),), seen_by)


def _build_locale(folder: Path) -> bool:
    """Make a locale with a decimal comma in `folder`, from the sources that distributions install. False: cannot."""
    program = shutil.which("localedef")
    if program is None or not (LOCALE_SOURCES / "locales" / "de_DE").is_file():
        return False
    command = [program, "-i", "de_DE", "-f", "UTF-8", "--no-archive", str(folder / BUILT_LOCALE)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILT_WITHIN_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    # 1: built, with warnings about the source.
    return done.returncode in (0, 1) and (folder / BUILT_LOCALE).is_dir()


def choose_locale(installed: Iterable[str]) -> str | None:
    """Return the locale of those that differs most from C, None where there is none."""
    others = sorted(name for name in installed if name.partition(".")[0] not in ("C", "POSIX"))
    comma = [name for prefix in COMMA_LOCALES for name in others if name.startswith(prefix)]
    return next(iter(comma + others), None)


def _installed_locales(env: Mapping[str, str]) -> list[str]:
    program = _program("locale")
    try:
        done = subprocess.run(
            [program, "-a"],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOCALES_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotHereError(f"'locale -a' could not be asked ({type(error).__name__})") from error
    return done.stdout.decode(errors="replace").split()


def _environment(_env: Mapping[str, str]) -> Perturbation:
    starts = (Start(env={"CHAOSCTL_PADDING": "x" * PADDING_BYTES}),)
    return Perturbation(Factor.ENVIRONMENT, starts, "sum(len(k) + len(v) + 2 for k, v in os.environb.items())")


def _working_folder(_env: Mapping[str, str]) -> Perturbation:
    # The path around it is another one each time.
    return Perturbation(Factor.WORKING_FOLDER, (Start(elsewhere=True),), "os.path.basename(os.getcwd())")


def _cpu(_env: Mapping[str, str]) -> Perturbation:
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise NotHereError("there is only one CPU to run on")
    start = Start(prefix=(_program("taskset"), "-c", str(usable[-1])))
    return Perturbation(Factor.CPU, (start,), "sorted(os.sched_getaffinity(0))")


def _addresses(_env: Mapping[str, str]) -> Perturbation:
    start = Start(prefix=(_program("setarch"), "-R"))
    stack_end = "next(line.split()[0].split('-')[1] for line in open('/proc/self/maps') if '[stack]' in line)"
    return Perturbation(Factor.ADDRESSES, (start,), stack_end, pins=True)


def _clock(env: Mapping[str, str], scratch: Path | None, variable: str | None) -> Perturbation:
    """Fake what the target asks the system for, the file that it reads its time from, or both."""
    library = find_faketime(FAKETIME_FOLDERS)
    seen_by, starts = [], [dict[str, str]() for _ in TIMES]
    if library is not None:
        preload = " ".join(filter(None, (str(library), env.get("LD_PRELOAD"))))
        for start, when in zip(starts, TIMES, strict=True):
            # Wall time only, and standing still: what waits on the monotonic clock must go on.
            start |= {"LD_PRELOAD": preload, "NO_FAKE_STAT": "1", "FAKETIME": when}
            start |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        seen_by.append("time.strftime('%Y-%m-%d %H:%M:%S')")
    if variable is not None and scratch is not None:
        for start, when in zip(starts, TIMES, strict=True):
            start[variable] = str(_clock_file(scratch, when))
        seen_by.append(f"open(os.environ.get({variable!r}, os.devnull)).read().strip() or 'no clock file'")
    if not seen_by:
        raise NotHereError("libfaketime is not installed here")
    return Perturbation(Factor.CLOCK, tuple(Start(env=start) for start in starts), ", ".join(seen_by), pins=True)


def _clock_file(folder: Path, when: str) -> Path:
    """Write the time `when` (UTC) in nanoseconds since 1970 into a file, and return that."""
    seconds = datetime.strptime(when, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    path = folder / f"clock-{seconds:.0f}"
    path.write_text(f"{int(seconds) * 10**9}\n")
    return path


def find_faketime(folders: Iterable[str]) -> Path | None:
    """Return the first libfaketime below `folders`, where distributions put it."""
    found = (path for folder in folders for name in FAKETIME_NAMES for path in sorted(Path(folder).glob(name)))
    return next(found, None)


def _malloc_fill(_env: Mapping[str, str]) -> Perturbation:
    starts = (Start(env={"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.perturb=165"}),)
    # Fresh memory is asked for its last bytes: an allocator writes its own notes at the beginning.
    fresh = "(malloc := ctypes.CDLL(None).malloc, setattr(malloc, 'restype', ctypes.c_void_p), malloc(4000))[2]"
    return Perturbation(Factor.MALLOC_FILL, starts, f"ctypes.string_at({fresh} + 3000, 8).hex()")


def _pace(_env: Mapping[str, str]) -> Perturbation:
    work = f"while len(stops) < {STOPS_SEEN} and time.process_time() < {STOPS_WITHIN_S}: pass"
    # It counts how often it is continued: wall time alone would also pass on a busy machine.
    count = f"stops = []; signal.signal(signal.SIGCONT, lambda *_: stops.append(1))\n{work}"
    seen_by = f"(names := globals(), exec({count!r}, names), f'{{len(names[\"stops\"])}} stops')[2]"
    told = f"in turn {PACE.runs_s * 1e3:g} ms running and {PACE.stands_s * 1e3:g} ms stopped"
    return Perturbation(Factor.PACE, (Start(pace=PACE),), seen_by, told=told)


def _stdin_chunks(_env: Mapping[str, str]) -> Perturbation:
    reads = "[len(os.read(log, 64)) for log in [os.open(sys.argv[1], os.O_RDONLY)] for _ in range(3)]"
    told = f"the first {SINGLE_BYTES} bytes alone, then pieces of 1 to {MOST_PIECE_BYTES} by seed {PIECES_SEED}"
    return Perturbation(Factor.STDIN_CHUNKS, (Start(piped=True),), f"'reads of', {reads}, 'bytes'", told=told)


def _open_files(_env: Mapping[str, str]) -> Perturbation:
    # With holes, so that the next ones are neither the usual numbers nor in one row. A shell knows one digit only.
    opens = 'exec 3</dev/null 4<. 6</dev/null 9<.; exec "$@"'
    start = Start(prefix=(_program("sh"), "-c", opens, "sh"))
    numbers = "[os.open(os.devnull, os.O_RDONLY) for _ in range(3)]"
    return Perturbation(Factor.OPEN_FILES, (start,), f"'descriptors', {numbers}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotHereError(f"'{name}' is not on PATH")
    return found


_MAKERS: Mapping[Factor, Callable[[Mapping[str, str]], Perturbation]] = {
    Factor.HASH_SEED: _hash_seed,
    Factor.TIMEZONE: _timezone,
    Factor.ENVIRONMENT: _environment,
    Factor.WORKING_FOLDER: _working_folder,
    Factor.CPU: _cpu,
    Factor.ADDRESSES: _addresses,
    Factor.MALLOC_FILL: _malloc_fill,
    Factor.PACE: _pace,
    Factor.STDIN_CHUNKS: _stdin_chunks,
    Factor.OPEN_FILES: _open_files,
}
