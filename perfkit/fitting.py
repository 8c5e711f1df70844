"""Fit sums of curves to a few points that were measured in rounds: standard library only."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from statistics import NormalDist, fmean, median

from perfkit import stats
from perfkit.result import Interval

Rounds = Sequence[Sequence[float]]
"""One sequence a round, with a figure for each place; all figures are above zero."""

DRAWS = 999
ALMOST = 1e-12
"""Columns that differ by less than this share of their length are the same."""


def typical(rounds: Rounds) -> list[float]:
    """Return the typical figure at each place: the median, after each round's own pace is removed.

    A machine that is slower for a whole round is slower at every place, which says nothing of the
    curve: each round is divided by its geometric mean, and the median of those means is the pace.
    """
    return _middle([_even(figures) for figures in rounds])


def draw_again(rounds: Rounds, *, seed: int = 7, draws: int = DRAWS) -> Iterator[list[float]]:
    """Yield the typical figures of rounds drawn again with replacement: a cluster bootstrap."""
    draw = random.Random(seed)  # noqa: S311 (a seeded bootstrap, not a secret)
    even = [_even(figures) for figures in rounds]
    for _ in range(draws):
        yield _middle(draw.choices(even, k=len(even)))


def percentile_interval(value: float, drawn: Sequence[float], rounds: int) -> Interval:
    """Return the interval of a figure from its draws; no bounds where there are none.

    The percentiles are those of Student's distribution: those of the normal one, which a plain
    bootstrap amounts to, cover too seldom with few rounds. Source: Hesterberg, What Teachers Should
    Know About the Bootstrap, The American Statistician 69 (2015), section 4.3.
    """
    if not drawn:
        return Interval(ratio=value, low=None, high=None, confidence=stats.CONFIDENCE)
    wide = _student(stats.CONFIDENCE, rounds - 1) * math.sqrt(rounds / (rounds - 1))
    tail = NormalDist().cdf(-wide)
    return Interval(
        ratio=value,
        low=stats.quantile(drawn, tail),
        high=stats.quantile(drawn, 1 - tail),
        confidence=stats.CONFIDENCE,
    )


def _student(confidence: float, freedom: int) -> float:
    """Return the two-sided quantile of Student's distribution.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5, with three terms.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def spread(points: Sequence[float], draws: Sequence[Sequence[float]]) -> float:
    """Return how far a point may be off by chance: the widest half of any place's interval."""
    return max(
        stats.quantile([abs(value / point - 1) for value in values], stats.CONFIDENCE)
        for point, values in zip(points, zip(*draws, strict=True), strict=True)
    )


def _even(figures: Sequence[float]) -> tuple[float, list[float]]:
    """Return the pace of a round, and its figures divided by it."""
    pace = math.exp(fmean(map(math.log, figures)))
    return pace, [figure / pace for figure in figures]


def _middle(rounds: Sequence[tuple[float, list[float]]]) -> list[float]:
    pace = median(pace for pace, _ in rounds)
    return [pace * median(column) for column in zip(*(even for _, even in rounds), strict=True)]


def least_squares(
    columns: Sequence[Sequence[float]], points: Sequence[float], scales: Sequence[float]
) -> list[float]:
    """Return the factors of the columns whose sum comes nearest to the points.

    Each deviation counts as a share of its scale. Factors may come out negative; a column that
    depends on those before it has the factor 0.
    """
    scaled = [[a / b for a, b in zip(column, scales, strict=True)] for column in columns]
    # Modified Gram-Schmidt: the normal equations would square what rounding does.
    basis: list[list[float]] = []
    above: list[list[float]] = []
    for column in scaled:
        rest, shares = list(column), []
        for direction in basis:
            share = _product(direction, rest)
            rest = [value - share * along for value, along in zip(rest, direction, strict=True)]
            shares.append(share)
        length = math.sqrt(_product(rest, rest))
        known = length <= ALMOST * math.sqrt(_product(column, column))
        basis.append([0.0] * len(rest) if known else [value / length for value in rest])
        above.append([*shares, 0.0 if known else length])
    wanted = [point / scale for point, scale in zip(points, scales, strict=True)]
    targets = []
    for direction in basis:
        share = _product(direction, wanted)
        wanted = [value - share * along for value, along in zip(wanted, direction, strict=True)]
        targets.append(share)
    factors = [0.0] * len(columns)
    for place in reversed(range(len(columns))):
        later = sum(
            above[other][place] * factors[other] for other in range(place + 1, len(columns))
        )
        own = above[place][place]
        factors[place] = (targets[place] - later) / own if own else 0.0
    return factors


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def deviations(
    curve: Sequence[float], points: Sequence[float], scales: Sequence[float]
) -> tuple[float, ...]:
    """Return how far a curve lies from each point, as a share of the point's scale."""
    return tuple(
        (at - point) / scale for at, point, scale in zip(curve, points, scales, strict=True)
    )


def root_mean_square(values: Sequence[float]) -> float:
    """Return the quadratic mean."""
    return math.sqrt(fmean(value * value for value in values))


def farthest(values: Sequence[float]) -> float:
    """Return the largest of some deviations, whatever their sign."""
    return max(map(abs, values))
