"""What all solvers share: the names of numbers, and the error that knows a place."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.missing.promise import INT32, UINT32, Promise
from perfkit.missing.solver import Stray, named, signed


@pytest.mark.parametrize("bounds", [INT32, UINT32, (-1, 1), (5, 2**31 + 5)])
@given(data=st.data())
def test_32_bits_stand_for_the_number_that_was_written(
    bounds: tuple[int, int], data: st.DataObject
) -> None:
    promise = Promise(*bounds)
    number = data.draw(st.integers(*bounds))

    assert number == signed(promise, number % 2**32)
    assert (number - promise.lowest) == (number - promise.base) % 2**32
    assert [number] == named(promise, [number - promise.lowest]).tolist()


def test_numbers_are_named_in_ascending_order_and_the_offsets_stay() -> None:
    offsets = np.array([7, 2**32 - 1, 0], np.uint32)

    assert named(Promise(*INT32), offsets).tolist() == [-(2**31), 7 - 2**31, 2**31 - 1]
    assert offsets.tolist() == [7, 2**32 - 1, 0]


def test_the_error_of_another_process_keeps_its_place() -> None:
    stray = pickle.loads(pickle.dumps(Stray("8 is there twice", 41)))

    assert (stray.what, stray.index) == ("8 is there twice", 41)
