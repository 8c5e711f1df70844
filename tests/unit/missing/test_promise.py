"""What is said of a range, and which counts keep it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.missing.inputs import ranges

from perfkit.errors import BrokenPromise, CannotDecode, UsageError
from perfkit.missing.promise import INT32, NAMEABLE, UINT32, Promise


@pytest.mark.parametrize("bounds", [INT32, UINT32, (-1, 2**31 - 1), (0, 0), (2**32 - 1,) * 2])
def test_a_range_of_int32_or_uint32_is_one(bounds: tuple[int, int]) -> None:
    promise = Promise(*bounds)

    assert bounds[1] - bounds[0] + 1 == promise.size
    assert f"{bounds[0]}..{bounds[1]}" == str(promise)


@pytest.mark.parametrize(
    "bounds", [(-1, 2**31), (-(2**31) - 1, 0), (0, 2**32), (2**32, 2**32), (-(2**40), 2**40)]
)
def test_a_range_of_neither_is_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="fits neither int32 nor uint32"):
        Promise(*bounds)


def test_a_range_from_above_to_below_is_turned_round() -> None:
    with pytest.raises(UsageError, match=r"the range 5\.\.-3 is empty") as told:
        Promise(5, -3)
    assert told.value.fix == "--range=-3..5"


@pytest.mark.parametrize("counts", [(-1, 3), (0, 11), (11, None), (4, 3), (-2, -1)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int | None]) -> None:
    with pytest.raises(UsageError, match="missing numbers cannot be"):
        Promise(1, 10, *counts)


@given(ranges(), st.data())
def test_the_missing_are_what_is_not_there(drawn: tuple[int, int], data: st.DataObject) -> None:
    promise = Promise(drawn[0], drawn[0] + drawn[1] - 1)
    present = data.draw(st.integers(0, drawn[1]))

    assert drawn[1] - present == promise.missing(present)
    with pytest.raises(BrokenPromise, match=r"numbers? too many: some are there twice"):
        promise.missing(drawn[1] + 1 + present)


@pytest.mark.parametrize(
    ("counts", "said", "kept"),
    [
        ((0, None), "any number was", range(11)),
        ((3, None), "at least 3 were", range(3, 11)),
        ((0, 4), "at most 4 were", range(5)),
        ((2, 4), "2 to 4 were", range(2, 5)),
        ((1, 1), "1 was", range(1, 2)),
        ((0, 0), "0 were", range(1)),
    ],
)
def test_a_count_is_kept_or_broken(counts: tuple[int, int | None], said: str, kept: range) -> None:
    promise = Promise(1, 10, *counts)

    assert said == promise.promised
    for missing in range(11):
        if missing in kept:
            assert missing == promise.missing(10 - missing)
        else:
            with pytest.raises(BrokenPromise, match=rf"^{missing} .* missing, {said}"):
                promise.missing(10 - missing)


def test_more_than_can_be_named_are_no_gaps() -> None:
    promise = Promise(*UINT32)

    assert promise.missing(promise.size - NAMEABLE) == NAMEABLE
    with pytest.raises(CannotDecode, match="too many to name"):
        promise.missing(promise.size - NAMEABLE - 1)
