"""Name how a time, or counted work, grows with a size: constant, linear, n log n or quadratic.

Each is one curve `fixed + per * f(n)`, both factors zero or more, fitted by least squares of the
relative deviations. A name is only given where it wins clearly: where its curve lies within the
tolerance, and all others lie at least twice as far from the points, in 95 % of all draws of the
rounds. What fits alike is named together, and what fits nothing is said to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from perfkit import stats
from perfkit.fitting import (
    Rounds,
    deviations,
    draw_again,
    farthest,
    least_squares,
    root_mean_square,
    spread,
    typical,
)
from perfkit.result import Interval

FEWEST_SIZES, FEWEST_COUNTS = 4, 3
"""Two factors go through any two points. Times vary, so one point more has to agree."""
SPAN = 4.0
"""Below this largest / smallest, n log n and a straight line cannot be told apart."""
TOLERANCE, TIGHT = 0.15, 0.05
"""How far a point may lie from its curve: a time, and an exact count."""
CLEAR = 2.0
"""So many times as far from the points as the best curve is clearly worse."""
DRAWS = 199
SELDOM = 1 - stats.CONFIDENCE
"""What is clearly worse in all but this share of the draws is not named."""
EXACT = 1e-9
"""Deviations below this share are rounding of floating point."""


class Growth(StrEnum):
    """How something grows with a size, the simplest first."""

    CONSTANT = "constant"
    LINEAR = "linear"
    LINEARITHMIC = "n log n"
    QUADRATIC = "quadratic"


SHAPES: dict[Growth, Callable[[float], float]] = {
    Growth.CONSTANT: lambda _: 0.0,
    Growth.LINEAR: lambda size: size,
    Growth.LINEARITHMIC: lambda size: size * math.log2(size) if size else 0.0,
    Growth.QUADRATIC: lambda size: size * size,
}


class GrowthFit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How something grows, and how well that is known."""

    growth: Growth | None
    """None where no curve fits, or more than one, or where the rounds are too few."""
    candidates: tuple[Growth, ...]
    """Those that fit alike, the simplest first; none where no curve fits."""
    fixed: float
    """Of the first candidate: what it is at any size; 0 where no curve fits."""
    per: float
    """Of the first candidate: what each unit of its shape adds; 0 where no curve fits."""
    error: float
    """The largest deviation of a point from the first candidate, or from the nearest curve where
    none fits, as a share of the point."""
    exponent: Interval | None
    """k, if it grew as n**k from the first size to the last; None where one of the four is 0."""

    def at(self, size: float) -> float | None:
        """Return the first candidate's value at a size; None where no curve fits."""
        if not self.candidates:
            return None
        return self.fixed + self.per * SHAPES[self.candidates[0]](size)


def fit_growth(sizes: Sequence[float], rounds: Rounds) -> GrowthFit | None:
    """Name how times grow; `rounds` holds for each round the seconds at each size, ascending.

    Returns None with fewer than 4 sizes, or where the largest is less than 4 times the smallest
    (of those above 0). With fewer than 6 rounds there are candidates, but no name.
    """
    if len(sizes) < FEWEST_SIZES or not rounds or _span(sizes) < SPAN:
        return None
    points = typical(rounds)
    enough = len(rounds) >= stats.FEWEST
    draws = list(draw_again(rounds, draws=DRAWS)) if enough else [points]
    ends = stats.typical_ratio([one[-1] for one in rounds], [one[0] for one in rounds])
    fits = _fits(sizes, points, points)
    if _stays(ends) and fits[0].error < stats.SAME - 1:
        alike = fits[:1]
    else:
        tolerance = max(TOLERANCE, 2 * spread(points, draws))
        often = _near_often([_fits(sizes, drawn, drawn) for drawn in draws])
        possible = [fit for fit in fits if fit.per or not (fit.shaped or _differs(ends))]
        alike = [fit for fit in possible if fit.error <= tolerance and fit.growth in often]
    return _named(fits, alike, _exponent(sizes, ends), sure=enough)


