"""Results measured for real, and the same with one thing changed."""

from pathlib import Path
from typing import Any

import msgspec

from perfkit import stats
from perfkit.result import Bound, Measured, NotRun, Result, load

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = ("db-fetch", "db-fetch-far", "db-first-row")


def sample(name: str = "db-fetch") -> Result:
    return load(GOLDEN / f"{name}.json")


def change(result: Result, **changes: Any) -> Result:
    return msgspec.structs.replace(result, **changes)


def variant(result: Result, name: str) -> Measured:
    return next(variant for variant in result.variants if variant.name == name)


def change_variant(result: Result, name: str, **changes: Any) -> Result:
    return change(
        result,
        variants=tuple(
            msgspec.structs.replace(known, **changes) if known.name == name else known
            for known in result.variants
        ),
    )


def change_work(result: Result, name: str, counter: str, **changes: Any) -> Result:
    work = dict(variant(result, name).work)
    work[counter] = msgspec.structs.replace(work[counter], **changes)
    return change_variant(result, name, work=work)


def judge(result: Result) -> Result:
    return change(result, verdicts=stats.judge(result.variants))


def slow_down(result: Result, name: str, factor: float) -> Result:
    """Return the result as if a variant had taken so many times as long."""
    samples = tuple(
        msgspec.structs.replace(one, wall=tuple(factor * value for value in one.wall))
        for one in variant(result, name).samples
    )
    return judge(change_variant(result, name, samples=samples))


def copy_times(result: Result, source: str, target: str, factor: float) -> Result:
    """Return the result as if one variant were exactly so many times slower than another."""
    samples = variant(result, source).samples
    return slow_down(change_variant(result, target, samples=samples), target, factor)


def keep_rounds(result: Result, number: int) -> Result:
    """Return the result as if it had ended after so many rounds."""
    for known in result.variants:
        result = change_variant(result, known.name, samples=known.samples[:number])
    return judge(result)


def left_aside() -> Result:
    """Return a result as if two more variants did not apply with its parameters."""
    why = "it needs 16 GiB of memory for all that it asks at once, and has a limit of 1 MiB"
    return change(
        sample("db-first-row"),
        not_run=(
            NotRun("all-at-once", "fixed", "all at once", why),
            NotRun("ask-twice", "wrong lever", "ask twice", "10,000 rows are too many for it"),
        ),
    )


def bounded(at_most: float = 8.0, result: Result | None = None) -> Result:
    """Return a result as if threads and the fix had predicted how much they can help."""
    result = result or sample("db-fetch-far")
    threads = Bound(at_most, "8 workers share 8 connections")
    once = Bound(201.0, "201 round trips / 1 that is left")
    result = change_variant(result, "ask-per-row-threaded", bound=threads)
    return change_variant(result, "ask-once", bound=once)


def count_only() -> Result:
    return change(keep_rounds(sample(), 0), stopped="counted")
