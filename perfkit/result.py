"""What a run leaves behind. A result file is the only thing that reports and gates read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import msgspec

from perfkit.errors import UnreadableFile
from perfkit.units import Unit, show

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "perfkit.result/1"
NOTHING = "nothing"
"""What answers hold that are None, or were not to be compared."""


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter of the run, in seconds or bytes where it has such a unit."""

    value: bool | int | float | str
    unit: Unit | None = None

    def __str__(self) -> str:
        """`5,000`, `2 ms`, `64 KiB`."""
        if self.unit is None or isinstance(self.value, str):
            return str(self.value)
        return show(self.value, self.unit)


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The real component that was measured: what it is, and how far away."""

    product: str
    version: str
    place: str
    """`embedded`, `system binaries`, or `your server`."""
    rtt: float | None = None
    """Round-trip time measured, in seconds."""
    rtt_asked: float = 0.0
    """Round-trip time asked for, in seconds."""
    settings: dict[str, str] = {}

    def __str__(self) -> str:
        """`PostgreSQL 18.6 (embedded), round trip 0.06 ms`."""
        name = f"{self.product} {self.version} ({self.place})"
        if self.rtt is None:
            return name
        return f"{name}, round trip {show(self.rtt, Unit.SECONDS)}"


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine and the Python that measured; absolute times compare only when equal."""

    fingerprint: str
    system: str
    kernel: str
    cpu: str
    cores: int
    memory: int
    """Bytes."""
    python: str
    packages: dict[str, str]


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How calm the machine was."""

    burn_in_spread: float
    """(slowest - fastest) / fastest of a fixed loop, seven times, before the run."""
    load_before: float
    """Mean number of runnable tasks over the last minute, per core."""
    load_after: float
    steal_share: float | None
    """Share of the processors' time that the hypervisor gave to others during the run."""
    run_queue_share: float | None
    """Share of the timed wall time that the workers waited for a processor."""
    involuntary_switches: int
    burn_in_crowding: float | None = None
    """median / fastest of that loop: about how many others want the same processor."""
    throttled_share: float | None = None
    """Share of the run's time that the container's limit held its processes back."""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One worker process: all times in seconds a call, `loops` calls a value."""

    round: int
    """Counted from 0."""
    position: int
    """Its place in the round's random order."""
    loops: int
    """Calls in each value."""
    warm_up: float
    """The untimed first value, for the record."""
    wall: tuple[float, ...]
    """Elapsed time of each value."""
    cpu: tuple[float, ...]
    """Processor time of each value, of the worker and its children."""
    switches: tuple[int, ...]
    """Involuntary context switches during each value."""
    run_queue: tuple[float, ...] | None
    """Seconds a call that the process waited for a processor; None where unknown."""
    peak_rss: int
    """Bytes."""


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One counter of one variant."""

    value: int
    exact: bool
    """Whether both counting passes gave this figure."""
    witness: str
    others: dict[str, int] = {}
    """What further witnesses of the same work counted."""
    again: int | None = None
    """The second pass's figure, where it was another one."""


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a variant predicted before anything was timed."""

    at_most: float
    """How many times faster than the naive code it can be at best."""
    reason: str
    """From what that follows."""


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant: its counted work and every raw value."""

    name: str
    role: str
    label: str
    why: str
    partial: bool
    work: dict[str, Work]
    samples: tuple[Sample, ...] = ()
    bound: Bound | None = None
    """None where it predicts nothing."""


class NotRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant that does not apply with these parameters, or with this component."""

    name: str
    role: str
    label: str
    why: str
    """Why it cannot run."""


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ratio with its interval; no bounds where there were too few rounds to have one."""

    ratio: float
    low: float | None
    high: float | None
    confidence: float

    @property
    def half_width(self) -> float:
        """Half the interval's width as a share of the ratio; infinite without an interval."""
        if self.low is None or self.high is None or not self.ratio:
            return math.inf
        return (self.high - self.low) / 2 / self.ratio


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the rounds say of one variant against the naive one."""

    variant: str
    word: str
    """`faster`, `slower`, `no change` or `unclear`."""
    typical: Interval
    """How many times faster: paired Hodges-Lehmann ratio of process medians."""
    floor: Interval
    """The same of lower quartiles of process minima."""
    share: Interval | None
    """Its saving as a share of the reference fix's saving."""


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of one probe."""

    perfkit: str
    """The version that measured."""
    started: str
    """ISO 8601, UTC."""
    duration: float
    """Seconds."""
    seed: int
    """What drew the order of the rounds."""
    budget: float
    """Seconds allowed for the timed rounds."""
    stopped: str
    """`precise`, `budget`, `rounds`, `counted` (nothing was timed) or `interrupted`."""
    probe: str
    """The probe's name."""
    title: str
    """The probe's title."""
    isolation: str
    """`process`: each sample is a fresh process; `session`: one process for all."""
    component: Component
    params: dict[str, Given]
    counters: dict[str, str]
    """The words for each counter, in the order of the report."""
    cause: str
    """The counter that explains the time; empty where none is known to."""
    answer: str
    """How much the answer holds, never what."""
    machine: Machine
    noise: Noise
    variants: tuple[Measured, ...]
    """The naive one first."""
    verdicts: tuple[Verdict, ...]
    """One for each variant but the naive one."""
    not_run: tuple[NotRun, ...] = ()
    """The variants that do not apply with these parameters, or with this component."""
    schema: str = SCHEMA
    """The version of this format."""

    @property
    def rounds(self) -> int:
        """How many complete rounds were timed."""
        return max((len(variant.samples) for variant in self.variants), default=0)

    @property
    def naive(self) -> Measured:
        """The variant that all others are compared with."""
        return next(variant for variant in self.variants if variant.role == "naive")

    @property
    def fix(self) -> Measured | None:
        """The reference fix: the first that is not partial."""
        fixes = [variant for variant in self.variants if variant.role == "fixed"]
        return next((fix for fix in fixes if not fix.partial), fixes[0] if fixes else None)

    def verdict(self, name: str) -> Verdict | None:
        """Return a variant's verdict; None for the naive one, or when nothing was timed."""
        return next((verdict for verdict in self.verdicts if verdict.variant == name), None)


def encode(result: Result) -> bytes:
    """Write a result as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def decode(data: bytes, source: str) -> Result:
    """Read a result from JSON; `source` names the file in errors.

    Raises UnreadableFile when it is cut short, of another schema, or has unknown fields.
    """
    result = read(data, Result, SCHEMA, source)
    require_consistent(result, source)
    return result


T = TypeVar("T")


def read(data: bytes, kind: type[T], schema: str, source: str) -> T:
    """Read a file of ours; raises UnreadableFile, naming `source`, unless it has that schema."""
    head = parse(data, source)
    found = head.get("schema") if isinstance(head, dict) else None
    if found != schema:
        noun, other = _noun(schema), _noun(found)
        old = "use the perfkit version that wrote it, or measure again"
        raise UnreadableFile(
            f"{source} is no {noun} that this perfkit reads",
            why=f"its schema is {found!r}, not {schema!r}",
            fix=old if other in {noun, ""} else f"name a file that holds a {noun}",
        )
    try:
        return msgspec.convert(head, kind)
    except msgspec.ValidationError as error:
        raise UnreadableFile(
            f"{source} is not a whole {kind.__name__.lower()}",
            why=str(error),
            fix="the file was edited, or a newer perfkit wrote it; measure again",
        ) from error


def _noun(schema: object) -> str:
    """Return what a schema of ours is of: `perfkit.gate/1` of a gate; empty for another's."""
    ours, _, name = str(schema).partition("/")[0].partition(".")
    return name if ours == "perfkit" else ""


def parse(data: bytes, source: str) -> object:
    """Read JSON; raises UnreadableFile, naming `source`."""
    try:
        return msgspec.json.decode(data)
    # Not msgspec's own: invalid UTF-8 inside a text, and nesting without end.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile(
            f"{source} is no JSON", why=str(error), fix="measure again: perfkit probe ... -o FILE"
        ) from error


def require_consistent(result: Result, source: str) -> None:
    """Refuse a file whose parts do not fit each other; raises UnreadableFile."""
    names = [variant.name for variant in result.variants]
    everyone = [*names, *(variant.name for variant in result.not_run)]
    bounds = [variant.bound.at_most for variant in result.variants if variant.bound is not None]
    numbers = [
        value
        for variant in result.variants
        for sample in variant.samples
        for value in (sample.warm_up, *sample.wall, *sample.cpu)
    ]
    fits = (
        sum(variant.role == "naive" for variant in result.variants) == 1
        and len(set(everyone)) == len(everyone)
        # A gate times only the variants that its checks speak of.
        and len({len(variant.samples) for variant in result.variants} - {0}) <= 1
        and all(
            len(sample.wall) == len(sample.cpu) >= 1 and min(sample.wall) > 0
            for variant in result.variants
            for sample in variant.samples
        )
        and all(math.isfinite(number) and number >= 0 for number in numbers)
        and all(math.isfinite(bound) and bound > 0 for bound in bounds)
        and {verdict.variant for verdict in result.verdicts} <= set(names)
        and result.cause in {"", *result.counters}
    )
    if not fits:
        raise UnreadableFile(
            f"{source} contradicts itself",
            why="its variants, rounds and verdicts do not belong together",
            fix="the file was edited; measure again",
        )


def load(path: Path) -> Result:
    """Read a result file; raises UnreadableFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}", why=error.strerror or str(error)) from error
    return decode(data, str(path))
