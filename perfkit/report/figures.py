"""Figures for people: no more digits than the measurement bears."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfkit.result import Interval
from perfkit.units import time_scale

TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"

MOST_DIGITS = 3
SMALLEST_TIME = 0.01
"""A time below this many of the report's unit would be hard to read."""


def figure(value: float, decimals: int) -> str:
    """Write a number with so many decimals; negative ones round to tens or hundreds."""
    rounded = round(value, decimals)
    # Adding zero turns -0.0 into 0.0.
    return f"{rounded + 0.0:,.{max(decimals, 0)}f}"


def decimals_for(value: float, digits: int) -> int:
    """Return the decimals that leave so many significant digits."""
    return digits - 1 - math.floor(math.log10(abs(value))) if value else 0


def borne(value: float, low: float, high: float) -> int:
    """Return how many decimals of a value its interval bears.

    A width that begins with 100 to 354 bears two of its digits, any other one: the rounding
    rule of the Particle Data Group (Review of Particle Physics, Introduction, "Rounding").
    There is always a digit of the lower end, and never more than three of the value.
    """
    if value <= 0:
        return 0
    most = decimals_for(value, MOST_DIGITS if value >= 1 else MOST_DIGITS - 1)
    width = high - low
    if width <= 0:
        return most
    exponent = math.floor(math.log10(width))
    least = decimals_for(low, 1) if low > 0 else 0
    bears = 1 - exponent if width / 10**exponent < 3.55 else -exponent  # noqa: PLR2004 (see above)
    return min(most, max(bears, least))


def ratio(interval: Interval) -> str:
    """Write how many times faster, as precisely as the interval allows."""
    return f"{figure(interval.ratio, _decimals(interval))}{TIMES}"


def ends(interval: Interval) -> str:
    """Write the ends of an interval; nothing where there were too few rounds for one."""
    if interval.low is None or interval.high is None:
        return ""
    decimals = _decimals(interval)
    return f"{figure(interval.low, decimals)} {DASH} {figure(interval.high, decimals)}"


def _decimals(interval: Interval) -> int:
    if interval.low is None or interval.high is None:
        # One digit says how large; without an interval, who knows whether two are true.
        return decimals_for(interval.ratio, 2 if interval.ratio >= 1 else 1)
    return borne(interval.ratio, interval.low, interval.high)


def factor(value: float) -> str:
    """Write how many times, of a figure that was computed and so has no interval."""
    text = figure(value, max(0, decimals_for(value, MOST_DIGITS)))
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{TIMES}"


def percents(low: float, high: float) -> str:
    """Write a range of shares: `21-37%` with a dash, or one figure where both round to it."""
    first, last = round(100 * low), round(100 * high)
    return f"{last}%" if first == last else f"{first}{DASH}{last}%"


def at_most(share: float) -> str:
    """Write a share rounded up, never below zero: a promise that the measurement keeps."""
    return f"at most {max(0, math.ceil(100 * share))}%"


def margin(share: float) -> str:
    """Write how far figures vary about their middle."""
    return "less than ±1%" if share < 0.01 else f"±{100 * share:.0f}%"  # noqa: PLR2004 (1 %)


def divided(before: int, after: int) -> str:
    """Write by what a count was divided: 201 to 2 is `÷ 100.5`; nothing where it did not fall."""
    if not 0 < after < before:
        return ""
    factor = before / after
    decimals = min(1, max(0, decimals_for(factor, MOST_DIGITS + 1)))
    return f"÷ {figure(factor, decimals).removesuffix('.0')}"


def time_unit(times: Sequence[float]) -> tuple[float, str]:
    """Return the one unit, as (seconds, name), in which all times of a report read well."""
    scale, name = time_scale(max(times))
    if min(times) < SMALLEST_TIME * scale:
        return time_scale(scale / 1000)
    return scale, name


def aligned(numbers: Sequence[str]) -> list[str]:
    """Pad numbers on the right so that their decimal points stand below each other."""
    tails = [len(number.partition(".")[1] + number.partition(".")[2]) for number in numbers]
    return [number + " " * (max(tails) - tail) for number, tail in zip(numbers, tails, strict=True)]
