"""Inputs for the solvers: ranges, what is missing from them, and how they are cut into pieces."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from perfkit.errors import CannotRun
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.folds import Sum, Xor
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import Numbers
from perfkit.missing.power_sums import PowerSums
from perfkit.missing.promise import INT32, UINT32, Promise
from perfkit.missing.solver import Missing, Solver

Part = Sequence[Numbers]
"""The blocks of one part of an input."""
ROOMY = 2**20
FEW = 60


@dataclass(frozen=True)
class Input:
    """Numbers of a range in some order, cut into parts and blocks."""

    lowest: int
    size: int
    missing: tuple[int, ...]
    """Offsets."""
    order: random.Random = field(default_factory=lambda: random.Random(1))
    memory: int = 2**10
    """Of bucket counts: a few rows of marks or many."""

    @property
    def highest(self) -> int:
        return self.lowest + self.size - 1

    @property
    def answer(self) -> list[int]:
        return sorted(self.lowest + offset for offset in self.missing)

    def promise(self, fewest: int = 0, most: int | None = None) -> Promise:
        return Promise(self.lowest, self.highest, fewest, most)

    def parts(self, extra: Sequence[int] = ()) -> list[Part]:
        """Shuffle what is there, and the offsets in `extra`, and cut it into parts and blocks."""
        there = np.delete(np.arange(self.size), np.array(self.missing, np.int64))
        return cut(np.concatenate([there, np.array(extra, np.int64)]), self.lowest, self.order)


def cut(offsets: Sequence[int] | np.ndarray, lowest: int, order: random.Random) -> list[Part]:
    values = (np.array(offsets, np.int64) + lowest).astype(np.uint32)
    np.random.default_rng(order.getrandbits(32)).shuffle(values)
    nothing: list[Part] = [[]]
    parts: list[Part] = [_pieces(piece, order, 5) for piece in _pieces(values, order, 4)]
    return parts + nothing * order.randrange(2)


def _pieces(values: Numbers, order: random.Random, most: int) -> list[Numbers]:
    places = sorted(order.randint(0, values.size) for _ in range(order.randrange(most)))
    return list(np.split(values, places))


@st.composite
def ranges(draw: st.DrawFn, most: int = 30_000) -> tuple[int, int]:
    """Draw the first number and the size of a range, often at an edge of what 32 bits hold."""
    powers = st.sampled_from([2**bits for bits in range(15) if 2**bits < most])
    near = st.builds(lambda power, step: max(1, power + step), powers, st.integers(-1, 1))
    size = draw(st.one_of(st.integers(1, 70), near, st.integers(1, most)))
    edges = [INT32[0], INT32[1] - size + 1, UINT32[0], UINT32[1] - size + 1]
    edges += [-(size // 2), -1, 1, 2**31 - size // 2]
    lowest = draw(st.one_of(st.sampled_from(edges), st.integers(INT32[0], UINT32[1] - size + 1)))
    if lowest < 0 and lowest + size - 1 > INT32[1]:
        lowest = INT32[1] - size + 1
    return lowest, size


@st.composite
def inputs(
    draw: st.DrawFn, most_missing: int = FEW, most: int = 30_000, *, some: bool = False
) -> Input:
    """Draw an input whose numbers are there once or not at all; `some` of them are both."""
    lowest, size = draw(ranges(most).filter(lambda drawn: drawn[1] > some))
    place = st.one_of(st.integers(0, size - 1), st.sampled_from([0, size - 1, size // 2]))
    missing = draw(st.sets(place, min_size=some, max_size=min(most_missing, size - some)))
    order = random.Random(draw(st.integers(0, 2**32 - 1)))
    memory = int(least_memory(size) * draw(st.sampled_from([1, 1.1, 1.5, 3, 50])))
    return Input(lowest, size, tuple(sorted(missing)), order, memory)


def least_memory(size: int) -> int:
    """Return about the least memory that bucket counts take for a range."""
    memory = 64
    while True:
        try:
            BucketCounts(Promise(0, size - 1), memory)
        except CannotRun:
            memory += memory // 16
        else:
            return memory


def solvers(given: Input, most: int | None = None) -> list[Solver]:
    """Return every solver that can name the missing numbers, or so many."""
    missing = len(given.missing) if most is None else most
    open_promise = given.promise()
    made: list[Solver] = [
        PowerSums(given.promise(0, min(missing + given.order.randrange(3), given.size))),
        Cells(open_promise, ROOMY, seed=given.order.randrange(100)),
        BucketCounts(open_promise, given.memory),
        BucketCounts(open_promise, ROOMY),
        Bitmap(open_promise, ROOMY),
    ]
    if missing <= 2:
        made.append(Invariants(open_promise))
    if missing <= 1:
        made += [Sum(open_promise), Xor(open_promise)]
        made += [Sum(open_promise, trusted=True), Xor(open_promise, trusted=True)]
    return made


def feed(solver: Solver, blocks: Part) -> Missing:
    """Solve, with all blocks added to one state."""
    while True:
        add(solver, blocks)
        if not solver.again():
            return solver.solve()


def run(solver: Solver, parts: Sequence[Part], order: random.Random) -> Missing:
    """Solve, with the parts added to states of their own that are merged in any order.

    All states are pickled, as if they came from another process.
    """
    while True:
        states = [add(solver.fresh(), part) for part in parts]
        while len(states) > 1:
            order.shuffle(states)
            states[0].merge(sent(states.pop()))
        for state in states:
            solver.merge(sent(state))
        solver = sent(solver)
        if not solver.again():
            return solver.solve()


def add(solver: Solver, blocks: Part) -> Solver:
    for block in blocks:
        solver.update(block)
    return solver


def sent(solver: Solver) -> Solver:
    again = pickle.loads(pickle.dumps(solver))
    assert isinstance(again, type(solver))
    return again
