"""Count the numbers in each bucket, then look only into the buckets that lack some."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing import kernels
from perfkit.missing.invariants import Invariants, require_inside
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Missing, Stray, signed
from perfkit.units import Unit, show

COUNTER = 4
MOST_BITS = 17
"""Buckets, as a power of two: their counters then stay in the nearer caches."""
SMALLEST = 6
"""A bucket is at least a word of marks wide, as a power of two."""


class BucketCounts:
    """Two passes: counts of buckets, then marks for each number of the buckets that fall short.

    Half of `memory` bytes is for the counters, the rest for the marks. Where the marks of all
    short buckets do not fit, there are further passes. After: Bentley, Programming Pearls, 1986.
    """

    name: ClassVar[str] = "bucket-counts"
    proves: ClassVar[str] = (
        "each missing number was looked for; the invariants check that nothing is there twice"
    )

    def __init__(self, promise: Promise, memory: int) -> None:
        self.promise = promise
        self.checks = Invariants(promise)
        bits = (promise.size - 1).bit_length()
        affordable = (memory // 2 // COUNTER).bit_length() - 1
        self.shift = max(bits - max(min(affordable, MOST_BITS), 0), SMALLEST)
        # In the first pass what each bucket holds; then 0, PENDING, or its row of marks plus one.
        self.buckets = np.zeros(-(-promise.size >> self.shift), np.uint32)
        self._words = 2 ** (self.shift - SMALLEST)
        row = 8 * self._words + COUNTER
        rows: int = (memory - self.buckets.nbytes - self.checks.state) // row
        self._rows: int = min(rows, self.buckets.size)
        self._memory = memory
        if self._rows < 1:
            least = self.buckets.nbytes + self.checks.state + row
            raise CannotRun(
                f"bucket counts need at least {show(least, Unit.BYTES)} "
                f"for {promise.size:,} numbers",
                why=f"the limit leaves {show(max(memory, 0), Unit.BYTES)}",
                fix="--memory=1MiB",
            )
        self.marks = np.zeros((0, self._words), np.uint64)
        self.opened = np.zeros(0, np.uint32)
        self._found = np.zeros(0, np.uint32)
        self._named = 0

    @property
    def present(self) -> int:
        """How many numbers were added."""
        return self.checks.present

    @property
    def state(self) -> int:
        """The buckets, the marks and which buckets they belong to."""
        return self.buckets.nbytes + self.marks.nbytes + self.opened.nbytes + self.checks.state

    @property
    def marking(self) -> bool:
        """Whether the first pass is over."""
        return bool(self.opened.size)

    def rounds(self, missing: int) -> int:
        """Return how many passes follow the first, at the most, when so many are missing."""
        return -(-min(missing, int(self.buckets.size)) // self._rows)

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range, or there twice."""
        base, shift = np.uint32(self.promise.base), np.uint32(self.shift)
        if not self.marking:
            self.checks.update(values)
            kernels.count_buckets(values, base, shift, self.buckets)
            return
        # Not what the first pass saw, perhaps: a bucket that does not exist is no place.
        _, highest = kernels.fold_xor(values, base)
        require_inside(self.promise, values, int(highest))
        twice = kernels.mark_buckets(values, base, shift, self.buckets, self.marks)
        if twice >= 0:
            raise Stray(f"{signed(self.promise, int(values[twice]))} is there twice", twice)

    def fresh(self) -> Self:
        """Return an empty state of the same pass."""
        part = type(self)(self.promise, self._memory)
        if self.marking:
            part.buckets, part.opened = self.buckets, self.opened
            part.marks = np.zeros_like(self.marks)
        return part

    def merge(self, part: Self) -> None:
        """Add the counts of another part, or its marks; raises BrokenPromise for a number twice."""
        if not self.marking:
            self.checks.merge(part.checks)
            self.buckets += part.buckets
            return
        marks, others = self.marks.reshape(-1), part.marks.reshape(-1)
        clash = kernels.unite(marks, others)
        if clash >= 0:
            row, word = divmod(clash, self._words)
            bit = int(marks[clash] & others[clash]).bit_length() - 1
            offset = (int(self.opened[row]) << self.shift) + word * 64 + bit
            raise BrokenPromise(f"{offset + self.promise.lowest} is there twice")

    def again(self) -> bool:
        """Open the next buckets that fall short; false when all have been looked into."""
        wide = 2**self.shift
        if self.marking:
            self._collect(wide)
        else:
            missing = self.promise.missing(self.checks.present)
            self._require_room(wide)
            self._found = np.empty(missing, np.uint32)
        # Those of the last pass go first: both together may be more than the memory.
        self._open(0)
        self._open(self._rows)
        return self.marking

    def _open(self, rows: int) -> None:
        """Give rows of marks to so many buckets that have not been looked into."""
        opened = np.empty(rows, np.uint32)
        self.opened = opened[: kernels.open_buckets(self.buckets, opened)]
        self.marks = np.zeros((self.opened.size, self._words), np.uint64)

    def _require_room(self, wide: int) -> None:
        """Mark the buckets that fall short; raises BrokenPromise for one with too many numbers."""
        last = self.promise.size - (self.buckets.size - 1) * wide
        over = kernels.mark_short(self.buckets, wide, last)
        if over < 0:
            return
        first, room = over * wide, last if over == self.buckets.size - 1 else wide
        raise BrokenPromise(
            f"some numbers from {first + self.promise.lowest} "
            f"to {first + room - 1 + self.promise.lowest} are there twice",
            why=f"there are {int(self.buckets[over]):,} where {room:,} exist",
            fix="the bitmap names the first duplicate: --solver bitmap",
        )

    def _collect(self, wide: int) -> None:
        """List what is not marked in the open buckets."""
        left = self._found[self._named :]
        listed = kernels.list_open(self.marks, self.opened, wide, self.promise.size, left)
        if listed > left.size:
            raise BrokenPromise(
                "more numbers are missing than the count says: some are there twice",
                fix="the bitmap names the first duplicate: --solver bitmap",
            )
        self._named += listed

    def solve(self) -> Missing:
        """Name the missing numbers; raises BrokenPromise."""
        return self.checks.require(self._found[: self._named])
