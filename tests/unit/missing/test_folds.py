"""One sum or one exclusive or: a number of the widest range is named, and states are small."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from unit.missing.test_invariants import EDGES, whole, without

from perfkit.errors import BrokenPromise, CannotDecode
from perfkit.missing.folds import Sum, Xor, xor_below
from perfkit.missing.promise import INT32, UINT32, Promise

FOLDS = pytest.mark.parametrize("fold", [Sum, Xor])


def lacking(fold: type[Sum], promise: Promise, *offsets: int, trusted: bool) -> Sum:
    """Return the state of a whole range but a few numbers, by arithmetic."""
    state = fold(promise, trusted=trusted)
    state.checks = without(promise, *offsets)
    state.folded = state.checks.total if fold is Sum else xor_below(promise.size)
    for offset in offsets if fold is Xor else ():
        state.folded ^= offset
    return state


def test_the_exclusive_or_of_a_range_has_a_closed_form() -> None:
    folded = 0
    for size in range(1, 1_000):
        folded ^= size - 1
        assert folded == xor_below(size)


@FOLDS
@pytest.mark.parametrize("bounds", [INT32, UINT32])
def test_each_number_of_the_widest_range_is_named(fold: type[Sum], bounds: tuple[int, int]) -> None:
    promise = Promise(*bounds)

    for trusted, offset in itertools.product((False, True), EDGES):
        state = lacking(fold, promise, offset, trusted=trusted)
        assert [promise.lowest + offset] == state.solve().tolist()


@FOLDS
@pytest.mark.parametrize("trusted", [False, True])
def test_none_and_two_are_told_from_one(fold: type[Sum], *, trusted: bool) -> None:
    promise = Promise(*UINT32)

    assert lacking(fold, promise, trusted=trusted).solve().tolist() == []
    with pytest.raises(CannotDecode, match=r"2 numbers are missing, and the .* names one"):
        lacking(fold, promise, 1, 2, trusted=trusted).solve()


def test_the_sum_of_every_int32_is_the_lowest() -> None:
    promise = Promise(*INT32)

    # The story's sum, from that of the offsets.
    assert whole(promise).total + 2**32 * promise.lowest % 2**64 == -(2**31) % 2**64


@FOLDS
def test_trust_keeps_two_words_and_doubt_six(fold: type[Sum]) -> None:
    promise = Promise(0, 9)

    assert fold(promise, trusted=True).state == 2 * 8
    assert fold(promise).state == 6 * 8
    assert fold(promise, trusted=True).fresh().trusted


@FOLDS
def test_even_trust_sees_a_number_outside_the_range(fold: type[Sum]) -> None:
    with pytest.raises(BrokenPromise, match=r"^10 is outside the range 0..9$"):
        fold(Promise(0, 9), trusted=True).update(np.array([3, 10, 11], np.uint32))
