"""Whether the fits can be believed: sweeps whose law is known, with noise, fitted many times.

A sample's noise is log-normal, and a whole round is slower or faster than another by 5 %.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from perfkit.growth import Growth, fit_growth
from perfkit.result import Interval
from perfkit.scalability import Law, fit_scalability

PACE = 0.05
"""How far the rounds differ as a whole."""
ROUNDS = 6
"""The fewest that give an interval."""
WORKERS = (1.0, 2.0, 4.0, 8.0, 16.0)
SIZES = (10.0, 50.0, 200.0, 1000.0)
"""The rows of the sweeps of `db-write`."""


@dataclass(frozen=True)
class Share:
    """Workers that share the same work, and by which law."""

    label: str
    contention: float
    coherency: float

    def seconds(self, workers: float) -> float:
        """Return the time of a call."""
        others = workers - 1
        return (1 + self.contention * others + self.coherency * workers * others) / workers


SHARES = (
    Share("hardly scales", 0.97, 0.0),
    Share("scales, then falls", 0.2, 0.005),
    Share("scales", 0.03, 0.001),
)
"""A lock held for nearly everything, a fix with a peak in sight, a good fix."""

GROWTHS: Mapping[Growth, Callable[[float], float]] = {
    Growth.CONSTANT: lambda _: 1.0,
    Growth.LINEAR: lambda size: 5 + size,
    Growth.LINEARITHMIC: lambda size: size * math.log2(size),
    Growth.QUADRATIC: lambda size: 100 + size * size,
}
RIGHT, WRONG, OPEN, ASTRAY = "right", "wrong", "open", "astray"
"""What may come of a name. Astray: left open, and the true one is not among the candidates."""


def simulate(
    seconds: Callable[[float], float], values: Sequence[float], noise: float, draw: random.Random
) -> list[list[float]]:
    """Return the times of a sweep, a list a round."""
    paces = [math.exp(draw.gauss(0, PACE)) for _ in range(ROUNDS)]
    return [
        [pace * seconds(value) * math.exp(draw.gauss(0, noise)) for value in values]
        for pace in paces
    ]


def fit_shares(share: Share, noise: float, times: int, seed: int) -> dict[str, Any]:
    """Fit simulated sweeps of one law, and count how often the intervals hold the truth."""
    draw = random.Random(seed)
    counted: Counter[str] = Counter()
    for _ in range(times):
        found = fit_scalability(WORKERS, simulate(share.seconds, WORKERS, noise, draw))
        if found is None or found.universal is None:
            raise AssertionError
        law: Law = found.universal
        counted["contention"] += holds(law.contention, share.contention)
        counted["coherency"] += holds(law.coherency, share.coherency)
        counted["fits"] += law.fits
    return {"label": share.label, "noise": noise, "times": times, **counted}


def holds(interval: Interval, truth: float) -> bool:
    """Say whether an interval holds the truth; floating point may miss a limit of 0 or 1."""
    if interval.low is None or interval.high is None:
        return False
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def name_growths(growth: Growth, noise: float, times: int, seed: int) -> dict[str, Any]:
    """Name the growth of simulated sweeps, and count what came of it."""
    draw = random.Random(seed)
    counted = Counter(dict.fromkeys((RIGHT, WRONG, OPEN, ASTRAY), 0))
    for _ in range(times):
        found = fit_growth(SIZES, simulate(GROWTHS[growth], SIZES, noise, draw))
        if found is None:
            raise AssertionError
        if found.growth is not None:
            counted[RIGHT if found.growth is growth else WRONG] += 1
        else:
            counted[OPEN if growth in found.candidates else ASTRAY] += 1
    return {"growth": str(growth), "noise": noise, "times": times, **counted}


def simulate_all(times: int) -> dict[str, Any]:
    """Simulate every law and growth with every noise."""
    return {
        "rounds": ROUNDS,
        "pace": PACE,
        "laws": [
            fit_shares(share, noise, times, seed)
            for seed, (share, noise) in enumerate(product(SHARES, (0.05, 0.1)))
        ],
        "growths": [
            name_growths(growth, noise, times, seed)
            for seed, (growth, noise) in enumerate(product(GROWTHS, (0.01, 0.05, 0.1)))
        ],
    }
