"""Stage 1: an experiment as plain frozen data, exactly what the YAML says with units resolved.

YAML names are the aliases; attribute names carry their units (`within` in the file is `within_ns` here).
Every field has a description: it is the editor's help and the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chaosctl.experiment.address import Addresses
from chaosctl.experiment.compose_target import Compose
from chaosctl.experiment.frozen import NAME, Count, Name, not_a_truth_value
from chaosctl.experiment.frozen import Frozen as Frozen
from chaosctl.experiment.stop_condition import StopCondition
from chaosctl.experiment.units import BytesPerS, DurationNs, RatePerS, Share, SizeBytes


class Ask(Frozen):
    """Where to ask a service something: a URL on one of its ports, or a command. Exactly one."""

    http: str | None = Field(default=None, description="`<port name>/<path>`, fetched with GET: `status/healthz`")
    command: tuple[str, ...] | None = Field(default=None, description="A command; its standard output is the answer")

    @model_validator(mode="after")
    def _exactly_one(self) -> Ask:
        if (self.http is None) == (self.command is None):
            raise ValueError("give exactly one of http, command")
        return self


class Ready(Frozen):
    """When a replica counts as ready. Exactly one of tcp, http, log, command, health."""

    tcp: str | None = Field(default=None, description="Ready when this port accepts a connection")
    http: str | None = Field(default=None, description="`<port>/<path>`: ready when GET answers 2xx")
    log: str | None = Field(default=None, description="Ready when a line of its output matches this regular expression")
    command: tuple[str, ...] | None = Field(
        default=None, description="Ready when this command exits with 0; for a container it runs inside"
    )
    health: bool = Field(
        default=False, description="`true`: ready when the health check of its image says healthy (containers only)"
    )
    within_ns: DurationNs = Field(default=10_000_000_000, alias="within", description="How long to wait for it")

    @model_validator(mode="after")
    def _exactly_one(self) -> Ready:
        ways = (self.tcp, self.http, self.log, self.command, self.health or None)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give exactly one of tcp, http, log, command, health")
        return self


class Hello(Frozen):
    """One question that a working replica answers: what probes and fault proofs send. Reads only, please."""

    send: str | None = Field(default=None, description=r'Bytes to send, as text: "PING\r\n"')
    expect: str | None = Field(default=None, description='What a right answer starts with: "+PONG"')
    http: str | None = Field(default=None, description="Or a path to GET: a right answer has a 2xx or 3xx status")
    port: str | None = Field(default=None, description="The port to ask; the first one if left out")

    @model_validator(mode="after")
    def _one_way(self) -> Hello:
        if (self.http is None) == (self.send is None) or (self.send is None) != (self.expect is None):
            raise ValueError("give either send and expect, or http")
        return self


class ReplaySnapshot(Frozen):
    """How a replay writes its state at a tick, and how another one begins there."""

    write: tuple[str, ...] = Field(
        min_length=1,
        description="Arguments to add so that the state after `${tick}` is written to the path `${snapshot}`",
    )
    begin: tuple[str, ...] = Field(
        min_length=1, alias="from", description="Arguments to add so that it begins at `${snapshot}`, not at the start"
    )


class InputLines(Frozen):
    """How an input log of the target's own format is turned into lines of JSON and back, so that it can be edited."""

    decode: tuple[str, ...] = Field(
        min_length=1,
        description='A command that prints `{"tick": n, "inputs": [...]}` for each tick of the log `${input_log}`',
    )
    encode: tuple[str, ...] = Field(
        min_length=1,
        description="A command that reads such lines and writes a log to `${output}`, its ticks numbered anew",
    )


class Replay(Frozen):
    """How a fresh copy eats an input log and prints `{"tick": n, "digest": "...", "state"?: {...}}` lines."""

    run: tuple[str, ...] = Field(
        description="The command; `${input_log}` is the recorded log; it exits with 4 where that is damaged"
    )
    states: tuple[str, ...] | None = Field(
        default=None, description="Arguments to add so that states are printed; `${from_tick}`, `${to_tick}` bound them"
    )
    snapshot: ReplaySnapshot | None = Field(
        default=None,
        description="How to write a snapshot and to begin at one: the factor `snapshot` needs it",
    )
    keep: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Arguments to add so that it keeps its state in `${state}` and, started again, goes on from there: "
        "the factor `restart` needs it",
    )
    clock_file: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that names a file with the time (nanoseconds since 1970, one line) which it "
        "takes for the present: the factor `clock` then shifts that too",
    )
    inputs: InputLines | None = Field(
        default=None,
        description="How its input log can be edited: minimising and tampering need it, unless it is lines already "
        'such as `{"tick": 1, "inputs": [...]}`',
    )
    within_ns: DurationNs = Field(default=60_000_000_000, alias="within", description="How long one replay may take")


