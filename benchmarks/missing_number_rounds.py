"""Contenders that take turns, their table, and how fast one is against another in the same round.

Wall time is what a user waits for. Processor time counts every core and every child process.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple, TypeVar

from goal import NO_INTERVAL, compare

from perfkit.result import Interval
from perfkit.stats import typical_ratio
from perfkit.units import Unit, show

Clock = Literal["wall", "cpu"]
CLOCKS: dict[Clock, str] = {"cpu": "processor time", "wall": "wall time"}
MISSED = "missed"

T = TypeVar("T")


class Took(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Answer:
    """What a contender found, and the bytes it held for that; a limit finds nothing."""

    missing: Sequence[int] | None
    memory: int = 0


Action = Callable[[], Answer]
Rounds = dict[str, list[Took]]
"""The turns of each contender, one a round."""


@dataclass(frozen=True)
class Goal:
    """How many times as fast one contender has to be as another, by which clock."""

    ours: str
    theirs: str
    at_least: float
    clock: Clock = "cpu"


def timed(action: Callable[[], T]) -> tuple[Took, T]:
    """Call it, and return what that took and what it returned."""
    wall, cpu = time.perf_counter(), processor_seconds()
    returned = action()
    return Took(time.perf_counter() - wall, processor_seconds() - cpu), returned


def processor_seconds() -> float:
    """Return the processor time of all threads so far, and of the child processes that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def take_turns(
    contenders: Mapping[str, Action],
    expected: Sequence[int],
    rounds: int,
    draw: random.Random,
    before: Callable[[], None] = lambda: None,
) -> Rounds:
    """Time every contender once a round, in random order, after a round that is not timed.

    `before` comes before each turn. Every answer is checked.
    """
    found: Rounds = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in draw.sample(list(contenders), len(contenders)):
            before()
            took, answer = timed(contenders[name])
            require_right(name, answer, expected)
            if number:
                found[name].append(took)
    return found


def require_right(name: str, answer: Answer, expected: Sequence[int]) -> None:
    """Raise RuntimeError for a wrong answer."""
    if answer.missing is not None and list(answer.missing) != list(expected):
        raise RuntimeError(f"{name} found {answer.missing} to be missing, and it is {expected}")


def table(found: Rounds, size: int) -> str:
    """Return what each contender typically took for so many bytes."""
    wide = max(len(name) for name in found)
    heads = f"  {'':<{wide}}  {'wall':>9} {'processor':>10} {'GB/s wall':>10} {'processor':>10}"
    return "\n".join([heads, *(_row(name, wide, found[name], size) for name in found)])


def _row(name: str, wide: int, turns: Sequence[Took], size: int) -> str:
    wall, cpu = (median(seconds) for seconds in zip(*turns, strict=True))
    shown = f"{show(wall, Unit.SECONDS):>9} {show(cpu, Unit.SECONDS):>10}"
    return f"  {name:<{wide}}  {shown} {size / wall / 1e9:10.2f} {size / cpu / 1e9:10.2f}"


def speed(found: Rounds, ours: str, theirs: str, clock: Clock) -> Interval:
    """Return how many times as fast the first one is as the second."""
    mine, others = ([getattr(took, clock) for took in found[name]] for name in (ours, theirs))
    return typical_ratio(others, mine)


def say_speed(found: Rounds, ours: str, theirs: str) -> str:
    """Return a sentence of how many times as fast it is, by both clocks."""
    said = [
        f"{_times(speed(found, ours, theirs, clock))} as fast by {name}"
        for clock, name in CLOCKS.items()
    ]
    return f"{ours} against {theirs}: {', '.join(said)}"


def _times(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.3g} times"
    return f"{ratio.ratio:.3g} times ({ratio.low:.3g} to {ratio.high:.3g})"


def judge(found: Rounds, goal: Goal) -> str:
    """Say whether the goal is met."""
    ratio = speed(found, goal.ours, goal.theirs, goal.clock)
    if ratio.low is None or ratio.high is None:
        return NO_INTERVAL
    # At least so much is at most so little, of what is negative.
    return compare(-ratio.high, -ratio.low, -goal.at_least)


def say_goal(goal: Goal, verdict: str) -> str:
    """Return a sentence of what was wanted, and the verdict."""
    return f"goal: at least {goal.at_least:g} by {CLOCKS[goal.clock]}: {verdict}"
