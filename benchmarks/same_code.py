"""How often perfkit calls the same code faster or slower than itself, on a busy machine.

Both variants of a probe call one function, so "faster" and "slower" are always wrong. A hog a
core toggles beside the measurements. Every comparison is a run of its own with its own seed, and
stops when a user's run would: precise enough, or out of budget.

Goal: at most 5 % of the comparisons called faster or slower.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from goal import compare, options, save
from hog import hogs
from same_work import Nothing, probe

from perfkit.model import Plan
from perfkit.run.course import Progress, Timing
from perfkit.run.orchestrator import run

GOAL = 0.05
COMPARISONS, SHORT = 200, 6
BUDGET, SHORT_BUDGET = 3.5, 2.0
"""Seconds of timed rounds a comparison; six rounds are the fewest that give an interval."""
WRONG = ("faster", "slower")


def exact_interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson (1934) for a share, by bisection."""
    error = (1 - confidence) / 2

    def at_most(number: int, share: float) -> float:
        return math.fsum(
            math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(number + 1)
        )

    def solve(holds: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return low

    low = 0.0 if hits == 0 else solve(lambda share: 1 - at_most(hits - 1, share) < error)
    high = 1.0 if hits == trials else solve(lambda share: at_most(hits, share) > error)
    return low, high


def compare_once(plan: Plan, number: int, comparisons: int) -> dict[str, Any] | None:
    """Run one comparison; None when it was interrupted."""

    def tell(progress: Progress) -> None:
        if isinstance(progress, Timing) and sys.stderr.isatty():
            text = f"comparison {number} of {comparisons}, round {progress.round}"
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)

    result = run(plan, tell)
    if result.stopped == "interrupted":
        return None
    (verdict,) = result.verdicts
    typical = verdict.typical
    return {
        "seed": plan.seed,
        "word": verdict.word,
        "ratio": typical.ratio,
        "low": typical.low,
        "high": typical.high,
        "rounds": result.rounds,
        "stopped": result.stopped,
        "run_queue_share": result.noise.run_queue_share,
    }


def main() -> None:
    """Compare, count the words, and hold the wrong ones to the goal."""
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the hogs and the first run")
    given = parser.parse_args()
    comparisons, budget = (SHORT, SHORT_BUDGET) if given.short else (COMPARISONS, BUDGET)
    begun = time.monotonic()
    done: list[dict[str, Any]] = []
    try:
        with hogs(given.seed):
            for number in range(1, comparisons + 1):
                plan = Plan(probe, Nothing(), budget=budget, seed=given.seed + number)
                comparison = compare_once(plan, number, comparisons)
                if comparison is None:
                    break
                done.append(comparison)
                if not sys.stderr.isatty() and number % 10 == 0:
                    print(f"{number} of {comparisons} comparisons", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    report(done, time.monotonic() - begun)
    save(given.json, done)
    if len(done) < comparisons:
        sys.exit(130)


def report(done: list[dict[str, Any]], took: float) -> None:
    """Print how often each word was said, and the verdict."""
    words = Counter(comparison["word"] for comparison in done)
    rounds = sorted(comparison["rounds"] for comparison in done)
    if not done:
        return
    print(f"\r{len(done)} comparisons of the same code with itself in {took:.0f} s")
    print(f"rounds: {rounds[0]} to {rounds[-1]}, half of them at most {rounds[len(rounds) // 2]}")
    for word in ("no change", "unclear", *WRONG):
        low, high = exact_interval(words[word], len(done))
        share = words[word] / len(done)
        print(f"  {word:<10} {words[word]:4}  {share:6.1%}  (95 %: {low:.1%} to {high:.1%})")
    wrong = sum(words[word] for word in WRONG)
    low, high = exact_interval(wrong, len(done))
    print(
        f"called faster or slower: {wrong / len(done):.1%} ({low:.1%} to {high:.1%});"
        f" goal: at most {GOAL:.0%}: {compare(low, high, GOAL)}"
    )


if __name__ == "__main__":
    main()
