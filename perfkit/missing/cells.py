"""One pass for any number of missing numbers: cells that each lack a few, and are peeled."""

from __future__ import annotations

import random
from typing import ClassVar, Self

import numpy as np

from perfkit.errors import BrokenPromise, CannotDecode, CannotRun
from perfkit.missing import kernels
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import COUNT_SHIFT, Numbers
from perfkit.missing.promise import Promise, numbers
from perfkit.missing.solver import Missing
from perfkit.units import Unit, show

TABLES, WORD = 3, 8
FEWEST_BITS, MOST_BITS = 8, 20
"""Cells a table, as powers of two: fewer would let counts overflow, more would miss the caches."""
SEED = 1
LOAD = 0.8
"""Missing numbers a cell that peeling still solves nearly always: with three tables it stops at
0.818. Source: Molloy, Cores in random hypergraphs and Boolean formulas, 2005."""


class Cells:
    """Three tables of cells; each number belongs to one cell of each.

    The three places of a number are the upper bits of three bijections of its offset, so the count
    and the sum of a cell that lacks nothing are known in closed form, and a cell that lacks one
    number names it. It is taken out of its other two cells, and so on. Numbers can only be missing,
    so no checksum a cell is needed. After: Goodrich and Mitzenmacher, Invertible Bloom Lookup
    Tables, 2011.

    The tables are as large as `memory` bytes allow. They hold about 0.8 missing numbers a cell of
    all tables. A range that is no power of two is filled up, which costs what so many numbers do.
    """

    name: ClassVar[str] = "cells"
    proves: ClassVar[str] = (
        "every cell is explained, and the invariants agree; an accident would have to fit both"
    )

    def __init__(self, promise: Promise, memory: int, *, seed: int = SEED) -> None:
        self.promise = promise
        self.checks = Invariants(promise)
        self.bits = max((promise.size - 1).bit_length(), FEWEST_BITS + 1)
        cells = (memory - self.checks.state) // (TABLES * WORD)
        cell_bits = min(max(cells, 1).bit_length() - 1, self.bits - 1, MOST_BITS)
        if cell_bits < FEWEST_BITS:
            least = TABLES * WORD * 2**FEWEST_BITS + self.checks.state
            raise CannotRun(
                f"cells need at least {show(least, Unit.BYTES)}",
                why=f"the limit leaves {show(max(memory, 0), Unit.BYTES)}",
                fix="--memory=1MiB",
            )
        draw = random.Random(seed)  # noqa: S311 (a hash, not a secret)
        self._seed = seed
        self.factors = np.array(
            [draw.randrange(1, 2**self.bits, 2) for _ in range(TABLES)], np.uint32
        )
        self.tables = np.zeros((TABLES, 2**cell_bits), np.uint64)

    @property
    def capacity(self) -> int:
        """About how many missing numbers it can name."""
        return int(LOAD * self.tables.size)

    @property
    def present(self) -> int:
        """How many numbers were added."""
        return self.checks.present

    @property
    def state(self) -> int:
        """The tables, and the invariants."""
        return self.tables.nbytes + self.checks.state

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range."""
        self.checks.update(values)
        base = np.uint32(self.promise.base)
        kernels.add_to_cells(values, base, self.tables, self.bits, self.factors)

    def fresh(self) -> Self:
        """Return empty cells of the same shape."""
        return type(self)(self.promise, self.state, seed=self._seed)

    def merge(self, part: Self) -> None:
        """Add the cells of another part."""
        self.checks.merge(part.checks)
        self.tables += part.tables

    def again(self) -> bool:
        """One pass is enough."""
        return False

    def solve(self) -> Missing:
        """Name the missing numbers; raises BrokenPromise, or CannotDecode for too many.

        The tables are used up.
        """
        missing = self.promise.missing(self.checks.present)
        kernels.add_span_to_cells(
            self.promise.size, 2**self.bits, self.tables, self.bits, self.factors
        )
        width = 2**self.bits // self.tables.shape[1]
        whole = ((width << COUNT_SHIFT) + width * (width - 1) // 2) % 2**64
        np.subtract(np.uint64(whole), self.tables, out=self.tables)
        inverses = [pow(int(factor), -1, 2**self.bits) for factor in self.factors]
        found = np.empty(min(missing, self.tables.size), np.uint32)
        named = kernels.peel(
            self.tables, self.bits, self.factors, np.array(inverses, np.uint32), found
        )
        if named < 0:
            raise BrokenPromise(
                f"no {numbers(missing)} can be all that is missing: some are there twice",
                why="a cell lacks one number, and none fits it",
                fix="the bitmap names the first duplicate: --solver bitmap",
            )
        if self.tables.any():
            raise CannotDecode(
                f"the cells cannot name {missing:,} missing numbers",
                why=f"about {self.capacity:,} fit {show(self.state, Unit.BYTES)}; "
                "or numbers are there twice",
                fix="--solver bucket-counts, or more --memory",
            )
        return self.checks.require(self._unmixed(found[:named], inverses[0]))

    def _unmixed(self, mixed: Numbers, inverse: int) -> Numbers:
        """Undo the first bijection: a shift by half the width is its own inverse."""
        half = np.uint32((self.bits + 1) // 2)
        within = np.uint32(2**self.bits - 1)
        mixed ^= mixed >> half
        mixed *= np.uint32(inverse)
        mixed &= within
        mixed ^= mixed >> half
        return mixed