def fit_counts(
    sizes: Sequence[float], counts: Sequence[int], *, exact: bool = True
) -> GrowthFit | None:
    """Name how counted work grows with the sizes, ascending.

    Exact counts are held to a tight tolerance; one more or less is forgiven, because the last
    batch is seldom full. Returns None with fewer than 3 sizes.
    """
    if len(sizes) < FEWEST_COUNTS:
        return None
    points = [float(count) for count in counts]
    # A count of 0 has no relative deviation.
    scales = [max(point, 1.0) for point in points]
    fits = _fits(sizes, points, scales)
    tolerance = TIGHT if exact else TOLERANCE
    possible = [fit for fit in fits if fit.per or not fit.shaped]
    alike = [fit for fit in possible if fit.error <= EXACT][:1]
    if not alike and _is_polynomial(sizes, points, scales):
        alike = [fit for fit in possible if fit.growth is Growth.QUADRATIC]
    if not alike:
        near = _near_often([fits])
        alike = [
            fit
            for fit in possible
            if fit.within(tolerance, scales) and (fit.growth in near or fit.within(0, scales))
        ]
    ends = points[-1] / points[0] if points[0] and points[-1] else None
    ratio = None if ends is None else Interval(ends, ends, ends, stats.CONFIDENCE)
    return _named(fits, alike, ratio and _exponent(sizes, ratio), sure=True)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One shape, put as near to the points as it comes."""

    growth: Growth
    fixed: float
    per: float
    off: tuple[float, ...]

    @property
    def shaped(self) -> bool:
        return self.growth is not Growth.CONSTANT

    @property
    def error(self) -> float:
        return farthest(self.off)

    def within(self, tolerance: float, scales: Sequence[float]) -> bool:
        """Say whether every point is within the tolerance, or at most one count off."""
        return all(
            abs(off) <= max(tolerance, 1 / scale)
            for off, scale in zip(self.off, scales, strict=True)
        )


def _fits(sizes: Sequence[float], points: Sequence[float], scales: Sequence[float]) -> list[_Fit]:
    """Fit every shape; below a size of 1, n log n falls where n grows."""
    return [
        _fit(growth, sizes, points, scales)
        for growth in Growth
        if growth is not Growth.LINEARITHMIC or sizes[0] >= 1
    ]


def _fit(
    growth: Growth, sizes: Sequence[float], points: Sequence[float], scales: Sequence[float]
) -> _Fit:
    """Put a shape as near to the points as it comes with both factors zero or more."""
    ones, shape = [1.0] * len(sizes), [SHAPES[growth](size) for size in sizes]
    fixed, per = least_squares([ones, shape], points, scales)
    options = [(fixed, per)]
    if min(fixed, per) < 0:
        # The nearest point of a convex problem lies inside, or else on one of its sides.
        (fixed,), (per,) = (least_squares([column], points, scales) for column in (ones, shape))
        options = [(fixed, 0.0), (0.0, per)]
    fits = [
        _Fit(growth, a, b, deviations([a + b * one for one in shape], points, scales))
        for a, b in options
    ]
    return min(fits, key=lambda fit: root_mean_square(fit.off))


def _is_polynomial(
    sizes: Sequence[float], points: Sequence[float], scales: Sequence[float]
) -> bool:
    """Say whether counts are exactly a polynomial of degree two, such as n * (n - 1) / 2.

    Its lower terms keep it from the curve of n * n where n is small.
    """
    columns = [[size**power for size in sizes] for power in (0, 1, 2)]
    factors = least_squares(columns, points, scales)
    curve = [
        sum(factor * value for factor, value in zip(factors, at, strict=True))
        for at in zip(*columns, strict=True)
    ]
    exact = farthest(deviations(curve, points, scales)) <= EXACT
    return exact and len(sizes) > len(columns) and factors[-1] > 0


def _near_often(draws: Sequence[Sequence[_Fit]]) -> set[Growth]:
    """Return the shapes that are not clearly worse than the best in more than a few draws."""
    times = dict.fromkeys(Growth, 0)
    for fits in draws:
        errors = {fit.growth: root_mean_square(fit.off) for fit in fits}
        for growth, error in errors.items():
            times[growth] += error <= CLEAR * min(errors.values())
    return {growth for growth, often in times.items() if often > SELDOM * len(draws)}


def _named(
    fits: Sequence[_Fit], alike: Sequence[_Fit], exponent: Interval | None, *, sure: bool
) -> GrowthFit:
    first = alike[0] if alike else min(fits, key=lambda fit: root_mean_square(fit.off))
    return GrowthFit(
        growth=alike[0].growth if sure and len(alike) == 1 else None,
        candidates=tuple(fit.growth for fit in alike),
        fixed=first.fixed if alike else 0.0,
        per=first.per if alike else 0.0,
        error=first.error,
        exponent=exponent,
    )


def _span(sizes: Sequence[float]) -> float:
    return sizes[-1] / min(size for size in sizes if size > 0)


def _stays(ends: Interval) -> bool:
    """Say whether the last size takes as long as the first, within 10 %."""
    low = ends.ratio if ends.low is None else ends.low
    high = ends.ratio if ends.high is None else ends.high
    return low > 1 / stats.SAME and high < stats.SAME


def _differs(ends: Interval) -> bool:
    """Say whether the last size surely takes longer, or less long, than the first."""
    if ends.low is None or ends.high is None:
        return not _stays(ends)
    return stats.word(ends) in {"faster", "slower"}


def _exponent(sizes: Sequence[float], ends: Interval) -> Interval | None:
    if sizes[0] <= 0:
        return None
    span = math.log(sizes[-1] / sizes[0])

    def slope(ratio: float | None) -> float | None:
        return None if ratio is None else math.log(ratio) / span

    return Interval(
        ratio=math.log(ends.ratio) / span,
        low=slope(ends.low),
        high=slope(ends.high),
        confidence=ends.confidence,
    )
