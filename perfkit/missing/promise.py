"""What the caller says of the numbers in a file: the range they fill, and how many are missing."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit.errors import BrokenPromise, CannotDecode, UsageError

INT32 = (-(2**31), 2**31 - 1)
UINT32 = (0, 2**32 - 1)
NAMED = {"int32": INT32, "uint32": UINT32}
"""Ranges that have a name."""
NAMEABLE = 2**24
"""More missing numbers are no gaps but a mistaken range."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Every integer from `lowest` to `highest` is there once, except `fewest` to `most` of them.

    `most` is None where nobody knows. The range lies within that of int32 or of uint32. Raises
    UsageError for one that does not, and for counts that contradict each other.
    """

    lowest: int
    highest: int
    fewest: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        """Refuse a promise that nothing can keep."""
        low, high = (str(bound) for bound in (self.lowest, self.highest))
        if self.lowest > self.highest:
            raise UsageError(
                f"the range {low}..{high} is empty",
                why="the first number is above the last",
                fix=f"--range={high}..{low}",
            )
        kinds = NAMED.values()
        if not any(kind[0] <= self.lowest and self.highest <= kind[1] for kind in kinds):
            raise UsageError(
                f"the range {low}..{high} fits neither int32 nor uint32",
                why="int32 is {}..{}, uint32 is {}..{}".format(*INT32, *UINT32),
                fix="--range=int32",
            )
        most = self.size if self.most is None else self.most
        if not 0 <= self.fewest <= most <= self.size:
            raise UsageError(
                f"at least {self.fewest:,} and at most {most:,} missing numbers cannot be",
                why=f"the range {low}..{high} holds {self.size:,}",
                fix="--k=1",
            )

    @property
    def size(self) -> int:
        """How many numbers the range holds, at most 2**32."""
        return self.highest - self.lowest + 1

    @property
    def base(self) -> int:
        """The first number as 32 bits: what is subtracted from a number to get its offset."""
        return self.lowest % 2**32

    def missing(self, present: int) -> int:
        """Return how many are missing when so many are there.

        Raises BrokenPromise where that cannot be, and CannotDecode for too many to name.
        """
        missing = self.size - present
        if missing < 0:
            raise BrokenPromise(
                f"{numbers(-missing)} too many: some are there twice",
                why=f"there are {present:,}, and {self} holds {self.size:,}",
            )
        if missing < self.fewest or (self.most is not None and missing > self.most):
            raise BrokenPromise(
                f"{numbers(missing)} {are(missing)} missing, {self.promised} promised",
                why=f"there are {present:,}, and {self} holds {self.size:,}",
                fix="leave --k out, or correct --range",
            )
        if missing > NAMEABLE:
            raise CannotDecode(
                f"{missing:,} of {self.size:,} numbers are missing: too many to name",
                why=f"at most {NAMEABLE:,} are named",
                fix="is that the range of the file? --range=FIRST..LAST",
            )
        return missing

    @property
    def promised(self) -> str:
        """`2 were`, `at most 8 were`, `1 to 8 were`, or `any number was`."""
        if self.most is None:
            return f"at least {self.fewest:,} were" if self.fewest else "any number was"
        if self.fewest == self.most:
            return f"{self.most:,} {'was' if self.most == 1 else 'were'}"
        if self.fewest == 0:
            return f"at most {self.most:,} were"
        return f"{self.fewest:,} to {self.most:,} were"

    def __str__(self) -> str:
        """`-5..100`."""
        return f"{self.lowest}..{self.highest}"


def numbers(count: int) -> str:
    """`1 number`, `2 numbers`."""
    return f"{count:,} number{'' if count == 1 else 's'}"


def are(count: int) -> str:
    """`is` or `are`."""
    return "is" if count == 1 else "are"
