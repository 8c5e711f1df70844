"""Decide whether a check holds: pure functions of measured results.

Counted work is compared as it is. Times are ratios of floors (`stats.floor_ratio`), looked at
after 8, 12, 18, 27 and 40 rounds with an error budget: each look may err with a fifth of it, and
a fail also shares it with the other checks of the gate (Holm 1979, step-down by inverted
intervals). A pass need not: each pass speaks only of its own check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from perfkit import stats
from perfkit.checks import PEAK_RSS, Check, Kind, unit
from perfkit.outcome import Judged, Word
from perfkit.result import Interval, Measured, Sample, Work
from perfkit.units import show

ERROR = 0.05
"""The error budget of one gate run."""
COMPUTES = 0.9
"""From this share of wall time on, spent on or waiting for a processor, code is CPU-bound."""
PARALLEL = 1.1
"""Above this many processor seconds a second, the wall clock is what counts."""
POWER_90, TWO_SIDED_95 = 1.2816, 1.96
"""Normal quantiles: of nine in ten, and of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What a check may speak of: the variants of the change, and of the base if there is one.

    `paired` says that both were measured in the same rounds.
    """

    change: Mapping[str, Measured]
    base: Mapping[str, Measured]
    paired: bool = True


def judge(check: Check, sides: Sides, checks: int = 1) -> Judged:
    """Judge a check; `checks` is how many timed ones share the error budget."""
    mine = sides.change[check.variant]
    other = _other(check, sides)
    if not check.timed:
        return _judge_work(check, mine, other)
    if check.metric == PEAK_RSS:
        return _judge_memory(check, mine, other, checks)
    return _judge_time(check, mine, other, checks, paired=sides.paired)


def _other(check: Check, sides: Sides) -> Measured | None:
    if check.kind is Kind.ABSOLUTE:
        return None
    return (sides.base if check.kind is Kind.CHANGE else sides.change)[check.other or check.variant]


def decided(verdicts: Sequence[Judged]) -> bool:
    """Say whether more rounds could change nothing any more."""
    return all(one.verdict is not Word.INCONCLUSIVE for one in verdicts)


def _judge_work(check: Check, mine: Measured, other: Measured | None) -> Judged:
    """Compare counted work; a count that varies must hold in both passes, or fail in both."""
    both = _both(mine, other)
    if any(check.metric not in one.work for one in both):
        said = f"nobody here counts {check.metric}"
        return Judged(check.target, check.text, Word.ERROR, said, limit=check.limit)
    works = [one.work[check.metric] for one in both]
    values: list[float] = sorted(_ends(works[0]))
    if len(works) > 1:
        values = sorted(_ratio(a, b) for a in _ends(works[0]) for b in _ends(works[1]))
    held = {check.holds(value) for value in values}
    verdict = Word.INCONCLUSIVE if len(held) > 1 else Word.PASS if held == {True} else Word.FAIL
    counts = " against ".join(_counted(work) for work in works)
    varies = "" if all(work.exact for work in works) else "; the count varies from run to run"
    said = f"{check.metric} {counts}{varies}"
    worst = next((value for value in values if not check.holds(value)), values[0])
    return Judged(check.target, check.text, verdict, said, worst, limit=check.limit)


def _ends(work: Work) -> set[int]:
    return {work.value} if work.again is None else {work.value, work.again}


def _counted(work: Work) -> str:
    return " or ".join(f"{value:,}" for value in sorted(_ends(work)))


def _ratio(mine: int, other: int) -> float:
    if other:
        return mine / other
    return math.inf if mine else 1.0


def _judge_memory(check: Check, mine: Measured, other: Measured | None, checks: int) -> Judged:
    figures = [[float(sample.peak_rss) for sample in one.samples] for one in _both(mine, other)]
    return _judge_figures(check, figures, checks, "", paired=True)


def _judge_time(
    check: Check, mine: Measured, other: Measured | None, checks: int, *, paired: bool
) -> Judged:
    both = _both(mine, other)
    chosen = clock(check, both)
    pick = min if check.statistic == "floor" else median
    figures = [[pick(_times(sample, chosen)) for sample in one.samples] for one in both]
    return _judge_figures(check, figures, checks, chosen, paired=paired)


def _both(mine: Measured, other: Measured | None) -> list[Measured]:
    return [mine] if other is None else [mine, other]


def _times(sample: Sample, chosen: str) -> tuple[float, ...]:
    return sample.cpu if chosen == "cpu" else sample.wall


def clock(check: Check, measured: Sequence[Measured]) -> str:
    """Return the clock that a check of times goes by: `cpu` where the code computes, else `wall`.

    Waiting for a processor is the machine's doing, so it counts as computing here.
    """
    if check.metric != "time":
        return check.metric
    samples = [sample for one in measured for sample in one.samples]
    busy, parallel = [], []
    for sample in samples:
        waits = sample.run_queue or (0.0,) * len(sample.wall)
        for wall, cpu, wait in zip(sample.wall, sample.cpu, waits, strict=True):
            busy.append(min(1.0, (cpu + wait) / wall))
            parallel.append(cpu / wall)
    if not busy or median(parallel) > PARALLEL:
        return "wall"
    return "cpu" if median(busy) >= COMPUTES else "wall"


def _judge_figures(
    check: Check, figures: Sequence[Sequence[float]], checks: int, chosen: str, *, paired: bool
) -> Judged:
    rounds = min(len(one) for one in figures)
    look = ERROR / len(stats.LOOKS)

    def interval(error: float) -> Interval:
        return _interval(figures, 1 - error, typical=check.statistic == "typical", paired=paired)

    if rounds < stats.FEWEST or min(map(min, figures)) <= 0:
        said = f"{rounds} rounds are too few to judge by" if rounds else "nothing was timed"
        return Judged(check.target, check.text, Word.INCONCLUSIVE, said, rounds=rounds)
    passing = interval(look)
    verdict = _word(check, passing)
    if verdict is Word.FAIL and checks > 1:
        # The fail shares the error budget with the gate's other checks.
        passing = interval(look / checks)
        verdict = _word(check, passing)
    detectable = None
    if verdict is Word.PASS and check.kind is not Kind.ABSOLUTE:
        shown = interval(1 - stats.CONFIDENCE)
        width = (math.log(shown.high or 1) - math.log(shown.low or 1)) / 2
        detectable = math.exp(width * (1 + POWER_90 / TWO_SIDED_95)) - 1
    return Judged(
        check.target,
        check.text,
        verdict,
        _said(check, passing, chosen),
        passing.ratio,
        passing.low,
        passing.high,
        check.limit,
        chosen,
        rounds,
        detectable,
    )


def _interval(
    figures: Sequence[Sequence[float]], confidence: float, *, typical: bool, paired: bool
) -> Interval:
    mine = figures[0]
    others = figures[1] if len(figures) > 1 else [1.0] * len(mine)
    if typical:
        return stats.typical_ratio(mine, others, confidence)
    # The tail of a strict level is only seen with enough draws beyond it.
    draws = max(999, min(math.ceil(20 / (1 - confidence)), 20_000))
    return stats.floor_ratio(mine, others, confidence, draws=draws, paired=paired)


def _word(check: Check, interval: Interval) -> Word:
    if interval.low is None or interval.high is None:
        return Word.INCONCLUSIVE
    held = check.holds(interval.low), check.holds(interval.high)
    return Word.PASS if all(held) else Word.INCONCLUSIVE if any(held) else Word.FAIL


def _said(check: Check, interval: Interval, chosen: str) -> str:
    what = {"cpu": "processor time", "wall": "wall time", "": "peak memory"}[chosen]
    low, high = interval.low, interval.high
    if check.kind is Kind.ABSOLUTE:
        figures = [show(value or 0.0, unit(check.metric)) for value in (interval.ratio, low, high)]
        return f"{what} {figures[0]} ({figures[1]} to {figures[2]})"
    if check.kind is Kind.RATIO:
        return f"{what} {interval.ratio:.3g}x ({low or 0:.3g} to {high or 0:.3g})"
    more = [f"{value - 1:+.1%}" for value in (interval.ratio, low or 0, high or 0)]
    return f"{what} {more[0]} ({more[1]} to {more[2]})"
