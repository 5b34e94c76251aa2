"""Stage 5: a run on disk, and the plain data it is read into.

    experiment.yaml plan.json run.json     at the start: input as read, plan as computed, and the run's identity
                                           (with the images of containers, once they are known)
    events.jsonl                           {"at_ns": 0, "event": "...", ...}, one object a line
    samples/<source>.arrow                 operations, columnar; sources: swarm-0 ..., probe-relay, probe-direct
    history.jsonl                          operations with meaning: invoke and completion apart
    reproducer/<factor or plain>/          where replays part: input.log, inputs.jsonl, README.txt
    inputs/ digests/ logs/                 the target's input log, its digests (live.jsonl, replay-1.jsonl,
                                           perturb-<factor>-1.jsonl), outputs

All times are nanoseconds since the run's start (`run.json: origin_monotonic_ns`), on the orchestrator's clock.

Events and their fields (a reader must accept unknown events and fields):

    run_started      run_id, wall, version, command, environment {python, platform, cores, hostname...}
    phase            name: up | ramp | baseline | timeline | settle | audit | replay | down
    load_started     (the zero of the plan's times)
    load_ended
    service_started  service, replica, pid, start (1 for the first start, 2 after one restart ...), version (where it is
                     not the one that the target declares)
    service_ready    service, replica
    service_exited   service, replica, pid, code | signal, expected: bool, said (the last lines of its output, where it
                     ended of itself before it was ready)
    relay            kind, version, api_url, started_by_us
    fault_requested  fault, due_ns (run time)
    fault_resolved   fault, asked ("leader of world"), on ("world[1]"), said {replica: its role, or why it has none}
                     (only where the experiment names a role; just before the fault is applied)
    fault_applied    fault, called_ns, returned_ns, targets
    fault_failed     fault, why                       (inject could not be done)
    fault_proved     fault, proved, proof
    fault_healed     fault, called_ns, returned_ns
    fault_heal_proved fault, proved, proof
    observed         what: totals|digest, service, values {name: number} | digest, ok, error
                     (a digest has a moment: before | after (a kill) | restored)
    metrics          service, replica, pid, round (the same for all that were asked together), values {name: number},
                     ok, error                        (twice a second while the load is on, if `metrics` is judged)
    generator        worker, lag_ms_p99, lag_ms_max, cpu_share, users, operations    (about once a second)
    bot_error        bot, error (a bot raised: first of its kind, with count)
    clock_offset     worker, workers, offset_ns, uncertainty_ns   (how far the clock of load worker number `worker` of
                     `workers` is ahead of ours, ±; the reader puts its samples and its lines of the history right)
    replay_finished  run, code, ticks, error
    minimised        factor | "plain", file, from_ticks, from_inputs, to_ticks, inputs, trials, took_ns, minimal, shown,
                     why, pinned      (the shortest log whose replays part; see replay/reproducer.py)
    tampered         trial (0: the log as it was), change, tick, input, text, noticed, how
    replay_canary    factor, reached: bool, text      (whether a perturbation reaches a replay; see factors.py)
    crashed          part: swarm | relay | probe | keeper | engine | deployment (removed by others), why: inconclusive
    note             text
    interrupted      signal
    stopped          condition (what ended the run early, with its number; or who halted it)
    cleanup_failed   what
    sealed           files {path in the bundle: size in bytes}: a file that is shorter now was cut afterwards
    run_ended        reason: completed | interrupted | stopped | failed | crashed | error, error
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]

SCHEMA_VERSION = 1


class Outcome(IntEnum):
    """What became of an operation: took effect, definitely did not, nobody knows (timeout, cut connection)."""

    OK = 0
    FAIL = 1
    INFO = 2


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl. `line` is its number in the file, from 1."""

    at_ns: int
    event: str
    fields: Mapping[str, Any]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Samples:
    """Operations as parallel columns, sorted by `intended_ns`. `end_ns` is -1 where no end was seen.

    `operation`, `cohort`, `error`, `link` are codes into the tuples of names beside them; error code 0 is "".
    A closed-loop source (an ordinary locustfile) has no intended times: there `intended_ns` equals `sent_ns` and
    `open_loop` is False.
    """

    intended_ns: Int64
    sent_ns: Int64
    end_ns: Int64
    outcome: Int8
    bot: Int32
    operation: Int32
    cohort: Int32
    error: Int32
    bots: tuple[str, ...]
    operations: tuple[str, ...]
    cohorts: tuple[str, ...]
    errors: tuple[str, ...]
    open_loop: bool

    def __len__(self) -> int:
        """Return the number of operations."""
        return len(self.intended_ns)

    def where(self, kept: npt.NDArray[np.bool_]) -> Samples:
        """Return only the marked operations."""
        columns = ("intended_ns", "sent_ns", "end_ns", "outcome", "bot", "operation", "cohort", "error")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})


class Mark(IntEnum):
    """The kind of a history line: an operation begins with INVOKE and ends with one of the others, or not at all."""

    INVOKE = 0
    OK = 1
    FAIL = 2
    INFO = 3


@dataclass(frozen=True)
class History:
    """history.jsonl as parallel columns, in file order.

    A line is {"at_ns": int, "mark": "invoke|ok|fail|info", "id": int, "bot": "near-3", "f": str, "key": str,
    "value": str | null}.
    `id` joins an invoke with its completion and is unique in the run. Vocabulary of `f`:

        add      value is one element put into the set `key`; elements are decimal integers, unique per key
        read     value (at completion) is the whole set as ranges: "1-340,342"; "" is the empty set
        session  value: open | cut | resumed | lost | closed; key is the session's name (marks: always ok)
        write    value is put into the register `key`, which is absent before its first write
        get      value (at completion) is what the register holds; null: absent
        cas      value is "old>new": the register held old and holds new; a fail if it held something else
        event    a game event's life, key is its id, each bot one part of it; value: started | settled | rolled_back,
                 or open | absent: what the target answered a bot that asked for its end (marks: always ok)
        version  key is a service, value the version that answers this bot from now on (marks: always ok)
        send     value is one element put into the stream `key`; elements are decimal integers, unique per key
        receive  value is one element of the stream `key` that reached the bot, in its order (marks: always ok)
        remove   value is taken out of the set `key`
        contains value (at completion) is "17=yes" or "17=no"
        enqueue  value is put at the end of the queue `key`
        dequeue  value (at completion) is what was taken from its front; null: it was empty
    """

    at_ns: Int64
    mark: Int8
    id: Int64
    f: Int32
    key: Int32
    bot: Int32
    fs: tuple[str, ...]
    keys: tuple[str, ...]
    bots: tuple[str, ...]
    value: Any  # pyarrow StringArray, null where there is none

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.at_ns)


@dataclass(frozen=True)
class DigestLine:
    """One state digest of the target. `parts` are digests of named parts of the state, `state` the state itself."""

    tick: int
    digest: str
    parts: Mapping[str, str] | None = None
    state: Any = None
