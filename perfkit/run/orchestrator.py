"""The one orchestrator: probe, parameters and location in, Result out.

One round is every variant once, in a seeded random order, each in a fresh process; so whatever
the machine does meanwhile meets all variants alike, and what differs between processes
(addresses, hash seeds) is averaged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from perfkit import stats
from perfkit.model import Plan
from perfkit.result import Result
from perfkit.run.course import CHANGE, Course, Progress, Timing
from perfkit.run.trial import Trial, opened


def run(plan: Plan, tell: Callable[[Progress], None] = lambda _: None) -> Result:
    """Run a probe and return what was measured; `tell` hears of the progress.

    A KeyboardInterrupt after the first complete round ends the run early: the result says
    `interrupted`. Raises AnswersDiffer, CannotRun and its kinds, and KeyboardInterrupt.
    """
    return run_sides(plan, Course(), tell)[CHANGE]


def run_sides(
    plan: Plan, course: Course, tell: Callable[[Progress], None] = lambda _: None
) -> dict[str, Result]:
    """Run a probe for one or more sides in the same rounds; return a result a side.

    The first side loads the data for all. Raises like `run`, and NotThere for a side that does
    not have the code.
    """
    with opened(plan, course, tell) as trial:
        return trial.results(time_rounds([trial], plan, tell))


def time_rounds(trials: Sequence[Trial], plan: Plan, tell: Callable[[Progress], None]) -> str:
    """Time rounds of all trials together, and return why it stopped.

    That is when all is settled, when the rounds or the budget that the plan says are spent, or at
    Ctrl-C after the first complete round.
    """
    if not any(trial.timed for trial in trials):
        return "counted"
    turns = [(trial, basis) for trial in trials for basis in trial.timed]
    draw = random.Random(plan.seed)  # noqa: S311 (a reproducible order, not a secret)
    # Fewer rounds would leave no interval to report, or nothing that a gate could decide by.
    judged = any(trial.course.settled is not None for trial in trials)
    fewest = stats.LOOKS[0] if judged else stats.FEWEST
    begun = time.perf_counter()
    number = 0
    try:
        while True:
            elapsed = time.perf_counter() - begun
            stopped = _stop(plan, fewest, number, elapsed, partial(_settled, trials))
            tell(_timing(trials, number, elapsed, _remaining(plan, fewest, number, elapsed)))
            if stopped:
                return stopped
            for position, (trial, basis) in enumerate(draw.sample(turns, len(turns))):
                trial.take(basis, number, position)
            number += 1
    except KeyboardInterrupt:
        if not number:
            raise
        return "interrupted"


def _timing(trials: Sequence[Trial], number: int, elapsed: float, remaining: float) -> Timing:
    """Return how far the rounds are, with what the first side of a single trial shows so far."""
    variants = next(iter(trials[0].measured().values())) if len(trials) == 1 else ()
    speed_ups = stats.speed_ups(variants) if variants else {}
    return Timing(number, elapsed, remaining, variants, speed_ups)


def _settled(trials: Sequence[Trial]) -> bool:
    return all(_is_settled(trial) for trial in trials)


def _is_settled(trial: Trial) -> bool:
    rounds = trial.measured()
    if trial.course.settled is not None:
        return trial.course.settled(rounds)
    return stats.precise(stats.speed_ups(next(iter(rounds.values()))).values())


def _stop(plan: Plan, fewest: int, number: int, elapsed: float, settled: Callable[[], bool]) -> str:
    """Return why to stop after `number` rounds, or nothing to go on."""
    if plan.rounds is not None:
        return "rounds" if number >= plan.rounds else ""
    if number in stats.LOOKS and settled():
        return "precise"
    if number >= stats.LOOKS[-1]:
        return "rounds"
    if number >= fewest and elapsed * (number + 1) / number > plan.budget:
        return "budget"
    return ""


def _remaining(plan: Plan, fewest: int, number: int, elapsed: float) -> float:
    if not number:
        return plan.budget
    each = elapsed / number
    if plan.rounds is not None:
        return each * (plan.rounds - number)
    least = max(0, fewest - number) * each
    return max(least, min(each * (stats.LOOKS[-1] - number), plan.budget - elapsed))
