"""The sweeps that `consume` measures: which probe, over which values, and how far away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from perfkit import registry
from perfkit.model import Location, Plan, Role
from perfkit.parameters import describe, read
from perfkit.result import Interval, Measured
from perfkit.run.course import Course
from perfkit.run.sweep import run_sweep
from perfkit.stats import typical_ratio
from perfkit.sweep import Sweep, decode, encode

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "consume.json"
IMAGES = HERE.parent / "docs" / "images"

FAR = 0.002
"""Seconds there and back that are added: a database in the next data centre."""
CONSUMERS = (1, 2, 4, 8, 16)
QUEUE_CONSUMERS = (1, 2, 4, 8)
ROWS = (10, 50, 200, 1000)
FEW_MESSAGES = {"messages": 400}
"""Enough to see the law: two round trips each, one after the other, take their time."""
SEED = 1


@dataclass(frozen=True)
class Swept:
    """One sweep, as it is asked for."""

    name: str
    """In the record, and of its picture."""
    probe: str
    parameter: str
    values: Sequence[int]
    rtt: float = 0.0
    budget: float = 60.0
    """Seconds of timed rounds; there are six rounds at least."""
    settings: Mapping[str, int] = field(default_factory=dict)


SWEPT: Mapping[str, tuple[Swept, ...]] = {
    "lock": (
        Swept("lock-near", "lock-contention", "consumers", CONSUMERS, budget=300),
        Swept("lock-far", "lock-contention", "consumers", CONSUMERS, FAR, 310),
    ),
    "gil": (Swept("gil", "py-gil", "threads", (1, 2, 4), settings={"logins": 8}),),
    "write": (
        Swept("write-near", "db-write", "rows", ROWS, budget=50),
        Swept("write-far", "db-write", "rows", ROWS, FAR, 190),
    ),
    "queue": (
        Swept("queue-near", "queue-consume", "consumers", QUEUE_CONSUMERS, 0.0, 40, FEW_MESSAGES),
        Swept("queue-far", "queue-consume", "consumers", QUEUE_CONSUMERS, FAR, 80, FEW_MESSAGES),
    ),
    "kafka": (Swept("kafka", "kafka-consume", "consumers", (1, 2, 4), settings=FEW_MESSAGES),),
}
"""By section."""

SHORT: Mapping[str, tuple[Swept, ...]] = {
    "lock": (
        Swept("lock-far", "lock-contention", "consumers", (1, 2), FAR, settings={"messages": 4}),
    ),
    "gil": (Swept("gil", "py-gil", "threads", (2,), settings={"logins": 2, "turns": 100}),),
    "write": (Swept("write-far", "db-write", "rows", (4,), FAR),),
    "queue": (
        Swept("queue-far", "queue-consume", "consumers", (2,), FAR, settings={"messages": 20}),
    ),
    "kafka": (Swept("kafka", "kafka-consume", "consumers", (2,), settings={"messages": 20}),),
}
"""Little of each, mostly at one value, and only the naive code and the fix."""


def measure(swept: Swept, *, short: bool = False) -> Sweep:
    """Run a sweep as `perfkit sweep` does; a short one is one round of two variants.

    A part of one is no record: raises KeyboardInterrupt where it was interrupted.
    """
    probe = registry.probe(swept.probe)
    parameter = next(one for one in describe(probe.params) if one.name == swept.parameter)
    plans = {
        float(value): Plan(
            probe=probe,
            params=read(probe.params, {**swept.settings, swept.parameter: value}, probe.name),
            location=Location(rtt=swept.rtt),
            budget=swept.budget,
            rounds=1 if short else None,
            seed=SEED,
        )
        for value in swept.values
    }
    course = Course()
    if short:
        roles = {one.role: one.name for one in reversed(probe.variants) if not one.partial}
        two = frozenset({roles[Role.NAIVE], roles[Role.FIXED]})
        course = Course(counted=two, timed=two)
    sweep = run_sweep(parameter, plans, course)
    if sweep.stopped == "interrupted":
        raise KeyboardInterrupt
    return sweep


def to_record(sweep: Sweep) -> dict[str, Any]:
    """Return what is recorded: all of it, but of the kernel only its version.

    The samples' times are kept to the nanosecond, which is what their clock tells.
    """
    results = tuple(
        msgspec.structs.replace(
            one,
            machine=msgspec.structs.replace(
                one.machine, kernel=one.machine.kernel.partition("-")[0]
            ),
        )
        for one in sweep.results
    )
    found: dict[str, Any] = json.loads(encode(msgspec.structs.replace(sweep, results=results)))
    for result in found["results"]:
        for variant in result["variants"]:
            variant["samples"] = [_rounded(sample) for sample in variant["samples"]]
    return found


def _rounded(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_rounded(value) for value in found]
    return round(found, 9) if isinstance(found, float) else found


def from_record(found: Mapping[str, Any]) -> Sweep:
    """Read a sweep of the record."""
    return decode(json.dumps(found).encode(), "the record")


def at(sweep: Sweep, variant: str, value: float) -> Measured | None:
    """Return a variant as it was measured at a value; None where it was not run."""
    return sweep.measured(variant)[sweep.values.index(value)]


def speed(one: Measured, than: Measured) -> Interval:
    """Return how many times as fast one is as another, by the rounds that both have."""
    pairs = zip(than.samples, one.samples, strict=False)
    medians = [(median(a.wall), median(b.wall)) for a, b in pairs]
    return typical_ratio([a for a, _ in medians], [b for _, b in medians])


def ends(sweep: Sweep, variant: str) -> Interval | None:
    """Return how many times as long the slowest value takes as the fastest, by their medians."""
    found = [one for one in sweep.measured(variant) if one is not None and one.samples]
    if not found:
        return None
    ordered = sorted(found, key=lambda one: median(median(each.wall) for each in one.samples))
    return speed(ordered[0], ordered[-1])
