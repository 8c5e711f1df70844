"""Sweeps as a run would leave them, from times that follow a known law."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from unit.report.samples import change, judge, sample

from perfkit.result import Given, Measured, NotRun, Result, Sample, Work
from perfkit.sweep import RTT, Sweep, curves
from perfkit.units import Unit

ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Code:
    """One variant: its seconds and its round trips at a value, and how much its times vary."""

    role: str
    label: str
    seconds: Callable[[float], float]
    trips: Callable[[float], int] = lambda _: 1
    noise: float = 0.01
    partial: bool = False


def scaled(rate: float, contention: float, coherency: float) -> Callable[[float], float]:
    """Return the seconds of a call by the Universal Scalability Law."""
    return lambda n: (1 + contention * (n - 1) + coherency * n * (n - 1)) / (rate * n)


def measured(
    name: str, code: Code, value: float, paces: Sequence[float], draw: random.Random
) -> Measured:
    seconds = code.seconds(value)
    times = [pace * seconds * math.exp(draw.gauss(0, code.noise)) for pace in paces]
    trips = code.trips(value)
    return Measured(
        name=name,
        role=code.role,
        label=code.label,
        why="",
        partial=code.partial,
        work={"round_trips": Work(trips, exact=True, witness="TCP_INFO")},
        samples=tuple(
            Sample(number, 0, 1, time, (time,) * 3, (time,) * 3, (0,) * 3, None, 1)
            for number, time in enumerate(times)
        ),
    )


def build(  # noqa: PLR0913 (a sweep has many sides)
    parameter: str,
    values: Sequence[float],
    codes: Mapping[str, Code],
    *,
    text: str = "",
    unit: Unit | None = Unit.COUNT,
    workers: bool = False,
    rounds: int = ROUNDS,
    stopped: str = "rounds",
    title: str = "One lock around everything",
    where: Mapping[str, Callable[[float], bool]] | None = None,
) -> Sweep:
    """Return a sweep whose rounds vary by a pace that all values share, and by a little noise."""
    draw = random.Random(11)
    paces = [math.exp(draw.gauss(0, 0.05)) for _ in range(rounds)]
    results = []
    for value in values:
        there = {
            name: code
            for name, code in codes.items()
            if where is None or name not in where or where[name](value)
        }
        given = {} if parameter == RTT else {parameter: Given(value, unit)}
        component = sample().component
        far = value if parameter == RTT else component.rtt_asked
        results.append(
            judge(
                change(
                    sample(),
                    title=title,
                    params={**given, "messages": Given(32, Unit.COUNT)},
                    counters={"round_trips": "round trips"},
                    component=msgspec.structs.replace(component, rtt_asked=far),
                    stopped=stopped,
                    variants=tuple(
                        measured(name, code, value, paces, draw) for name, code in there.items()
                    ),
                    not_run=tuple(
                        NotRun(name, code.role, code.label, "it needs fewer")
                        for name, code in codes.items()
                        if name not in there
                    ),
                )
            )
        )
    return again(
        Sweep(
            perfkit=results[0].perfkit,
            started=results[0].started,
            duration=12.5,
            seed=7,
            stopped=stopped,
            probe=results[0].probe,
            title=title,
            parameter=parameter,
            text=text,
            unit=unit,
            workers=workers,
            values=tuple(values),
            results=tuple(results),
            curves=(),
        )
    )


def again(sweep: Sweep, **changes: Any) -> Sweep:
    """Return a sweep with something changed and its curves fitted again."""
    changed = msgspec.structs.replace(sweep, **changes)
    known = curves(changed.values, changed.results, workers=changed.workers)
    return msgspec.structs.replace(changed, curves=known)


def each(sweep: Sweep, change_result: Callable[[Result], Result]) -> Sweep:
    """Return a sweep with all of its results changed."""
    return again(sweep, results=tuple(map(change_result, sweep.results)))


def growing(values: Sequence[float] = (50, 100, 200, 400), **changes: Any) -> Sweep:
    """Return a page of more and more orders."""
    codes = {
        "ask-per-row": Code(
            "naive", "one SELECT per order", lambda n: 2e-4 + 8.5e-5 * n, lambda n: int(n) + 1
        ),
        "prepared": Code(
            "wrong lever", "prepared statements", lambda n: 2e-4 + 8e-5 * n, lambda n: int(n) + 1
        ),
        "ask-once": Code("fixed", "one JOIN for the page", lambda n: 1.5e-4 + 2e-8 * n),
        "pairs": Code(
            "fixed",
            "compare all pairs",
            lambda n: 1e-4 + 9e-8 * n * n,
            lambda n: int(n * (n - 1) / 2),
            partial=True,
        ),
    }
    return build("orders", values, codes, text="rows on the page", title="N+1 queries", **changes)


def scaling(values: Sequence[float] = (1, 2, 4, 8, 16), **changes: Any) -> Sweep:
    """Return more and more consumers of the same work."""
    codes = {
        "one-lock": Code("naive", "one global lock", scaled(10, 0.97, 0.0), lambda _: 256),
        "faster-lock": Code("wrong lever", "a faster lock", scaled(10.1, 0.96, 0), lambda _: 256),
        "per-thread": Code("fixed", "counters per thread", scaled(10, 0.02, 0.001), lambda _: 0),
        "cliff": Code(
            "fixed",
            "swap under the lock",
            lambda n: 0.1 / min(n, 4) * (1 if n < 12 else 6),
            lambda _: 0,
            partial=True,
        ),
    }
    return build("consumers", values, codes, text="consumer threads", workers=True, **changes)


def distant(values: Sequence[float] = (0.0, 0.001, 0.002, 0.005), **changes: Any) -> Sweep:
    """Return a component that is farther and farther away."""
    codes = {
        "ask-per-row": Code(
            "naive", "one SELECT per order", lambda t: 0.004 + 201 * t, lambda _: 201
        ),
        "ask-once": Code("fixed", "one JOIN for the page", lambda t: 0.0002 + t),
    }
    return build(
        RTT,
        values,
        codes,
        text="round-trip time added",
        unit=Unit.SECONDS,
        title="N+1 queries",
        **changes,
    )


def counted() -> Sweep:
    """Return a sweep of which nothing was timed."""
    return growing(rounds=0, stopped="counted")
