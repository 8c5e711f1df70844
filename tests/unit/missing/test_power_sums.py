"""Sums of powers modulo a prime: any bounded number of missing numbers, up to the whole range."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.missing.inputs import Input, feed
from unit.missing.test_invariants import without

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing.kernels import EDGE, PRIME
from perfkit.missing.power_sums import MOST, PowerSums, polynomial, power_sums, range_sums, roots
from perfkit.missing.promise import INT32, UINT32, Promise


def plain_sums(offsets: list[int], count: int) -> list[int]:
    return [
        sum(pow(offset, power, PRIME) for offset in offsets) % PRIME
        for power in range(1, count + 1)
    ]


offsets = st.lists(st.integers(EDGE, PRIME - 1), unique=True, max_size=12)


@given(offsets, st.integers(0, 8))
def test_sums_of_powers_are_those_of_arithmetic(drawn: list[int], count: int) -> None:
    assert plain_sums(drawn, count) == power_sums(drawn, count)


@given(st.integers(1, 400), st.integers(1, 12))
@settings(max_examples=60)
def test_the_sums_of_a_range_have_a_closed_form(size: int, count: int) -> None:
    assert plain_sums(list(range(EDGE, size)), count) == range_sums(size, count)


@pytest.mark.parametrize("start", [2**16, 2**31 + 17, PRIME - 3])
def test_the_closed_form_holds_for_large_ranges(start: int) -> None:
    count = 9
    longer = plain_sums(list(range(start, start + 3)), count)

    together = [(a + b) % PRIME for a, b in zip(range_sums(start, count), longer, strict=True)]

    assert together == range_sums(start + 3, count)


@pytest.mark.parametrize("size", range(PRIME, PRIME + EDGE + 1))
def test_beyond_the_prime_nothing_is_added(size: int) -> None:
    assert range_sums(PRIME, 4) == range_sums(size, 4)


@given(offsets)
@settings(max_examples=60)
def test_numbers_are_the_roots_of_the_polynomial_of_their_sums(drawn: list[int]) -> None:
    assert sorted(drawn) == sorted(roots(polynomial(plain_sums(drawn, len(drawn)))))


def lacking(promise: Promise, missing: list[int]) -> PowerSums:
    """Return the state of a range too large to look at: the sums of the range less the missing."""
    state, gaps = PowerSums(promise), PowerSums(promise)
    gaps.update((np.array(missing, np.int64) + promise.lowest).astype(np.uint32))
    whole = np.array(range_sums(promise.size, state.powers.size), np.uint64)
    state.powers = (whole + np.uint64(PRIME) - gaps.powers) % np.uint64(PRIME)
    state.edges = (1 - gaps.edges).astype(np.int64)
    state.checks = without(promise, *missing)
    return state


@pytest.mark.parametrize("bounds", [INT32, UINT32])
@pytest.mark.parametrize("missing", [0, 1, 2, 30])
def test_numbers_of_the_widest_range_are_named(bounds: tuple[int, int], missing: int) -> None:
    promise = Promise(*bounds, most=40)
    order = random.Random(missing)
    edges = [*range(EDGE + 2), *range(PRIME - 2, 2**32)]
    for _ in range(5):
        gaps = order.sample(edges, min(missing, 3))
        gaps = sorted({*gaps, *order.sample(range(2**32), missing - len(gaps))})

        found = lacking(promise, gaps).solve().tolist()

        assert [promise.lowest + offset for offset in gaps] == found


def test_two_numbers_that_are_congruent_are_told_apart() -> None:
    promise = Promise(*UINT32, most=1)

    for gap in (0, PRIME, 4, PRIME + 4):
        assert lacking(promise, [gap]).solve().tolist() == [gap]


def test_a_number_at_an_edge_that_is_there_twice_is_named() -> None:
    solver = PowerSums(Promise(10, 29, 0, 5))

    with pytest.raises(BrokenPromise, match=r"^12 is there twice$"):
        feed(solver, [np.array([10, 12, 12, *range(13, 30)], np.uint32)])


def test_hundreds_of_numbers_are_named() -> None:
    order = random.Random(3)
    case = Input(-5_000, 10_000, tuple(sorted(order.sample(range(10_000), 700))), order)
    blocks = [block for part in case.parts() for block in part]

    assert case.answer == feed(PowerSums(case.promise(0, 800)), blocks).tolist()


@pytest.mark.parametrize("most", [None, MOST + 1])
def test_the_number_of_the_missing_must_be_bounded(most: int | None) -> None:
    with pytest.raises(CannotRun, match="need to know that at most 4,096"):
        PowerSums(Promise(*UINT32, most=most))
