"""One sum, or one exclusive or: they name one missing number, and notice nothing by themselves."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from perfkit.errors import BrokenPromise, CannotDecode
from perfkit.missing import kernels
from perfkit.missing.invariants import WORD, Invariants, require_inside
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Missing, named


def xor_below(size: int) -> int:
    """Return the exclusive or of 0 to `size` - 1: it has a period of four."""
    return (size - 1, 1, size, 0)[(size - 1) % 4]


class Sum:
    """The sum of the range, in closed form, minus the sum of what is there.

    A number that is there twice changes the answer, and the sum cannot tell. So invariants are
    kept beside it, unless the caller says that the promise can be `trusted`.
    """

    name: ClassVar[str] = "sum"
    proves: ClassVar[str] = "nothing by itself: the invariants beside it check the answer"

    def __init__(self, promise: Promise, *, trusted: bool = False) -> None:
        self.promise = promise
        self.trusted = trusted
        self.checks = Invariants(promise)
        self.folded = 0

    @property
    def present(self) -> int:
        """How many numbers were added."""
        return self.checks.present

    @property
    def state(self) -> int:
        """A count and a word, and the invariants."""
        return 2 * 8 + self.checks.state * (not self.trusted)

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range."""
        highest = self._fold(values)
        if self.trusted:
            require_inside(self.promise, values, highest)
            self.checks.present += values.size
        else:
            self.checks.update(values)

    def _fold(self, values: Numbers) -> int:
        total, highest = kernels.fold_sum(values, np.uint32(self.promise.base))
        self.folded = (self.folded + int(total)) % WORD
        return int(highest)

    def fresh(self) -> Self:
        """Return an empty state of the same range."""
        return type(self)(self.promise, trusted=self.trusted)

    def merge(self, part: Self) -> None:
        """Add the sum of another part."""
        self.folded = (self.folded + part.folded) % WORD
        self.checks.merge(part.checks)

    def again(self) -> bool:
        """One pass is enough."""
        return False

    def _whole(self) -> int:
        """Return what the offsets of the whole range come to."""
        return self.promise.size * (self.promise.size - 1) // 2

    def _lacking(self) -> int:
        return (self._whole() - self.folded) % WORD

    def solve(self) -> Missing:
        """Name the one missing number; raises BrokenPromise, or CannotDecode for more."""
        missing = self.promise.missing(self.checks.present)
        if missing > 1:
            raise CannotDecode(
                f"{missing:,} numbers are missing, and the {self.name} names one",
                fix="leave --solver out",
            )
        offsets = [self._lacking()] * missing
        if not self.trusted:
            return self.checks.require(offsets)
        if any(offset >= self.promise.size for offset in offsets):
            raise BrokenPromise(
                "no number of the range explains what is missing: some are there twice",
                fix="the bitmap names the first duplicate: --solver bitmap",
            )
        return named(self.promise, offsets)


class Xor(Sum):
    """The exclusive or of the range, in closed form, and of what is there."""

    name: ClassVar[str] = "xor"

    def _fold(self, values: Numbers) -> int:
        folded, highest = kernels.fold_xor(values, np.uint32(self.promise.base))
        self.folded ^= int(folded)
        return int(highest)

    def merge(self, part: Self) -> None:
        """Add the exclusive or of another part."""
        self.folded ^= part.folded
        self.checks.merge(part.checks)

    def _whole(self) -> int:
        return xor_below(self.promise.size)

    def _lacking(self) -> int:
        return self._whole() ^ self.folded
