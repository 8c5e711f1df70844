"""What a sweep leaves behind: one result for each value of a parameter, and what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import median

import msgspec

from perfkit import result
from perfkit.errors import UnreadableFile
from perfkit.growth import GrowthFit, fit_counts, fit_growth
from perfkit.result import Measured, Result
from perfkit.scalability import Law, Scalability, fit_scalability
from perfkit.units import Unit

SCHEMA = "perfkit.sweep/1"
RTT = "rtt"
"""What a sweep over the distance has as its parameter's name."""


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant over all values."""

    variant: str
    role: str
    label: str
    partial: bool
    seconds: tuple[float | None, ...]
    """The median time of a call at each value; None where it was not timed."""
    growth: GrowthFit | None = None
    """How the time grows; None for workers, and where the values are too few or too near."""
    cause: GrowthFit | None = None
    """How the counter that explains the time grows; None where there is none."""
    scalability: Scalability | None = None
    """How it scales with its workers; None for any other parameter."""


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of `perfkit sweep`."""

    perfkit: str
    """The version that measured."""
    started: str
    """ISO 8601, UTC."""
    duration: float
    """Seconds."""
    seed: int
    """What drew the order of the rounds."""
    stopped: str
    """`precise`, `budget`, `rounds`, `counted` (nothing was timed) or `interrupted`."""
    probe: str
    """The probe's name."""
    title: str
    """The probe's title."""
    parameter: str
    """Its name, or `rtt`."""
    text: str
    """What it is, in the probe's words."""
    unit: Unit | None
    workers: bool
    """Whether it is how many work at once on the same amount of work."""
    values: tuple[float, ...]
    """Ascending."""
    results: tuple[Result, ...]
    """One for each value; their rounds were timed together."""
    curves: tuple[Curve, ...]
    """The naive one first."""
    schema: str = SCHEMA
    """The version of this format."""

    @property
    def timed(self) -> bool:
        """Whether anything was timed."""
        return any(seconds is not None for curve in self.curves for seconds in curve.seconds)

    @property
    def rounds(self) -> int:
        """How many rounds all timed values have in common."""
        return min((one.rounds for one in self.results if one.rounds), default=0)

    def measured(self, variant: str) -> tuple[Measured | None, ...]:
        """Return a variant as it was measured at each value; None where it was not run."""
        return tuple(_find(one, variant) for one in self.results)


def curves(
    values: Sequence[float], results: Sequence[Result], *, workers: bool
) -> tuple[Curve, ...]:
    """Put every variant's times and counts at all values together, and name what they show.

    The samples of the same place in every result were timed in the same round, so they are paired;
    a variant that did not run at some values is fitted over the others.
    """
    variants: dict[str, Measured] = {}
    for one in results:
        for variant in one.variants:
            variants.setdefault(variant.name, variant)
    return tuple(_curve(values, results, variant, workers=workers) for variant in variants.values())


def rounds_of(variants: Sequence[Measured]) -> list[list[float]]:
    """Return for each round the seconds of a call at each value, of the rounds all have."""
    medians = ([median(sample.wall) for sample in variant.samples] for variant in variants)
    # Not strict: an interrupted run has one round more at some values.
    return [list(figures) for figures in zip(*medians, strict=False)]


def _curve(
    values: Sequence[float], results: Sequence[Result], variant: Measured, *, workers: bool
) -> Curve:
    found = [_find(one, variant.name) for one in results]
    timed = [(value, one) for value, one in zip(values, found, strict=True) if one and one.samples]
    rounds = rounds_of([one for _, one in timed])
    sizes = [value for value, _ in timed]
    seconds = dict(zip(sizes, map(median, zip(*rounds, strict=True)), strict=False))
    return Curve(
        variant=variant.name,
        role=variant.role,
        label=variant.label,
        partial=variant.partial,
        seconds=tuple(seconds.get(value) for value in values),
        growth=None if workers else fit_growth(sizes, rounds),
        cause=_cause(values, results, found),
        scalability=fit_scalability(sizes, rounds) if workers else None,
    )


def _cause(
    values: Sequence[float], results: Sequence[Result], found: Sequence[Measured | None]
) -> GrowthFit | None:
    works = [
        (value, one.work[result.cause])
        for value, result, one in zip(values, results, found, strict=True)
        if one is not None and result.cause in one.work
    ]
    exact = all(work.exact for _, work in works)
    return fit_counts([value for value, _ in works], [work.value for _, work in works], exact=exact)


def _find(one: Result, name: str) -> Measured | None:
    return next((variant for variant in one.variants if variant.name == name), None)


def encode(sweep: Sweep) -> bytes:
    """Write a sweep as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(sweep), indent=1) + b"\n"


def decode(data: bytes, source: str) -> Sweep:
    """Read a sweep from JSON; `source` names the file in errors.

    Raises UnreadableFile when it is cut short, of another schema, or has unknown fields.
    """
    sweep = result.read(data, Sweep, SCHEMA, source)
    for one in sweep.results:
        result.require_consistent(one, source)
    _require_consistent(sweep, source)
    return sweep


def _timed(sweep: Sweep, curve: Curve) -> list[bool]:
    return [one is not None and bool(one.samples) for one in sweep.measured(curve.variant)]


def _has_seconds(curve: Curve) -> list[bool]:
    return [seconds is not None for seconds in curve.seconds]


def _laws(curve: Curve) -> list[Law]:
    known = curve.scalability
    laws = (known.universal, known.amdahl) if known is not None else ()
    return [law for law in laws if law is not None]


def _is_lawful(law: Law) -> bool:
    """Say whether a law's factors are such as a fit gives."""
    contention, coherency = law.contention.ratio, law.coherency.ratio
    return (
        math.isfinite(law.rate)
        and law.rate > 0
        and 0 <= contention <= 1
        and 0 <= coherency < math.inf
    )


def _is_at(parameter: str, one: Result, value: float) -> bool:
    """Say whether a result was measured at that value of the parameter."""
    if parameter in one.params:
        return one.params[parameter].value == value
    return parameter == RTT and one.component.rtt_asked == value


def _require_consistent(sweep: Sweep, source: str) -> None:
    """Refuse a file whose parts do not fit each other; raises UnreadableFile."""
    values = sweep.values
    names = {variant.name for one in sweep.results for variant in one.variants}
    seconds = [time for curve in sweep.curves for time in curve.seconds if time is not None]
    fits = (
        len(values) == len(sweep.results) >= 1
        and all(math.isfinite(value) and value >= 0 for value in values)
        and all(a < b for a, b in pairwise(values))
        and {one.probe for one in sweep.results} == {sweep.probe}
        and len(sweep.curves) == len(names)
        and {curve.variant for curve in sweep.curves} == names
        and sum(curve.role == "naive" for curve in sweep.curves) == 1
        and all(len(curve.seconds) == len(values) for curve in sweep.curves)
        and all(math.isfinite(time) and time > 0 for time in seconds)
        and all(_is_lawful(law) for curve in sweep.curves for law in _laws(curve))
        and all(map(partial(_is_at, sweep.parameter), sweep.results, values))
        and all(_timed(sweep, curve) == _has_seconds(curve) for curve in sweep.curves)
    )
    if not fits:
        raise UnreadableFile(
            f"{source} contradicts itself",
            why="its values, results and curves do not belong together",
            fix="the file was edited; measure again",
        )
