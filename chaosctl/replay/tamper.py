"""Tampering: one recorded input dropped, swapped, duplicated or altered. A replay whose digests stay as they were
did not notice, and so its digests would not notice either when the recording itself is wrong.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaosctl.recording.digests import first_divergence, read_digests
from chaosctl.replay.inputs import InputLogs, NotEditableError, Tick, lines_of
from chaosctl.replay.perturbed import Perturbing
from chaosctl.replay.run import replay_once

AT_ONCE = 2
# The log as it was, written anew: a replay that notices this would notice anything.
UNTOUCHED = "none"
TEXT_SHOWN = 120


@dataclass(frozen=True)
class Change:
    """One change to a log. `trial` counts from 1; `tick` and `input` (from 0, in its tick) say where it is."""

    trial: int
    change: str
    tick: int
    input: int
    text: str


@dataclass(frozen=True)
class Tampered:
    """What came of a change: an event's fields. `noticed` None: nobody knows; `how` says how, or why not."""

    trial: int
    change: str
    tick: int | None
    input: int | None
    text: str
    noticed: bool | None
    how: str


def changes(ticks: Sequence[Tick], seed: int, trials: int) -> Iterator[tuple[Change, tuple[Tick, ...]]]:
    """Yield `trials` changes and the changed logs, chosen by `seed`, each kind in its turn. Pure.

    A kind that these inputs do not allow (two different ones to swap, something to alter) is left to the next one;
    nothing is yielded where there is no input at all.
    """
    rng = random.Random(f"tamper:{seed}")
    places = [(at, n) for at, one in enumerate(ticks) for n in range(len(one.inputs))]
    for trial in range(1, trials + 1 if places else 1):
        kinds = [_KINDS[(trial - 1 + n) % len(_KINDS)] for n in range(len(_KINDS))]
        found = next(found for name, kind in kinds if (found := _tried(name, kind, trial, ticks, places, rng)))
        yield found


Place = tuple[int, int]
Kind = Callable[[Sequence[Tick], Sequence[Place], random.Random], tuple[Place, dict[Place, list[Any]], str] | None]


def _tried(
    name: str, kind: Kind, trial: int, ticks: Sequence[Tick], places: Sequence[Place], rng: random.Random
) -> tuple[Change, tuple[Tick, ...]] | None:
    done = kind(ticks, places, rng)
    if done is None:
        return None
    (at, n), instead, text = done
    changed = list(ticks)
    for touched in {place[0] for place in instead}:
        inputs = [one for m, given in enumerate(ticks[touched].inputs) for one in instead.get((touched, m), [given])]
        changed[touched] = replace(ticks[touched], inputs=tuple(inputs))
    return Change(trial, name, ticks[at].tick, n, text), tuple(changed)


def _drop(ticks: Sequence[Tick], places: Sequence[Place], rng: random.Random) -> Any:
    place = rng.choice(places)
    return place, {place: []}, f"without {_shown(_at(ticks, place))}"


def _duplicate(ticks: Sequence[Tick], places: Sequence[Place], rng: random.Random) -> Any:
    place = rng.choice(places)
    given = _at(ticks, place)
    return place, {place: [given, given]}, f"{_shown(given)} twice"


def _swap(ticks: Sequence[Tick], places: Sequence[Place], rng: random.Random) -> Any:
    place = rng.choice(places)
    given = _at(ticks, place)
    others = [other for other in places if _at(ticks, other) != given]
    if not others:
        return None
    other = rng.choice(others)
    taken = _at(ticks, other)
    text = f"{_shown(given)} in the place of {_shown(taken)} of tick {ticks[other[0]].tick}, and that in its place"
    return place, {place: [taken], other: [given]}, text


def _alter(ticks: Sequence[Tick], places: Sequence[Place], rng: random.Random) -> Any:
    alterable = [place for place in places if next(_scalars(_at(ticks, place)), None) is not None]
    if not alterable:
        return None
    place = rng.choice(alterable)
    given = _at(ticks, place)
    path = rng.choice(list(_scalars(given)))
    other = _altered(given, path)
    return place, {place: [other]}, f"{_shown(other)} instead of {_shown(given)}"


_KINDS: tuple[tuple[str, Kind], ...] = (
    ("drop", _drop),
    ("swap", _swap),
    ("duplicate", _duplicate),
    ("alter", _alter),
)


def _at(ticks: Sequence[Tick], place: Place) -> Any:
    return ticks[place[0]].inputs[place[1]]


def _scalars(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every number, text and truth value in a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _scalars(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for n, inner in enumerate(value):
            yield from _scalars(inner, (*path, n))
    elif value is not None:
        yield path


def _altered(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the value with the scalar at `path` changed to another one of its type."""
    if path:
        items = dict(value) if isinstance(value, dict) else list(value)
        items[path[0]] = _altered(items[path[0]], path[1:])
        return items
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value + 1


def _shown(value: Any) -> str:
    text = lines_of((Tick(0, (value,)),)).decode()[len('{"tick":0,"inputs":[') : -len("]}\n")]
    return text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 3]}..."


def tamper(perturbing: Perturbing, seed: int, trials: int) -> Iterator[Tampered]:
    """Replay the log untouched and then `trials` times tampered with, and yield what came of each.

    Compared with the plain replay `digests/replay-1.jsonl`. Without `trials` nothing is done. Raises RecordingError.
    """
    if not trials:
        return
    logs = InputLogs(perturbing.replay, perturbing.folder, perturbing.env)
    plain = perturbing.bundle / "digests" / "replay-1.jsonl"
    try:
        ticks = logs.read(perturbing.input_log)
    except NotEditableError as error:
        yield Tampered(0, UNTOUCHED, None, None, "", None, str(error))
        return
    untouched = Change(0, UNTOUCHED, ticks[0].tick, 0, "the log as it was")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [(untouched, ticks), *changes(ticks, seed, trials)]
        yield from pool.map(lambda one: _trial(perturbing, logs, plain, *one), tried)


def _trial(perturbing: Perturbing, logs: InputLogs, plain: Path, change: Change, ticks: Sequence[Tick]) -> Tampered:
    noticed, how = _noticed(perturbing, logs, plain, ticks)
    return Tampered(change.trial, change.change, change.tick, change.input, change.text, noticed, how)


def _noticed(perturbing: Perturbing, logs: InputLogs, plain: Path, ticks: Sequence[Tick]) -> tuple[bool | None, str]:
    """Replay `ticks` and return whether that differs from the plain replay, or is refused, and how."""
    with tempfile.TemporaryDirectory(prefix="chaosctl-tamper-", ignore_cleanup_errors=True) as scratch:
        log, out = Path(scratch) / "input.log", Path(scratch) / "digests.jsonl"
        try:
            logs.write(ticks, log)
        except NotEditableError as error:
            return None, str(error)
        run = replay_once(
            perturbing.replay,
            name="tampered",
            input_log=log,
            out=out,
            folder=perturbing.folder,
            env=perturbing.env,
            abort=perturbing.abort,
        )
        if run.error is not None:
            # A target that refuses such a log has noticed; one that hangs has not said so.
            return (True, f"refused: {run.error}") if run.code else (None, run.error)
        if not plain.is_file():
            return None, "there is no plain replay to compare with"
        parted = first_divergence(read_digests(plain, "plain"), read_digests(out, "tampered"))
    if parted is None:
        return False, "the same digest at every tick"
    return (
        True,
        f"another digest at tick {parted.tick}" if parted.what == "digest" else f"other ticks, from {parted.tick}",
    )
