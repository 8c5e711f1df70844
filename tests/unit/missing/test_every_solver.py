"""Every solver names exactly what is missing, whatever the range, the order and the cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.missing.inputs import Input, feed, inputs, ranges, run, solvers

from perfkit.missing.solver import Stray


@given(inputs())
@settings(max_examples=150)
def test_every_solver_names_exactly_the_missing_numbers(case: Input) -> None:
    parts = case.parts()

    for solver in solvers(case):
        assert case.answer == run(solver, parts, case.order).tolist(), solver.name


@given(inputs(most_missing=2))
@settings(max_examples=100)
def test_every_solver_names_two_one_or_none(case: Input) -> None:
    parts = case.parts()

    for solver in solvers(case):
        assert case.answer == run(solver, parts, case.order).tolist(), solver.name


@given(inputs(most_missing=2))
@settings(max_examples=50)
def test_one_state_says_the_same_as_merged_ones(case: Input) -> None:
    blocks = [block for part in case.parts() for block in part]

    for solver in solvers(case):
        assert case.answer == feed(solver, blocks).tolist(), solver.name
        assert case.size - len(case.missing) == solver.present, solver.name


@given(st.integers(-(2**31), 2**32 - 1))
@settings(max_examples=30)
def test_a_range_of_one_number_has_it_or_not(number: int) -> None:
    for there in (False, True):
        case = Input(number, 1, () if there else (0,))
        values = np.array([number][: len(case.answer) == 0], np.int64).astype(np.uint32)

        for solver in solvers(case):
            assert case.answer == feed(solver, [values]).tolist(), solver.name


@given(inputs(most_missing=2), ranges(), st.data())
@settings(max_examples=50)
def test_a_number_outside_the_range_is_told_with_its_place(
    case: Input, other: tuple[int, int], data: st.DataObject
) -> None:
    stray = data.draw(st.sampled_from([other[0], case.lowest - 1, case.highest + 1]))
    first = -(2**31) if case.lowest < 0 else 0
    assume(first <= stray < first + 2**32 and not case.lowest <= stray <= case.highest)
    values = np.concatenate([block for part in case.parts() for block in part])
    place = data.draw(st.integers(0, values.size))
    block = np.insert(values, place, stray % 2**32).astype(np.uint32)
    # Of int32, 32 bits stand for the number that an int32 would be.
    number = stray - 2**32 if case.lowest < 0 and stray >= 2**31 else stray

    for solver in solvers(case):
        with pytest.raises(Stray, match=f"^{number} is outside the range") as told:
            solver.update(block)
        assert place == told.value.index, solver.name