# What the kernel says of a replica's processes: these numbers need no offer.
PROCESS_NUMBERS = ("memory_bytes", "cpu_seconds", "threads", "open_files")


class Offers(Frozen):
    """What a service offers to those who judge it. Everything is optional; each thing makes one more check possible."""

    status: Ask | None = Field(default=None, description="Prints JSON that names role, tick, version")
    totals: Ask | None = Field(default=None, description='Prints a JSON object of conserved quantities: {"gold": 1000}')
    digest: Ask | None = Field(default=None, description="Prints a digest of the state, one line")
    metrics: Ask | None = Field(default=None, description='Prints a JSON object of numbers: {"sent_bytes": 1000}')
    backup: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="A command that writes a backup of its state to the path `${backup}`"
    )
    restore: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="A command that puts `${backup}` in place of its state while it is down, so that it starts with it",
    )
    input_log: str | None = Field(default=None, description="The file of its inputs, in order (the leader's counts)")
    digests: str | None = Field(
        default=None, description="The file the service writes its own digest lines to, one a tick"
    )
    replay: Replay | None = Field(default=None, description="How to replay the input log on a fresh copy")


class Restart(Frozen):
    """What brings a dead replica back."""

    after_ns: DurationNs = Field(alias="after", description="How long after its death it is started again")
    at_most: Count = Field(default=20, ge=1, le=1000, description="After so many restarts it stays dead")


class Build(Frozen):
    """An image that is built for the run."""

    context: str = Field(default=".", description="The folder that is sent to the engine, relative to this file")
    dockerfile: str = Field(default="Dockerfile", description="The Dockerfile, relative to `context`")


Port = Annotated[int, BeforeValidator(not_a_truth_value), Field(ge=1, le=65_535)]


class Service(Frozen):
    """One named program of the deployment."""

    run: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="The command, a word an item; `${self.PORT}`, `${link.NAME}`, `${state}`, `${index}` are filled "
        "in. In a container it is the image's CMD, and may be left out",
    )
    image: str | None = Field(default=None, min_length=1, description="driver docker: the image it runs from, by name")
    build: Build | None = Field(default=None, description="driver docker: the image it runs from, built for the run")
    ports: tuple[Name, ...] = Field(
        default=(), description="Names of the ports it listens on; numbers are chosen for the run"
    )
    container_ports: dict[Name, Port] = Field(
        default_factory=dict,
        description="The number inside its container of a port, by its name: with driver docker, of one that the image "
        "has chosen; with driver compose, of every port. `ports` follow from it where they are left out",
    )
    addresses: dict[Name, Addresses] = Field(
        default_factory=dict,
        description="driver external: where its replicas listen, by the name of the port; `ports` and `replicas` "
        "follow from it where they are left out",
    )
    state: str | None = Field(
        default=None,
        pattern=r"^/.",
        description="driver compose: the folder in its container that is `${state}` outside, mounted for the run",
    )
    compose_services: tuple[str, ...] = Field(
        default=(),
        description="driver compose: the services of the compose file that are its replicas, one each, where it is not "
        "one of its own name; `replicas` follow from it where they are left out",
    )
    folder: str = Field(default=".", description="Working folder, relative to this file")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables for it")
    replicas: Count = Field(default=1, ge=1, le=100, description="How many copies run")
    needs: tuple[str, ...] = Field(default=(), description="Services that must be ready before it starts")
    ready: Ready | None = Field(default=None, description="When it counts as ready; without it, once it is started")
    restart: Restart | None = Field(
        default=None, description="What brings it back when it dies; without it, nothing does"
    )
    stop_within_ns: DurationNs = Field(
        default=5_000_000_000, alias="stop_within", description="From SIGTERM to SIGKILL at the end"
    )
    disk_bytes: SizeBytes | None = Field(
        default=None, alias="disk", ge=4 * 1024**2, description="Size of a disk of its own, where `${state}` is: 64MiB"
    )
    probe: Hello | None = Field(default=None, description="A question that a working replica answers")
    offers: Offers = Field(default_factory=Offers, description="What it offers to those who judge it")

    @model_validator(mode="before")
    @classmethod
    def _as_addressed(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("container_ports"), dict):
            data = {"ports": list(data["container_ports"]), **data}
        if isinstance(data, dict) and isinstance(data.get("compose_services"), list):
            data = {"replicas": len(data["compose_services"]) or 1, **data}
        addresses = data.get("addresses") if isinstance(data, dict) else None
        if not isinstance(addresses, dict) or not addresses:
            return data
        counts = [len(one) for one in addresses.values() if isinstance(one, list)]
        return {"ports": list(addresses), "replicas": max(counts, default=1) or 1, **data}

    @model_validator(mode="after")
    def _one_image(self) -> Service:
        if self.image is not None and self.build is not None:
            raise ValueError("give image or build, not both")
        return self


