"""Count, sums, and an exclusive or: 32 bytes that name up to two numbers and check any answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import BrokenPromise, CannotDecode
from perfkit.missing import kernels
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise, numbers
from perfkit.missing.solver import Missing, Offsets, Stray, named, signed

WORD = 2**64
MOST = 2
"""Missing numbers that the invariants can name."""


def require_inside(promise: Promise, values: Numbers, highest: int) -> None:
    """Raise Stray, naming the first number of a block outside the range, if there is one."""
    if highest < promise.size:
        return
    offsets = values - np.uint32(promise.base)
    index = int(np.argmax(offsets >= promise.size))
    value = signed(promise, int(values[index]))
    what = f"{value} is outside the range {promise}"
    raise Stray(what, index, fix="correct the number, or --range")


def floor_sum(count: int, divisor: int, factor: int, start: int = 0) -> int:
    """Return the sum of floor((factor i + start) / divisor) for i from 0 to `count` - 1.

    By the steps of Euclid's algorithm: whole quotients are arithmetic series, and of what is left
    the points below a line are counted along the other axis.
    """
    total = 0
    while count:
        total += count * (count - 1) // 2 * (factor // divisor) + count * (start // divisor)
        factor, start = factor % divisor, start % divisor
        last = factor * count + start
        count, start = divmod(last, divisor)
        factor, divisor = divisor, factor
    return total


@cache
def mixed_below(size: int) -> int:
    """Return the exclusive or of the mixed offsets 0 to `size` - 1.

    How often a bit is set is odd where the sum of what is above it, with itself, is odd.
    """
    return sum(floor_sum(size, 2**bit, kernels.MIXER) % 2 << bit for bit in range(32))


@dataclass(slots=True)
class Invariants:
    """Four invariants of what was added: they name two missing numbers, and check any answer.

    Two numbers follow from their sum and their sum of squares. The last invariant takes nothing
    but the same numbers: it multiplies each, and takes the exclusive or of the products, so that
    neither arithmetic nor bits that suit each other suit it. Sums are of offsets, modulo 2**64.
    With m = size - 1 the whole range has the sums m(m+1)/2 and m(m+1)(2m+1)/6.
    """

    promise: Promise
    present: int = 0
    total: int = 0
    squares: int = 0
    mixed: int = 0

    name: ClassVar[str] = "invariants"
    proves: ClassVar[str] = (
        "count, sums and an exclusive or of products agree; an accident would have to fit all four"
    )

    @property
    def state(self) -> int:
        """Four words."""
        return 4 * 8

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range."""
        base = np.uint32(self.promise.base)
        mixed, total, squares, highest = kernels.fold_invariants(values, base)
        require_inside(self.promise, values, int(highest))
        self.present += values.size
        self.total = (self.total + int(total)) % WORD
        self.squares = (self.squares + int(squares)) % WORD
        self.mixed ^= int(mixed)

    def fresh(self) -> Self:
        """Return empty invariants of the same range."""
        return type(self)(self.promise)

    def merge(self, part: Self) -> None:
        """Add those of another part."""
        self.present += part.present
        self.total = (self.total + part.total) % WORD
        self.squares = (self.squares + part.squares) % WORD
        self.mixed ^= part.mixed

    def again(self) -> bool:
        """One pass is enough."""
        return False

    @property
    def lacking(self) -> tuple[int, int, int]:
        """What is missing: sum and sum of squares modulo 2**64, and the exclusive or."""
        size = self.promise.size
        last = size - 1
        total = last * size // 2
        squares = last * size * (2 * last + 1) // 6
        return (
            (total - self.total) % WORD,
            (squares - self.squares) % WORD,
            mixed_below(size) ^ self.mixed,
        )

    def explained(self, offsets: Offsets) -> bool:
        """Say whether exactly these offsets are what is missing, as far as invariants can tell."""
        ordered = np.array(offsets, np.uint64)
        ordered.sort()
        return (
            ordered.size == self.promise.size - self.present
            and bool((ordered < self.promise.size).all())
            and bool((ordered[1:] != ordered[:-1]).all())
            and self._sums(ordered) == self.lacking
        )

    def _sums(self, offsets: NDArray[np.uint64]) -> tuple[int, int, int]:
        mixed, total, squares, _ = kernels.fold_invariants(offsets.astype(np.uint32), np.uint32(0))
        return int(total), int(squares), int(mixed)

    def require(self, offsets: Offsets) -> Missing:
        """Return the numbers of these offsets; raises BrokenPromise when they do not explain it."""
        if not self.explained(offsets):
            missing = self.promise.size - self.present
            raise BrokenPromise(
                f"no {numbers(missing)} can be all that is missing: some are there twice",
                why="count, sums and exclusive or contradict each other",
                fix="the bitmap names the first duplicate: --solver bitmap",
            )
        return named(self.promise, offsets)

    def solve(self) -> Missing:
        """Name up to two missing numbers; raises BrokenPromise, or CannotDecode for more."""
        missing = self.promise.missing(self.present)
        if missing > MOST:
            raise CannotDecode(
                f"{missing:,} numbers are missing, and the invariants name {MOST}",
                fix="leave --solver out",
            )
        total, squares, _ = self.lacking
        if missing < MOST:
            return self.require((total,) * missing)
        # The squares of two offsets below 2**32 add up to less than 2 * 2**64.
        for whole in (squares, squares + WORD):
            square = 2 * whole - total * total
            distance = isqrt(max(square, 0))
            pair = (total - distance) // 2, (total + distance) // 2
            inside = pair[0] >= 0 and pair[1] < self.promise.size
            if distance * distance == square and inside and self.explained(pair):
                return named(self.promise, pair)
        return self.require(())
