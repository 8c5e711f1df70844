"""Count, sums and an exclusive or: what they name, and that nothing else fits them."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.missing.inputs import ranges

from perfkit.errors import BrokenPromise, CannotDecode
from perfkit.missing.invariants import WORD, Invariants, floor_sum, mixed_below
from perfkit.missing.kernels import MIXER
from perfkit.missing.promise import INT32, UINT32, Promise


def whole(promise: Promise) -> Invariants:
    """Return those of a whole range, by the laws of arithmetic and not by looking at it."""
    size, last = promise.size, promise.size - 1
    return Invariants(
        promise,
        present=size,
        total=last * size // 2 % WORD,
        squares=last * size * (2 * last + 1) // 6 % WORD,
        mixed=mixed_below(size),
    )


def mix(offset: int) -> int:
    return offset * MIXER % 2**32


def without(promise: Promise, *offsets: int) -> Invariants:
    state = whole(promise)
    state.present -= len(offsets)
    for offset in offsets:
        state.total = (state.total - offset) % WORD
        state.squares = (state.squares - offset**2) % WORD
        state.mixed ^= mix(offset)
    return state


def test_the_exclusive_or_of_a_mixed_range_has_a_closed_form() -> None:
    folded = 0
    for size in range(1, 3_000):
        folded ^= mix(size - 1)
        assert folded == mixed_below(size)
    # All products of a whole word are all words.
    assert mixed_below(2**32) == 0


@given(st.integers(0, 60), st.integers(1, 90), st.integers(0, 200), st.integers(0, 200))
def test_floors_are_added_up(count: int, divisor: int, factor: int, start: int) -> None:
    expected = sum((factor * i + start) // divisor for i in range(count))

    assert expected == floor_sum(count, divisor, factor, start)


@given(ranges())
@settings(max_examples=50)
def test_the_sums_of_a_range_have_closed_forms(drawn: tuple[int, int]) -> None:
    promise = Promise(drawn[0], drawn[0] + drawn[1] - 1)
    seen = Invariants(promise)

    seen.update((np.arange(promise.size) + promise.lowest).astype(np.uint32))

    assert whole(promise) == seen
    assert seen.lacking == (0, 0, 0)


EDGES = [0, 1, 2, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 3, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("bounds", [INT32, UINT32])
def test_two_numbers_of_the_widest_range_are_named(bounds: tuple[int, int]) -> None:
    promise = Promise(*bounds)
    order = random.Random(2)
    drawn = [tuple(sorted(order.sample(range(2**32), 2))) for _ in range(500)]

    for pair in (*itertools.combinations(EDGES, 2), *drawn):
        answer = without(promise, *pair).solve().tolist()
        assert [promise.lowest + offset for offset in pair] == answer
    for offset in EDGES:
        assert [promise.lowest + offset] == without(promise, offset).solve().tolist()
    assert whole(promise).solve().tolist() == []


def test_three_numbers_cannot_be_named() -> None:
    with pytest.raises(CannotDecode, match="3 numbers are missing, and the invariants name 2"):
        without(Promise(*UINT32), 1, 2, 3).solve()


@given(
    st.sampled_from(["total", "squares", "mixed"]),
    st.sets(st.integers(0, 5), max_size=2),
    st.randoms(),
)
@settings(max_examples=200)
def test_no_change_of_any_invariant_goes_unseen(
    changed: str, missing: set[int], order: random.Random
) -> None:
    state = without(Promise(3, 40), *missing)
    setattr(state, changed, getattr(state, changed) ^ 2 ** order.randrange(5))

    with pytest.raises(BrokenPromise):
        state.solve()


@given(st.sets(st.integers(0, 30), max_size=3), st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=300)
def test_only_the_missing_numbers_explain_what_is_missing(
    missing: set[int], offered: list[int]
) -> None:
    state = without(Promise(0, 30), *missing)

    assert state.explained(sorted(missing))
    assert (set(offered) == missing and len(offered) == len(missing)) == state.explained(offered)


def test_no_number_is_missing_twice() -> None:
    state = without(Promise(0, 30), 5, 5)

    assert not state.explained([5, 5])
    with pytest.raises(BrokenPromise, match="no 2 numbers can be all that is missing"):
        state.solve()
