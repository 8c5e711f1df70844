"""Cells that each lack a few numbers: what they hold, what they name, and when they give up."""

from __future__ import annotations

import random

import numpy as np
import pytest
from unit.missing.inputs import ROOMY, Input, feed
from unit.missing.test_invariants import without

from perfkit.errors import BrokenPromise, CannotDecode, CannotRun
from perfkit.missing.cells import Cells
from perfkit.missing.kernels import COUNT_SHIFT, peel
from perfkit.missing.promise import INT32, UINT32, Promise

LITTLE = 3 * 8 * 2**8 + 4 * 8
"""Bytes of three tables of 256 cells, and of the invariants."""


def lacking(promise: Promise, missing: list[int], memory: int) -> Cells:
    """Return the state of all 2**32 numbers but a few, which nobody need look at one by one."""
    state, gaps = Cells(promise, memory), Cells(promise, memory)
    gaps.update((np.array(missing, np.int64) + promise.lowest).astype(np.uint32))
    width = 2**32 // state.tables.shape[1]
    whole = ((width << COUNT_SHIFT) + width * (width - 1) // 2) % 2**64
    state.tables = np.uint64(whole) - gaps.tables
    state.checks = without(promise, *missing)
    return state


@pytest.mark.parametrize("bounds", [INT32, UINT32])
@pytest.mark.parametrize("memory", [LITTLE, 2**15, ROOMY])
def test_numbers_of_the_widest_range_are_named(bounds: tuple[int, int], memory: int) -> None:
    promise = Promise(*bounds)
    order = random.Random(memory)
    for missing in (0, 1, 3, Cells(promise, memory).capacity * 3 // 4):
        gaps = sorted(
            {0, 2**32 - 1, *order.sample(range(2**32), missing)} if missing > 2 else range(missing)
        )

        found = lacking(promise, gaps, memory).solve()

        assert [promise.lowest + offset for offset in gaps] == found.tolist()


def test_a_whole_cell_of_the_widest_range_adds_up() -> None:
    cells = Cells(Promise(*UINT32), ROOMY)
    width = 2**32 // cells.tables.shape[1]
    # The offsets of the first cell of the first table: its mixing undone.
    mixed = np.arange(width, dtype=np.uint32)
    inverse = pow(int(cells.factors[0]), -1, 2**32)
    offsets = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(inverse)
    offsets ^= offsets >> np.uint32(16)

    cells.update(offsets)

    assert int(cells.tables[0, 0]) == (width << COUNT_SHIFT) + width * (width - 1) // 2
    assert not cells.tables[0, 1:].any()


def test_about_four_fifths_of_the_cells_can_be_named_and_no_more() -> None:
    named = {}
    for load in (0.75, 0.78, 0.86, 0.95):
        order = random.Random(7)
        count = int(load * 3 * 2**12)
        case = Input(0, 2**16, tuple(sorted(order.sample(range(2**16), count))), order)
        cells = Cells(case.promise(), 3 * 8 * 2**12 + 32)
        blocks = [block for part in case.parts() for block in part]
        try:
            named[load] = feed(cells, blocks).tolist() == case.answer
        except CannotDecode:
            named[load] = False

    assert named == {0.75: True, 0.78: True, 0.86: False, 0.95: False}
    assert int(0.8 * 3 * 2**12) == cells.capacity


def test_another_seed_draws_other_cells() -> None:
    promise = Promise(*UINT32)

    assert Cells(promise, ROOMY).factors.tolist() == Cells(promise, ROOMY).factors.tolist()
    assert Cells(promise, ROOMY).factors.tolist() != Cells(promise, ROOMY, seed=2).factors.tolist()
    assert all(factor % 2 for factor in Cells(promise, ROOMY, seed=2).factors.tolist())


def test_a_fresh_state_has_the_same_cells() -> None:
    cells = Cells(Promise(*UINT32), 2**17, seed=5)

    assert cells.factors.tolist() == cells.fresh().factors.tolist()
    assert cells.tables.shape == cells.fresh().tables.shape
    assert not cells.fresh().tables.any()


@pytest.mark.parametrize("memory", [LITTLE, 2**15, 10**6, ROOMY, 2**30])
@pytest.mark.parametrize("size", [1, 300, 2**20, 2**32])
def test_the_tables_fit_the_memory(memory: int, size: int) -> None:
    assert Cells(Promise(0, size - 1), memory).state <= memory


@pytest.mark.parametrize("memory", [-5, 0, LITTLE - 1])
def test_too_little_memory_is_refused(memory: int) -> None:
    with pytest.raises(CannotRun, match=r"cells need at least 6\.03 KiB"):
        Cells(Promise(*UINT32), memory)


def test_a_cell_that_nothing_explains_is_a_broken_promise() -> None:
    case = Input(0, 1_000, (10, 20))
    blocks = [block for part in case.parts(extra=[30]) for block in part]

    with pytest.raises(BrokenPromise, match="no 1 number can be all that is missing"):
        feed(Cells(case.promise(), ROOMY), blocks)


def test_a_cell_that_lacks_more_than_any_of_its_numbers_is_explained_by_none() -> None:
    cells = Cells(Promise(0, 1_023), ROOMY)
    inverses = [pow(int(factor), -1, 2**cells.bits) for factor in cells.factors]
    # Each cell belongs to two numbers, of which the larger adds one.
    cells.tables[0, 3] = (1 << COUNT_SHIFT) + 2

    named = peel(
        cells.tables,
        cells.bits,
        cells.factors,
        np.array(inverses, np.uint32),
        np.empty(9, np.uint32),
    )

    assert named == -1
