"""Counts of buckets, then marks: what they name, in how many passes, and what they notice."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.missing.inputs import ROOMY, Input, feed, ranges
from unit.missing.test_invariants import without

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.promise import INT32, UINT32, Promise


@pytest.mark.parametrize("bounds", [INT32, UINT32])
@pytest.mark.parametrize("memory", [2**18, ROOMY])
def test_numbers_of_the_widest_range_are_named(bounds: tuple[int, int], memory: int) -> None:
    promise = Promise(*bounds)
    order = random.Random(memory)
    gaps = sorted({0, 1, 2**31, 2**32 - 1, *order.sample(range(2**32), 20)})
    solver = BucketCounts(promise, memory)
    # As if each number had come by: those of whole buckets would only be counted.
    wide = 2**solver.shift
    short = sorted({gap // wide for gap in gaps})
    solver.buckets[:] = wide
    for gap in gaps:
        solver.buckets[gap // wide] -= 1
    solver.checks = without(promise, *gaps)
    there = [
        np.delete(np.arange(wide), [gap % wide for gap in gaps if gap // wide == bucket])
        + bucket * wide
        for bucket in short
    ]

    passes = 1
    while solver.again():
        passes += 1
        for offsets in there:
            solver.update((offsets + promise.lowest).astype(np.uint32))

    assert [promise.lowest + gap for gap in gaps] == solver.solve().tolist()
    assert 1 + solver.rounds(len(short)) == passes


@given(ranges(), st.integers(6, 24))
@settings(max_examples=100)
def test_any_memory_is_enough_or_refused(drawn: tuple[int, int], bits: int) -> None:
    promise = Promise(drawn[0], drawn[0] + drawn[1] - 1)

    refused = 0
    for memory in (2**bits - 1, 2**bits, 2**bits + 40):
        try:
            solver = BucketCounts(promise, memory)
        except CannotRun:
            refused += 1
            continue
        assert solver.again()
        assert solver.state <= memory
        assert solver.opened.size
    assert not refused or bits < 12


@pytest.mark.parametrize("memory", [-1, 0, 7, 2**8])
def test_too_little_memory_is_refused(memory: int) -> None:
    with pytest.raises(CannotRun, match=r"bucket counts need at least .* for 4,294,967,296"):
        BucketCounts(Promise(*UINT32), memory)


def test_much_memory_for_a_small_range_is_not_taken() -> None:
    solver = BucketCounts(Promise(0, 999), 2**40)

    assert solver.again()
    assert solver.state < 2**9


def test_a_bucket_that_holds_more_than_it_can_is_named() -> None:
    case = Input(-100, 1_000, (500, 900))

    with pytest.raises(
        BrokenPromise, match=r"^some numbers from -36 to 27 are there twice$"
    ) as told:
        feed(
            BucketCounts(case.promise(), ROOMY),
            [block for part in case.parts([64]) for block in part],
        )
    assert told.value.why == "there are 65 where 64 exist"


def test_the_last_bucket_may_be_smaller() -> None:
    case = Input(0, 70, (5, 6))
    blocks = [block for part in case.parts([69]) for block in part]

    with pytest.raises(BrokenPromise, match=r"^some numbers from 64 to 69 are there twice$"):
        feed(BucketCounts(case.promise(), ROOMY), blocks)


def test_a_number_twice_in_a_bucket_that_lacks_more_is_named() -> None:
    case = Input(0, 1_000, (5, 6, 7))
    blocks = [block for part in case.parts([8]) for block in part]

    with pytest.raises(BrokenPromise, match=r"^8 is there twice$"):
        feed(BucketCounts(case.promise(), ROOMY), blocks)


def test_a_number_in_two_parts_of_the_second_pass_is_named() -> None:
    case = Input(-500, 1_000, (5, 6, 7))
    numbers = np.concatenate([block for part in case.parts([8]) for block in part])
    solver = BucketCounts(case.promise(), ROOMY)
    solver.update(numbers)
    assert solver.again()
    one, other = solver.fresh(), solver.fresh()
    eight = numbers == np.uint32(8 - 500 + 2**32)
    one.update(numbers[~eight])
    one.update(numbers[eight][:1])
    other.update(numbers[eight][1:])
    solver.merge(one)

    with pytest.raises(BrokenPromise, match=r"^-492 is there twice$"):
        solver.merge(other)
