"""What every solver is: a state that numbers are added to, and that can be merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import BrokenPromise
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise

Missing: TypeAlias = NDArray[np.int64]
"""The missing numbers, in ascending order."""
Offsets: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
"""Distances of numbers from the first of the range."""


class Solver(Protocol):
    """A state that numbers are added to; any number of passes, each over any parts of the input."""

    name: ClassVar[str]
    proves: ClassVar[str]
    """What an answer of it proves, and what it does not."""

    @property
    def promise(self) -> Promise:
        """What was said of the numbers."""
        ...

    @property
    def present(self) -> int:
        """How many numbers were added."""
        ...

    @property
    def state(self) -> int:
        """Bytes that it holds now, whatever the input's size."""
        ...

    def update(self, values: Numbers) -> None:
        """Add a block of numbers, as 32 bits; raises Stray for one that cannot be right."""
        ...

    def fresh(self) -> Self:
        """Return an empty state for another part of the input in the same pass."""
        ...

    def merge(self, part: Self) -> None:
        """Add the state of another part; raises BrokenPromise where the two exclude each other."""
        ...

    def again(self) -> bool:
        """End a pass over the whole input, and say whether solving takes another."""
        ...

    def solve(self) -> Missing:
        """Return the missing numbers; raises BrokenPromise or CannotDecode, but never guesses."""
        ...


class Stray(BrokenPromise):
    """A number that cannot be right: outside the range, or there twice.

    `index` is its place in the block; who reads the input knows where that is.
    """

    def __init__(self, what: str, index: int, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.index = index

    def __reduce__(self) -> tuple[type[Self], tuple[str, int, str]]:
        """Let it cross processes: an exception is built again from its first argument alone."""
        return type(self), (self.what, self.index, self.fix)


def signed(promise: Promise, value: int) -> int:
    """Return the number that 32 bits stand for in a range."""
    return value - 2**32 if promise.lowest < 0 and value >= 2**31 else value


def named(promise: Promise, offsets: Offsets) -> Missing:
    """Return the numbers of offsets, in ascending order."""
    numbers = np.array(offsets, dtype=np.int64)
    numbers.sort()
    numbers += promise.lowest
    return numbers