class Link(Frozen):
    """A directed connection that faults can act on; it gets relays of its own."""

    from_service: str | None = Field(
        default=None, alias="from", description="The service that connects; left out: the bots"
    )
    to: str = Field(description="The service it leads to")
    port: str | None = Field(default=None, description="Its port; the first one if left out")
    listen: Addresses = Field(
        default=(),
        description="Where its relay listens on this machine, one address for each replica it leads to, so that "
        "clients which chaosctl does not start can be pointed at it; left out: a free port of loopback",
    )


class Target(Frozen):
    """What is tested."""

    driver: Literal["process", "docker", "compose", "external"] = Field(
        default="process",
        description="What runs the services: `process` on this machine, `docker`: containers of the engine here, "
        "`compose`: what a compose file says, or `external`: nothing of ours, they run already (see `addresses`)",
    )
    compose: Compose = Field(default_factory=Compose, description="driver compose: what is brought up, or attached to")
    services: dict[Name, Service] = Field(min_length=1, description="The programs of the deployment, by name")
    links: dict[Name, Link] = Field(default_factory=dict, description="The connections that faults can act on, by name")


class Cohort(Frozen):
    """A named share of the bots, each with relays of its own on the bots' link."""

    share: Share = Field(description="Its share of all bots")
    latency_ns: DurationNs = Field(default=0, alias="latency", description="One-way delay that its answers always have")
    jitter_ns: DurationNs = Field(default=0, alias="jitter", description="Spread of that delay")
    bandwidth_bytes_per_s: BytesPerS | None = Field(
        default=None, alias="bandwidth", description="What its link carries at most"
    )


class Stage(Frozen):
    """From `at` on, the number of users moves to `users` over `over`."""

    at_ns: DurationNs = Field(alias="at", description="When, counted from the start of the load")
    users: Count = Field(ge=0, le=1_000_000, description="How many users there are afterwards")
    over_ns: DurationNs = Field(default=0, alias="over", description="How long the change takes")


