"""How work that is shared scales with its workers: the Universal Scalability Law.

The law gives the throughput X of N workers that share the same work:

    X(N) = rate * N / (1 + contention * (N - 1) + coherency * N * (N - 1))

Contention is the share of the work that is done one at a time; coherency is what every worker
costs every other one. Without coherency it is Amdahl's law, and contention is its serial share.
The law is fitted in its linear form: with X = 1 / t, N * t is a sum of 1, N - 1 and N * (N - 1).

Sources: Gunther, Guerrilla Capacity Planning, Springer 2007, chapters 4 to 6. Amdahl, Validity of
the single processor approach to achieving large scale computing capabilities, AFIPS 1967.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from perfkit import stats
from perfkit.fitting import (
    Rounds,
    deviations,
    draw_again,
    farthest,
    least_squares,
    percentile_interval,
    root_mean_square,
    spread,
    typical,
)
from perfkit.result import Interval

FEWEST, FEWEST_SERIAL = 4, 3
"""Worker counts that are needed: the law has three unknowns, Amdahl's has two."""
TOLERANCE = 0.15
"""How far a point may lie from the curve."""
REACH = 2.0
"""A best number of workers beyond this many times the most that were measured is a guess."""


class Law(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fitted law."""

    rate: float
    """Calls a second of one worker."""
    contention: Interval
    """The share that is done one at a time, from 0 to 1."""
    coherency: Interval
    """What each worker costs each other one; 0 in Amdahl's law."""
    error: float
    """The largest deviation of a point from the curve, as a share of the point."""
    fits: bool
    """Whether every point lies within the tolerance, which takes noise into account."""

    def seconds(self, workers: float) -> float:
        """Return the time of a call that so many workers share."""
        slowed = 1 + (workers - 1) * (self.contention.ratio + self.coherency.ratio * workers)
        return slowed / (self.rate * workers)


class Scalability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a variant scales with its workers."""

    universal: Law | None
    """Gunther's law; None with fewer than 4 numbers of workers."""
    amdahl: Law
    """The same without coherency: its contention is Amdahl's serial share."""
    peak: float | None
    """The number of workers with the most throughput; None where there is none in reach."""
    speed_up: Interval
    """How many times as fast the most workers are as the fewest."""
    superlinear: bool
    """Whether some number of workers is more times faster than it has more workers."""
    extrapolated: bool
    """Whether one worker was not measured, so that the rate is where the curve would begin."""


def fit_scalability(workers: Sequence[float], rounds: Rounds) -> Scalability | None:
    """Fit both laws; `rounds` holds for each round the seconds with each number of workers.

    Workers are ascending. Returns None with fewer than 3 numbers of them. With fewer than 6 rounds
    there are no intervals: a bootstrap of so few would promise too much.
    """
    if len(workers) < FEWEST_SERIAL or not rounds:
        return None
    points = typical(rounds)
    draws = list(draw_again(rounds)) if len(rounds) >= stats.FEWEST else []
    tolerance = max(TOLERANCE, 2 * spread(points, draws)) if draws else TOLERANCE
    amdahl = _law(workers, points, draws, tolerance, len(rounds), coherent=False)
    universal = None
    if len(workers) >= FEWEST:
        universal = _law(workers, points, draws, tolerance, len(rounds), coherent=True)
    return Scalability(
        universal=universal,
        amdahl=amdahl,
        peak=_peak(universal, workers[-1]) if universal is not None else None,
        speed_up=stats.typical_ratio([one[0] for one in rounds], [one[-1] for one in rounds]),
        superlinear=any(
            _beyond(rounds, place, workers[place] / workers[0]) for place in range(1, len(workers))
        ),
        extrapolated=workers[0] != 1,
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    """The law's factors, and how far each point is off."""

    rate: float
    contention: float
    coherency: float
    off: tuple[float, ...]


def _law(
    workers: Sequence[float],
    points: Sequence[float],
    draws: Sequence[Sequence[float]],
    tolerance: float,
    rounds: int,
    *,
    coherent: bool,
) -> Law:
    fit = _fit(workers, points, coherent=coherent)
    again = [_fit(workers, drawn, coherent=coherent) for drawn in draws]
    error = farthest(fit.off)
    return Law(
        rate=fit.rate,
        contention=percentile_interval(fit.contention, [one.contention for one in again], rounds),
        coherency=percentile_interval(fit.coherency, [one.coherency for one in again], rounds),
        error=error,
        fits=error <= tolerance,
    )


def _fit(workers: Sequence[float], points: Sequence[float], *, coherent: bool) -> _Fit:
    """Put the law as near to the points as it comes.

    N * t = a + b * (N - 1) + c * N * (N - 1) with b from 0 to a, and c zero or more. The nearest
    point of a convex problem lies inside, or on one of its sides: b = 0, b = a, c = 0.
    """
    shared = [number * seconds for number, seconds in zip(workers, points, strict=True)]
    ones, others = [1.0] * len(workers), [number - 1 for number in workers]
    pairs = [number * (number - 1) for number in workers]
    # Where b = a, both of their columns are one: N.
    sides = [
        (columns, last)
        for columns in ([ones, others], [ones], [list(workers)])
        for last in (([pairs], []) if coherent else ([],))
    ]
    fits = []
    for columns, last in sides:
        a, *rest = least_squares([*columns, *last], shared, shared)
        c = rest.pop() if last else 0.0
        b = rest[0] if rest else a * (columns[0] != ones)
        if a > 0 and 0 <= b <= a and c >= 0:
            curve = [a + b * other + c * pair for other, pair in zip(others, pairs, strict=True)]
            fits.append(_Fit(1 / a, b / a, c / a, deviations(curve, shared, shared)))
            if (columns, last) == sides[0]:
                # Inside, nothing held it back: no side is nearer.
                break
    return min(fits, key=lambda fit: root_mean_square(fit.off))


def _peak(law: Law, most: float) -> float | None:
    """Return sqrt((1 - contention) / coherency), at least 1, where the measurement reaches it."""
    if not law.fits or not law.coherency.ratio:
        return None
    peak = max(1.0, math.sqrt((1 - law.contention.ratio) / law.coherency.ratio))
    return peak if peak <= REACH * most else None


def _beyond(rounds: Rounds, place: int, more: float) -> bool:
    """Say whether the speed-up from the first number of workers is surely more than linear."""
    ratio = stats.typical_ratio([one[0] for one in rounds], [one[place] for one in rounds])
    return ratio.low is not None and ratio.low > more * stats.FASTER
