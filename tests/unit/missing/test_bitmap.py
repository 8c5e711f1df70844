"""A bit for each number: what is there twice is always named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.missing.inputs import ROOMY, Input, add, inputs

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.promise import UINT32, Promise
from perfkit.missing.solver import Stray


@given(
    inputs(most_missing=5, most=3_000).filter(lambda case: case.size > len(case.missing)), st.data()
)
@settings(max_examples=60)
def test_the_first_number_that_comes_a_second_time_is_named(
    case: Input, data: st.DataObject
) -> None:
    values = np.concatenate([block for part in case.parts() for block in part])
    first = data.draw(st.integers(0, values.size - 1))
    second = data.draw(st.integers(first + 1, values.size))
    number = int(values[first]) - (2**32 if case.lowest < 0 and values[first] >= 2**31 else 0)
    block = np.insert(values, second, values[first])
    # Another one that comes later.
    block = np.append(block, values[-1])

    with pytest.raises(Stray, match=f"^{number} is there twice$") as told:
        Bitmap(case.promise(), ROOMY).update(block)
    assert second == told.value.index


@given(inputs(most_missing=5, most=3_000).filter(lambda case: case.size > len(case.missing)))
@settings(max_examples=60)
def test_a_number_that_two_parts_have_is_named(case: Input) -> None:
    values = np.concatenate([block for part in case.parts() for block in part])
    number = int(values[0]) - (2**32 if case.lowest < 0 and values[0] >= 2**31 else 0)
    one, other = (Bitmap(case.promise(), ROOMY) for _ in range(2))

    with pytest.raises(BrokenPromise, match=f"^{number} is there twice$"):
        add(one, [values]).merge(add(other, [values[:1]]))


def test_the_bits_must_fit_the_memory() -> None:
    with pytest.raises(CannotRun, match="the bitmap needs 512 MiB"):
        Bitmap(Promise(*UINT32), 2**29)
    assert Bitmap(Promise(0, 999), 16 * 8 + 4 * 8).state == 16 * 8 + 4 * 8
    with pytest.raises(CannotRun):
        Bitmap(Promise(0, 999), 16 * 8 + 4 * 8 - 1)