class Swarm(Frozen):
    """The simulated users."""

    bots: str = Field(description="`path.py:Class` (or `path.py` for all its User classes), relative to this file")
    users: Count = Field(ge=1, le=1_000_000, description="How many")
    ramp_ns: DurationNs = Field(default=0, alias="ramp", description="How long it takes to bring them up")
    stages: tuple[Stage, ...] = Field(default=(), description="Later changes of their number")
    through: str | None = Field(
        default=None, description="The link they use; left out: the only one that starts at the bots"
    )
    cohorts: dict[Name, Cohort] = Field(default_factory=dict, description="Named shares; left out: one cohort, `all`")
    rate_per_s: RatePerS | None = Field(
        default=None, alias="rate", description="Operations a second of each bot, where the bots pace themselves"
    )
    workers: Count = Field(default=1, ge=1, le=64, description="How many processes generate the load")
    audit_within_ns: DurationNs = Field(
        default=10_000_000_000,
        alias="audit_within",
        description="After the load, how long bots may take to read back what they were promised",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Handed to the bots as they are")


class Probe(Frozen):
    """One question at a fixed cadence, through the relay and beside it: the ruler that recovery is measured with."""

    through: str | None = Field(default=None, description="The link it uses; left out: the bots' link")
    every_ns: DurationNs = Field(default=50_000_000, alias="every", description="The cadence")
    timeout_ns: DurationNs = Field(
        default=1_000_000_000, alias="timeout", description="No answer for so long counts as an outage"
    )


class FaultItem(Frozen):
    """What the items of `timeline` and `chaos` share: the fault's own keys, validated by its kind, as written."""

    params: dict[str, Any] = Field(default_factory=dict, exclude=True)


class TimelineItem(FaultItem):
    """One fault of the timeline."""

    at_ns: DurationNs = Field(alias="at", description="When, counted from the end of the baseline")
    for_ns: DurationNs | None = Field(default=None, alias="for", description="How long until it is healed")
    fault: str = Field(description="The kind of fault: see `chaosctl faults`")
    on: str = Field(
        description="What it acts on: a link, `link/cohort`, a service, `service[0]`, `leader of service` (or another "
        "role, asked for when it is due), `any 2 of service` or `30% of service` (drawn from the seed)"
    )


class ChaosFault(FaultItem):
    """One fault that comes by chance."""

    every_ns: DurationNs = Field(
        alias="every", ge=100_000_000, description="How long from one to the next, on average; chance decides"
    )
    for_ns: DurationNs | None = Field(default=None, alias="for", description="How long until it is healed")
    fault: str = Field(description="The kind of fault: see `chaosctl faults`")
    on: str = Field(description="What it acts on, as in the timeline; `any 1 of service` is drawn anew each time")


class Chaos(Frozen):
    """Faults at random times: a schedule that is drawn from the seed, whole, before anything runs."""

    from_ns: DurationNs = Field(default=0, alias="from", description="When it begins, from the end of the baseline on")
    until_ns: DurationNs | None = Field(
        default=None, alias="until", description="When the last of them is over; left out: when the load ends"
    )
    seed: Count | None = Field(default=None, description="A seed of its own; left out: that of the plan")
    spacing: Literal["exponential", "uniform"] = Field(
        default="exponential",
        description="From one to the next: `exponential` (any time is as likely), `uniform` (half to one and a half)",
    )
    gap_ns: DurationNs = Field(
        default=1_000_000_000, alias="gap", ge=100_000_000, description="The least time between two faults' beginnings"
    )
    at_most: Count = Field(default=1, ge=1, le=100, description="So many faults at most are in force at once")
    faults: tuple[ChaosFault, ...] = Field(min_length=1, max_length=50, description="What comes, and how often")


class BlastRadius(Frozen):
    """How much of the target faults may hold down at once."""

    at_most: Share = Field(description="The share of the replicas of any one service that faults may hold down at once")


class Experiment(Frozen):
    """One experiment: a hypothesis about a target, the load, the faults, the objectives."""

    version: Literal[1] = Field(default=1, description="The version of this format")
    name: str = Field(pattern=NAME, description="Lower-case words joined by dashes")
    hypothesis: str = Field(description="What should hold, in a sentence")
    target: Target = Field(description="What is tested: its services, and the links that faults act on")
    swarm: Swarm = Field(description="The load: simulated users, their number, where they come from")
    probe: Probe = Field(default_factory=Probe, description="How recovery is measured")
    baseline_ns: DurationNs = Field(
        default=5_000_000_000,
        alias="baseline",
        description="Load without faults, after the ramp: it says what normal is",
    )
    timeline: tuple[TimelineItem, ...] = Field(default=(), description="The faults")
    chaos: Chaos | None = Field(default=None, description="Faults at random times, beside those of the timeline")
    blast_radius: BlastRadius | None = Field(
        default=None, description="How much faults may hold down at once; a plan that exceeds it is refused"
    )
    duration_ns: DurationNs = Field(alias="duration", description="How long the load goes on after the baseline")
    stop_when: tuple[StopCondition, ...] = Field(
        default=(), description="What ends the run early (exit code 5): the first of these that holds"
    )
    objectives: dict[str, Any] = Field(default_factory=dict, description="What must hold: see the README")
