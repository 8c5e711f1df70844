"""How the cost of each solver grows with the file: processor seconds and bytes, point by point."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from missing_number_files import made
from missing_number_peers import numpy_sort, python_sort, solve_with, sort_and_awk
from missing_number_rounds import Answer, Took, require_right, timed

from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.folds import Sum, Xor
from perfkit.missing.invariants import Invariants
from perfkit.missing.power_sums import PowerSums
from perfkit.missing.promise import Promise
from perfkit.missing.source import Kind

MIB = 2**20
WARM_UP = 2**10
REPEATS, QUICK = 5, 0.2
"""So often is repeated what takes so few seconds, and the fastest counts."""


@dataclass(frozen=True)
class Contender:
    """A way to find the missing number, and how its file is written."""

    name: str
    kind: Kind
    run: Callable[[Path, Promise], Answer]


@dataclass(frozen=True)
class Point:
    """What a contender took for so many numbers: processor seconds, and bytes."""

    name: str
    numbers: int
    cpu: float
    wall: float
    memory: int


def up_to(most: int) -> Contender:
    """Return power sums for at most so many missing numbers."""
    return Contender(
        f"power sums, k = {most}",
        Kind.BINARY,
        lambda path, promise: solve_with(PowerSums(replace(promise, most=most)), path),
    )


CONTENDERS = (
    Contender(
        "sum", Kind.BINARY, lambda path, promise: solve_with(Sum(promise, trusted=True), path)
    ),
    Contender(
        "xor", Kind.BINARY, lambda path, promise: solve_with(Xor(promise, trusted=True), path)
    ),
    Contender(
        "invariants", Kind.BINARY, lambda path, promise: solve_with(Invariants(promise), path)
    ),
    up_to(8),
    up_to(64),
    Contender("cells", Kind.BINARY, lambda path, promise: solve_with(Cells(promise, MIB), path)),
    Contender(
        "bucket counts",
        Kind.BINARY,
        lambda path, promise: solve_with(BucketCounts(promise, MIB), path),
    ),
    Contender(
        "bitmap", Kind.BINARY, lambda path, promise: solve_with(Bitmap(promise, 1024 * MIB), path)
    ),
    Contender("np.sort", Kind.BINARY, numpy_sort),
    Contender("sorted()", Kind.TEXT, python_sort),
    Contender("sort -n | awk", Kind.TEXT, sort_and_awk),
)


def around_zero(numbers: int) -> Promise:
    """Return a range of so many numbers, negative ones too: all of them are those of int32."""
    return Promise(-numbers // 2, numbers // 2 - 1)


def grow(
    folder: Path,
    exponents: Sequence[int],
    budget: float,
    contenders: Sequence[Contender] = CONTENDERS,
) -> Iterator[Point]:
    """Yield the points of ascending powers of two.

    Who would take more than `budget` processor seconds for the next one is left out from there on.
    """
    # The first use compiles the loops.
    for _ in _points(folder, WARM_UP, contenders):
        pass
    for exponent, following in zip(exponents, [*exponents[1:], exponents[-1]], strict=True):
        numbers, more = 2**exponent, 2 ** (following - exponent)
        points = list(_points(folder, numbers, contenders))
        yield from points
        fast = {point.name for point in points if point.cpu * more <= budget}
        contenders = [contender for contender in contenders if contender.name in fast]


def _points(folder: Path, numbers: int, contenders: Sequence[Contender]) -> Iterator[Point]:
    promise = around_zero(numbers)
    for kind in Kind:
        alike = [contender for contender in contenders if contender.kind is kind]
        if alike:
            with made(folder, promise, kind) as (path, expected):
                for contender in alike:
                    yield _measure(contender, path, promise, expected)


def _measure(contender: Contender, path: Path, promise: Promise, expected: Sequence[int]) -> Point:
    turns: list[Took] = []
    while len(turns) < REPEATS:
        took, answer = timed(lambda: contender.run(path, promise))
        require_right(contender.name, answer, expected)
        turns.append(took)
        if took.cpu > QUICK:
            break
    cpu, wall = min(took.cpu for took in turns), min(took.wall for took in turns)
    point = Point(contender.name, promise.size, cpu, wall, answer.memory)
    print(f"{point.numbers:>13,}  {point.name:<18} {cpu:9.4f} s", file=sys.stderr, flush=True)
    return point
