"""A bit for each number of the range: the only state that proves that nothing is there twice."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing import kernels
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Missing, Stray, named, signed
from perfkit.units import Unit, show


class Bitmap:
    """A bit for each number of the range, set when the number comes by.

    Raises CannotRun where the bits do not fit `memory` bytes.
    """

    name: ClassVar[str] = "bitmap"
    proves: ClassVar[str] = "everything: each number was seen once, or is named as missing or twice"

    def __init__(self, promise: Promise, memory: int) -> None:
        words = -(-promise.size // 64)
        self.promise = promise
        self.checks = Invariants(promise)
        self._memory = memory
        least = 8 * words + self.checks.state
        if least > memory:
            raise CannotRun(
                f"the bitmap needs {show(least, Unit.BYTES)}, a bit for each of "
                f"{promise.size:,} numbers",
                why=f"that is {show(least - memory, Unit.BYTES)} more than the limit leaves",
                fix="leave --solver out, or --memory=1GiB",
            )
        self.marks = np.zeros(words, np.uint64)

    @property
    def present(self) -> int:
        """How many numbers were added."""
        return self.checks.present

    @property
    def state(self) -> int:
        """The bits, and a count."""
        return self.marks.nbytes + self.checks.state

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range, or there twice."""
        self.checks.update(values)
        twice = kernels.mark(values, np.uint32(self.promise.base), self.marks)
        if twice >= 0:
            raise Stray(f"{signed(self.promise, int(values[twice]))} is there twice", twice)

    def fresh(self) -> Self:
        """Return an empty bitmap of the same range."""
        return type(self)(self.promise, self._memory)

    def merge(self, part: Self) -> None:
        """Add the bits of another part; raises BrokenPromise, naming a number that both have."""
        clash = kernels.unite(self.marks, part.marks)
        if clash >= 0:
            both = int(self.marks[clash] & part.marks[clash])
            offset = clash * 64 + both.bit_length() - 1
            raise BrokenPromise(f"{offset + self.promise.lowest} is there twice")
        self.checks.merge(part.checks)

    def again(self) -> bool:
        """One pass is enough."""
        return False

    def solve(self) -> Missing:
        """Name the missing numbers; raises BrokenPromise when there are not as many as promised."""
        found = np.empty(self.promise.missing(self.checks.present), np.uint32)
        kernels.list_unmarked(self.marks, 0, self.promise.size, found)
        return named(self.promise, found)
