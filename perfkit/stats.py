"""The statistics of a report: pure functions, standard library only.

Ratios are "times faster": the naive code's seconds over the variant's. The unit of evidence is
the fresh process, and values are paired by round: values of one process are correlated, so more
of them are not more evidence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import median

from perfkit.result import Interval, Measured, Verdict

CONFIDENCE = 0.95
LOOKS = (8, 12, 18, 27, 40)
"""After how many rounds the intervals are looked at."""
FEWEST = 6
"""With fewer rounds no exact 95 % interval exists: 2 / 2**5 is more than 0.05."""
PRECISE = 0.05
"""A half-width below this share of the ratio is precise enough for a report."""
FASTER, SAME = 1.05, 1.10


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile with linear interpolation (Hyndman and Fan's type 7)."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    rest = place - below
    return ordered[below] * (1 - rest) + ordered[below + 1] * rest


def typical_ratio(
    naive: Sequence[float],
    other: Sequence[float],
    confidence: float = CONFIDENCE,
    *,
    paired: bool = True,
) -> Interval:
    """Return the paired Hodges-Lehmann ratio with the exact Wilcoxon signed-rank interval.

    Both hold one figure a round, in seconds. Source: Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods, sections 3.1 to 3.3, on the logarithms of the ratios.
    Not `paired`: both were measured at different times; the same for two samples, with the exact
    rank-sum interval (sections 4.1 to 4.3).
    """
    if paired:
        logs = [math.log(a / b) for a, b in zip(naive, other, strict=True)]
        number = len(logs)
        steps = sorted((logs[i] + logs[j]) / 2 for i in range(number) for j in range(i, number))
        cut = _signed_rank_cut(number, confidence)
    else:
        steps = sorted(math.log(a / b) for a in naive for b in other)
        cut = _rank_sum_cut(len(naive), len(other), confidence)
    return Interval(
        ratio=math.exp(median(steps)),
        low=None if cut is None else math.exp(steps[cut]),
        high=None if cut is None else math.exp(steps[-1 - cut]),
        confidence=confidence,
    )


@cache
def _signed_rank_cut(number: int, confidence: float) -> int | None:
    """Return the largest rank sum whose lower tail stays within the error; None if none does."""
    shares = [0.0] * (number * (number + 1) // 2 + 1)
    shares[0] = 1.0
    for rank in range(1, number + 1):
        for total in range(len(shares) - 1, -1, -1):
            shares[total] = (shares[total] + (shares[total - rank] if total >= rank else 0)) / 2
    return _cut(shares, confidence)


@cache
def _rank_sum_cut(number: int, others: int, confidence: float) -> int | None:
    """Return the largest count of pairs whose lower tail stays within the error, or None."""
    # How many orders of both samples have so many pairs with the first below the second.
    orders = [1] + [0] * (number * others)
    for step in range(1, number + 1):
        for total in range(len(orders) - 1, others + step - 1, -1):
            orders[total] -= orders[total - others - step]
        for total in range(step, len(orders)):
            orders[total] += orders[total - step]
    return _cut([order / math.comb(number + others, others) for order in orders], confidence)


def _cut(shares: Iterable[float], confidence: float) -> int | None:
    tail, cut = 0.0, None
    for total, share in enumerate(shares):
        tail += share
        if tail > (1 - confidence) / 2:
            break
        cut = total
    return cut


def floor_ratio(
    naive: Sequence[float],
    other: Sequence[float],
    confidence: float = CONFIDENCE,
    *,
    seed: int = 7,
    draws: int = 999,
    paired: bool = True,
) -> Interval:
    """Return the ratio of lower quartiles of process minima, with a round bootstrap interval.

    Both hold one figure a round. Noise only adds time, so the low end is the code's own cost;
    whole rounds are drawn, which keeps the pairing (a cluster bootstrap, percentile interval).
    Not `paired`: both were measured at different times, and each is drawn by itself.

    No bounds where an exact test of so few rounds could not be that confident either: a bootstrap
    never draws anything beyond them, so its intervals would stop growing.
    """
    pairs = list(zip(naive, other, strict=paired))
    ratio = quantile(naive, 0.25) / quantile(other, 0.25)
    if 2 / 2 ** len(pairs) > 1 - confidence:
        return Interval(ratio=ratio, low=None, high=None, confidence=confidence)
    draw = random.Random(seed)  # noqa: S311 (a seeded bootstrap, not a secret)
    ratios = []
    for _ in range(draws):
        if paired:
            drawn = draw.choices(pairs, k=len(pairs))
            mine, others = [a for a, _ in drawn], [b for _, b in drawn]
        else:
            mine, others = (draw.choices(side, k=len(side)) for side in (naive, other))
        ratios.append(quantile(mine, 0.25) / quantile(others, 0.25))
    tail = (1 - confidence) / 2
    return Interval(
        ratio=ratio,
        low=quantile(ratios, tail),
        high=quantile(ratios, 1 - tail),
        confidence=confidence,
    )


def word(interval: Interval) -> str:
    """Name what an interval of a speed-up says, or that it says nothing.

    Faster or slower: by more than 5 % at both ends. No change: within 10 % at both ends.
    """
    if interval.low is None or interval.high is None:
        return "unclear"
    if interval.low > FASTER:
        return "faster"
    if interval.high < 1 / FASTER:
        return "slower"
    if interval.low > 1 / SAME and interval.high < SAME:
        return "no change"
    return "unclear"


def saved_share(other: Interval, fix: Interval) -> Interval | None:
    """Return the time a variant saves as a share of what the fix saves.

    A speed-up r saves 1 - 1/r of the naive time. The fix's point estimate is the measure, and
    the ends come from the variant's interval. None when the fix saves nothing.
    """
    whole = 1 - 1 / fix.ratio
    if whole <= 0 or fix.low is None or fix.low <= 1:
        return None

    def share(ratio: float | None) -> float | None:
        return None if ratio is None else (1 - 1 / ratio) / whole

    return Interval(
        ratio=(1 - 1 / other.ratio) / whole,
        low=share(other.low),
        high=share(other.high),
        confidence=other.confidence,
    )


def speed_ups(variants: Sequence[Measured]) -> dict[str, Interval]:
    """Return how many times faster than the naive one each variant typically is, by name.

    Returns nothing when nothing was timed.
    """
    naive = next(variant for variant in variants if variant.role == "naive")
    if not naive.samples:
        return {}
    return {
        variant.name: typical_ratio(_medians(naive), _medians(variant))
        for variant in variants
        if variant is not naive and variant.samples
    }


def precise(speed_ups: Iterable[Interval]) -> bool:
    """Say whether every ratio is known well enough to stop."""
    return all(interval.half_width < PRECISE for interval in speed_ups)


def judge(variants: Sequence[Measured]) -> tuple[Verdict, ...]:
    """Compare every variant with the naive one, from the raw values alone.

    Returns nothing when nothing was timed.
    """
    naive = next(variant for variant in variants if variant.role == "naive")
    typical = speed_ups(variants)
    fixes = [variant for variant in variants if variant.role == "fixed"]
    fix = next((fix for fix in fixes if not fix.partial), fixes[0] if fixes else None)
    saves = typical.get(fix.name) if fix is not None else None
    return tuple(
        Verdict(
            variant=variant.name,
            word=word(typical[variant.name]),
            typical=typical[variant.name],
            floor=floor_ratio(_minima(naive), _minima(variant)),
            share=saved_share(typical[variant.name], saves) if saves is not None else None,
        )
        for variant in variants
        if variant.name in typical
    )


def _medians(variant: Measured) -> list[float]:
    return [median(sample.wall) for sample in variant.samples]


def _minima(variant: Measured) -> list[float]:
    return [min(sample.wall) for sample in variant.samples]
