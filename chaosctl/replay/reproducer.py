"""A reproducer: a short input log in a run's folder, what it shows, and the one command that shows it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaosctl.errors import RecordingError
from chaosctl.recording.digests import field_diff
from chaosctl.replay.chance import replays_to_be_sure
from chaosctl.replay.inputs import NotEditableError, Tick, lines_of, numbered_like
from chaosctl.replay.parting import PLAINLY, Bench, Case
from chaosctl.replay.start import PLAIN

FOLDER = "reproducer"
ASKED_FOR_CHANCE = 8
FIELDS_SHOWN = 5
SHOWN_WITHIN_S = 5.0


@dataclass(frozen=True)
class Minimised:
    """What came of minimising one case: an event's fields, times in ns.

    `file`: the log that was written, in the run's folder; None: none was, and `why` says why. `minimal`: no tick and no
    input of it can be left out; False: the time was over first. `shown`: the command that shows how replays of it part.
    `pinned`: it stands for plain replays, which part too, and the factor is why.
    """

    factor: str
    from_ticks: int = 0
    from_inputs: int = 0
    to_ticks: int = 0
    inputs: int = 0
    trials: int = 0
    took_ns: int = 0
    minimal: bool = False
    file: str | None = None
    shown: str | None = None
    why: str | None = None
    pinned: bool = False


def write_reproducer(bench: Bench, case: Case, ticks: Sequence[Tick], found: Minimised, home: Path) -> Minimised:
    """Write a log of `ticks`, its lines and a README to `home`/reproducer/<case>. Return where. Raises RecordingError.

    A search may use up all its time; what is replayed here, to show what it does, has a little time of its own.
    """
    bench = replace(bench, until_s=max(bench.until_s, time.monotonic()) + SHOWN_WITHIN_S)
    numbered = numbered_like(bench.original, ticks)
    folder = home / FOLDER / case.name
    log = folder / "input.log"
    command = ["chaosctl", "replay", str(home), "--input", str(log), *_options(bench, case, ticks)]
    found = replace(found, file=str(log.relative_to(home)), shown=shlex.join(command))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bench.logs.write(numbered, log)
        (folder / "inputs.jsonl").write_bytes(lines_of(numbered))
        (folder / "README.txt").write_text(_explained(found, _differences(bench, case, ticks)))
    except OSError as error:
        raise RecordingError(f"cannot write {folder}: {error.strerror}; make room, or it writable") from error
    except NotEditableError as error:
        return replace(found, file=None, shown=None, why=str(error))
    return found


def _options(bench: Bench, case: Case, ticks: Sequence[Tick]) -> list[str]:
    """Return the options with which replays part, also where that takes some luck."""
    if case.name != PLAINLY:
        return ["--perturb", case.name]
    runs = bench.replays(ticks, (PLAIN,) * ASKED_FOR_CHANCE)
    seen = [tuple(line.digest for line in run.lines.values()) for run in runs]
    return ["--perturb", "none", "--runs", str(replays_to_be_sure(seen))]


def _differences(bench: Bench, case: Case, ticks: Sequence[Tick]) -> list[str]:
    """Return where replays part and what differs there, as lines."""
    parted = bench.first_parting(ticks, case.sides)
    if parted is None:
        return ["Replays of it part by chance; this time they did not."]
    lines = [f"Replays part at tick {parted.tick}, in {', '.join(parted.parts) or 'their digest'}."]
    if bench.replay.states is None:
        return lines
    runs = bench.replays(ticks, case.sides, (parted.tick, parted.tick))
    states = [line.state for run in runs if (line := run.lines.get(parted.tick)) is not None]
    fields = next((diff for other in states[1:] if (diff := field_diff(states[0], other))), ())
    return lines + [f"  {path}: {left!r} in one, {right!r} in another" for path, left, right in fields[:FIELDS_SHOWN]]


def _explained(found: Minimised, differences: Iterable[str]) -> str:
    """Return the text that stands beside a reproducer."""
    left = f"{found.inputs} inputs in {found.to_ticks} ticks are left of {found.from_inputs} in {found.from_ticks}."
    end = "None of them can be left out." if found.minimal else "The time was over: it may get shorter still."
    lines = [
        f"{left} {end}",
        *differences,
        "",
        "input.log     the log, in the target's format",
        "inputs.jsonl  the same, readable",
        "",
        "This shows it and exits with 1, in the folder and with the environment variables of the run's own command:",
        "",
        f"  {found.shown}",
    ]
    return "\n".join(lines) + "\n"
