"""Decide whether a check holds: pure functions of measured results.

Counted work is compared as it is. Times are ratios of floors (`stats.floor_ratio`), looked at
after 8, 12, 18, 27 and 40 rounds with an error budget: each look may err with a fifth of it, and
a fail also shares it with the other timed checks of the gate, because one wrong fail is enough to
stop a change. A pass need not: each pass speaks only of its own check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from perfkit import stats
from perfkit.checks import PEAK_RSS, Check, Kind, unit
from perfkit.outcome import Judged
from perfkit.result import Interval, Measured, Sample, Work
from perfkit.units import show
from perfkit.verdict import Word

ERROR = 0.05
"""The error budget of one gate run."""
COMPUTES = 0.9
"""From this share of wall time on, spent on or waiting for a processor, code is CPU-bound."""
PARALLEL = 1.1
"""Above this many processor seconds a second, the wall clock is what counts."""
MEMORY = "memory"
_WORDS = {"cpu": "processor time", "wall": "wall time", MEMORY: "peak memory"}
POWER = 0.9
"""How often a slow-down must be caught to be called detectable."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What a check may speak of: the variants of the change, and of the base if there is one.

    `paired` says that both were measured in the same rounds; variants of one run always are.
    """

    change: Mapping[str, Measured]
    base: Mapping[str, Measured]
    paired: bool = True


def judge_all(asked: Sequence[tuple[Check, Sides]], timed: int = 0) -> tuple[Judged, ...]:
    """Judge checks together: the fewer are still open, the larger each one's share of the budget.

    `timed` is how many timed checks the gate has, where these are not all of them. Source: Holm
    1979, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics 6, with a fail for a rejection. Right fails make no wrong one likelier: the first
    wrong one would come while all the checks that do hold still share the budget.
    """
    timed = max(timed, sum(check.timed for check, _ in asked))
    verdicts = [judge(check, sides, timed) for check, sides in asked]
    failed, before = _failed(verdicts), 0
    while failed > before:
        verdicts = [
            judge(check, sides, timed - failed) if _open(one) else one
            for one, (check, sides) in zip(verdicts, asked, strict=True)
        ]
        failed, before = _failed(verdicts), failed
    return tuple(verdicts)


def _failed(verdicts: Sequence[Judged]) -> int:
    return sum(one.verdict is Word.FAIL and bool(one.clock) for one in verdicts)


def _open(one: Judged) -> bool:
    return one.verdict is Word.INCONCLUSIVE and bool(one.clock)


def decided(verdicts: Sequence[Judged]) -> bool:
    """Say whether more rounds could change nothing any more; they never change counted work."""
    return not any(_open(one) for one in verdicts)


def judge(check: Check, sides: Sides, checks: int = 1) -> Judged:
    """Judge a check; `checks` is how many timed ones share the error budget."""
    mine = sides.change[check.variant]
    if check.kind is Kind.ABSOLUTE:
        both = [mine]
    elif check.kind is Kind.RATIO:
        both = [mine, sides.change[check.other]]
    elif check.variant in sides.base:
        both = [mine, sides.base[check.variant]]
    else:
        said = f"the base has no {check.variant}"
        return Judged(check.target, check.text, Word.ERROR, said, limit=check.limit)
    paired = sides.paired or check.kind is not Kind.CHANGE
    if not check.timed:
        return _judge_work(check, both)
    if check.metric == PEAK_RSS:
        figures = [[float(sample.peak_rss) for sample in one.samples] for one in both]
        return _judge_figures(check, figures, checks, MEMORY, paired=paired)
    chosen = clock(check, both)
    pick = median if check.statistic == "typical" else min
    figures = [[pick(_times(sample, chosen)) for sample in one.samples] for one in both]
    return _judge_figures(check, figures, checks, chosen, paired=paired)


def _judge_work(check: Check, both: Sequence[Measured]) -> Judged:
    """Compare counted work; a count that varies must hold in both passes, or fail in both."""
    if any(check.metric not in one.work for one in both):
        said = f"nobody here counts {check.metric}"
        return Judged(check.target, check.text, Word.ERROR, said, limit=check.limit)
    works = [one.work[check.metric] for one in both]
    values: list[float] = sorted(map(float, _ends(works[0])))
    if len(works) > 1:
        values = sorted(_ratio(a, b) for a in _ends(works[0]) for b in _ends(works[1]))
    held = {check.holds(value) for value in values}
    if any(not work.exact and work.again is None for work in works):
        # It varies, and nobody knows how far.
        held = {True, False}
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


def _times(sample: Sample, chosen: str) -> tuple[float, ...]:
    return sample.cpu if chosen == "cpu" else sample.wall


def clock(check: Check, measured: Sequence[Measured]) -> str:
    """Return the clock that a check of times goes by: `cpu` where the code computes, else `wall`.

    Waiting for a processor is the machine's doing, so it counts as computing here. Where only one
    of two sides computes, both go by the wall.
    """
    if check.metric != "time":
        return check.metric
    return "cpu" if all(_computes(one.samples) for one in measured) else "wall"


def _computes(samples: Sequence[Sample]) -> bool:
    busy, parallel = [], []
    for sample in samples:
        waits = sample.run_queue or (0.0,) * len(sample.wall)
        for wall, cpu, wait in zip(sample.wall, sample.cpu, waits, strict=True):
            busy.append((cpu + wait) / wall)
            parallel.append(cpu / wall)
    return bool(busy) and median(busy) >= COMPUTES and median(parallel) <= PARALLEL


def _judge_figures(
    check: Check, figures: Sequence[Sequence[float]], checks: int, chosen: str, *, paired: bool
) -> Judged:
    rounds = min(len(one) for one in figures)
    look = ERROR / len(stats.LOOKS)

    def unclear(said: str) -> Judged:
        return Judged(
            check.target,
            check.text,
            Word.INCONCLUSIVE,
            said,
            limit=check.limit,
            clock=chosen,
            rounds=rounds,
        )

    def interval(error: float) -> Interval:
        return _interval(figures, 1 - error, typical=check.statistic == "typical", paired=paired)

    if not rounds:
        return unclear("nothing was timed")
    if min(map(min, figures)) <= 0:
        return unclear(f"{_WORDS[chosen]} too small to measure")
    found, few = interval(look), ""
    if found.low is None:
        return unclear(f"{rounds} rounds are too few to judge by")
    verdict = _word(check, found)
    if verdict is Word.FAIL and checks > 1:
        strict = interval(look / checks)
        verdict = _word(check, strict)
        if strict.low is None:
            few = f"; {rounds} rounds are too few for one fail among {checks} checks"
        else:
            found = strict
    return Judged(
        check.target,
        check.text,
        verdict,
        _said(check, found, chosen) + few,
        found.ratio,
        found.low,
        found.high,
        check.limit,
        chosen,
        rounds,
        _detectable(check, found, look, look / checks) if verdict is Word.PASS else None,
    )


def _detectable(check: Check, found: Interval, look: float, fails: float) -> float | None:
    """Return the smallest slow-down that would have failed here nine times in ten.

    A fail needs the interval of the error `fails` to lie beyond the limit; `found` is that of
    the error `look`. Both are taken as those of a normal distribution of logarithms.
    """
    if check.kind is not Kind.CHANGE or check.comparison not in {"<", "<="}:
        return None
    if not found.low or not found.high:
        return None
    normal = NormalDist()
    width = math.log(found.high / found.low) / 2
    beyond = normal.inv_cdf(1 - fails / 2) + normal.inv_cdf(POWER)
    return check.limit * math.exp(width * beyond / normal.inv_cdf(1 - look / 2)) - 1


def _interval(
    figures: Sequence[Sequence[float]], confidence: float, *, typical: bool, paired: bool
) -> Interval:
    mine = figures[0]
    others = figures[1] if len(figures) > 1 else [1.0] * len(mine)
    if typical:
        return stats.typical_ratio(mine, others, confidence, paired=paired)
    # The tail of a strict level is only seen with enough draws beyond it.
    draws = max(999, min(math.ceil(20 / (1 - confidence)), 20_000))
    return stats.floor_ratio(mine, others, confidence, draws=draws, paired=paired)


def _word(check: Check, interval: Interval) -> Word:
    if interval.low is None or interval.high is None:
        return Word.INCONCLUSIVE
    held = check.holds(interval.low), check.holds(interval.high)
    return Word.PASS if all(held) else Word.INCONCLUSIVE if any(held) else Word.FAIL


def _said(check: Check, interval: Interval, chosen: str) -> str:
    figure, low, high = (
        _shown(check, figure or 0.0) for figure in (interval.ratio, interval.low, interval.high)
    )
    return f"{_WORDS[chosen]} {figure} ({low} to {high})"


def _shown(check: Check, figure: float) -> str:
    if check.kind is Kind.ABSOLUTE:
        return show(figure, unit(check.metric))
    return f"{figure:.3g}x" if check.kind is Kind.RATIO else f"{figure - 1:+.1%}"
