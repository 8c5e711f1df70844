"""A broken promise is found: an answer is exactly right, or there is none."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.missing.inputs import ROOMY, Input, feed, inputs, run, solvers

from perfkit.errors import BrokenPromise, CannotDecode
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.folds import Sum, Xor
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import MIXER
from perfkit.missing.power_sums import MOST, PowerSums
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Missing, Solver

ENOUGH = 1_000
Offsets: TypeAlias = tuple[int, ...]


def near(case: Input, place: int, radius: int) -> list[int]:
    """Return the numbers that are there, the closest to a place first, within a radius."""
    around = range(max(0, place - radius), min(case.size, place + radius + 1))
    there = [offset for offset in around if offset not in case.missing]
    return sorted(there, key=lambda offset: abs(offset - place))


def anywhere(case: Input) -> Offsets:
    """As many duplicates as gaps, or fewer: the count promises fewer gaps than there are."""
    there = near(case, 0, case.size)
    count = case.order.randint(1, max(1, len(case.missing)))
    return tuple(case.order.choices(there, k=count))


def beside_gaps(case: Input) -> Offsets:
    """A duplicate right beside each gap."""
    beside = [near(case, place, 1)[:1] for place in case.missing]
    return tuple(itertools.chain(*beside)) or anywhere(case)


def in_the_same_bucket(case: Input) -> Offsets:
    """A duplicate within 64 numbers of the gap that it hides."""
    gaps = case.missing[: case.order.randint(1, 4)]
    choices = [near(case, place, 63) or near(case, 0, case.size) for place in gaps]
    return tuple(case.order.choice(choice) for choice in choices)


def surplus(case: Input) -> Offsets:
    """More numbers than the range has."""
    there = near(case, 0, case.size)
    count = len(case.missing) + case.order.randint(1, 3)
    return tuple(case.order.choices(there, k=count))


def many_times(case: Input) -> Offsets:
    """One number three times or more."""
    return (case.order.choice(near(case, 0, case.size)),) * case.order.randint(2, 5)


def what_xor_cannot_see(case: Input) -> Offsets:
    """The exclusive or of two gaps, once more; and two duplicates that cancel each other."""
    there = near(case, 0, case.size)
    pairs = itertools.combinations(case.missing, 2)
    blind = [a ^ b for a, b in pairs if a ^ b in set(there)]
    return (case.order.choice(blind),) if blind else (case.order.choice(there),) * 2


def what_the_sum_cannot_see(case: Input) -> Offsets:
    """Duplicates that add up to what two gaps add up to."""
    there = set(near(case, 0, case.size))
    for (a, b), step in itertools.product(itertools.combinations(case.missing, 2), range(1, 9)):
        if {a + step, b - step} <= there:
            return (a + step, b - step)
    return anywhere(case)


KINDS = (
    anywhere,
    beside_gaps,
    in_the_same_bucket,
    surplus,
    many_times,
    what_xor_cannot_see,
    what_the_sum_cannot_see,
)


LITTLE = 24 * 2**8 + 32
"""Bytes of the smallest cells."""
NO_ANSWER = {"BrokenPromise", "Stray", "CannotDecode"}


def checking(case: Input, most: int) -> list[Solver]:
    """Return every solver that checks its answer, believing that so many are missing."""
    every = [*solvers(case, most), Cells(case.promise(), LITTLE)]
    return [solver for solver in every if not getattr(solver, "trusted", False)]


def outcome(solve: Callable[[], Missing]) -> str:
    try:
        answer = solve()
    except (BrokenPromise, CannotDecode) as error:
        return type(error).__name__
    return f"answered {answer.tolist()}"


def clustered(case: Input) -> Input:
    """Put the gaps into a window of 16 numbers, where sums suit each other most easily."""
    first = case.order.randrange(max(1, case.size - 16))
    window = range(first, min(first + 16, case.size))
    count = case.order.randint(1, max(1, len(window) // 2))
    return replace(case, missing=tuple(sorted(case.order.sample(window, count))))


def strided(case: Input) -> Input:
    """Put the gaps at multiples of a power of two, where arithmetic modulo one forgets most."""
    places = range(0, case.size, 2 ** case.order.randrange(case.size.bit_length()))
    count = case.order.randint(1, min(12, max(1, len(places) // 2)))
    return replace(case, missing=tuple(sorted(case.order.sample(places, count))))


WHERE: tuple[Callable[[Input], Input], ...] = (lambda case: case, clustered, strided)
BROKEN = inputs(most_missing=12, most=2_000, some=True)


def test_no_solver_answers_where_numbers_are_there_twice() -> None:
    inputs_seen, outcomes = Counter[str](), Counter[str]()
    wrong = []

    @given(BROKEN, st.sampled_from(WHERE), st.sampled_from(KINDS))
    @settings(max_examples=ENOUGH + 500, database=None)
    def ask(
        drawn: Input, place: Callable[[Input], Input], kind: Callable[[Input], Offsets]
    ) -> None:
        case = place(drawn)
        extra = kind(case)
        parts = case.parts(extra)
        inputs_seen[kind.__name__] += 1
        for solver in checking(case, max(0, len(case.missing) - len(extra))):
            said = outcome(partial(run, solver, parts, case.order))
            outcomes[said] += 1
            if said not in NO_ANSWER:
                wrong.append((solver.name, case, extra, said))

    ask()

    assert wrong == []
    assert inputs_seen.total() >= ENOUGH
    assert all(inputs_seen[kind.__name__] > ENOUGH / 50 for kind in KINDS)
    assert set(outcomes) <= NO_ANSWER


def test_all_inputs_of_narrow_ranges() -> None:
    """Every way in which up to seven numbers can be there up to three times."""
    answered = []
    for size in range(2, 8):
        for counts in itertools.product(range(4), repeat=size):
            numbers = np.repeat(np.arange(size), counts).astype(np.uint32)
            if not 0 < numbers.size <= size or max(counts) < 2 or size - numbers.size > 2:
                continue
            said = outcome(partial(feed, Invariants(Promise(0, size - 1)), [numbers]))
            if said not in NO_ANSWER:
                answered.append((size, counts, said))

    assert answered == []


@pytest.mark.parametrize(
    ("size", "missing", "extra"),
    [
        # Sums of cubes forget multiples of 2**22.
        (2**26, (0, 6 * 2**22, 9 * 2**22), (2**22,)),
        # Equal counts, sums, sums of squares and of cubes, and equal exclusive ors.
        (8, (0, 3, 4, 7), (1, 1, 6, 6)),
        (64, (16, 19, 21, 22, 25, 26, 28, 31), (17, 18, 20, 23, 24, 27, 29, 30)),
    ],
)
def test_what_suits_powers_and_bits_does_not_suit_products(
    size: int, missing: Offsets, extra: Offsets
) -> None:
    state = Invariants(Promise(0, size - 1))
    there = np.delete(np.arange(size, dtype=np.uint32), missing)

    state.update(there)
    state.update(np.array(extra, np.uint32))

    with pytest.raises(BrokenPromise):
        state.solve()


@given(inputs(most_missing=12, most=2_000), st.data())
@settings(max_examples=100)
def test_no_solver_answers_where_more_or_fewer_are_missing_than_promised(
    case: Input, data: st.DataObject
) -> None:
    missing = len(case.missing)
    fewest, most = data.draw(
        st.tuples(st.integers(0, case.size), st.integers(0, case.size))
        .map(sorted)
        .filter(lambda bounds: not bounds[0] <= missing <= bounds[1])
    )
    parts = case.parts()
    promise = case.promise(fewest, most)

    for solver in every_solver(promise):
        with pytest.raises(BrokenPromise, match=r"missing, .* promised|too many"):
            run(solver, parts, case.order)


def every_solver(promise: Promise) -> list[Solver]:
    made: list[Solver] = [
        Sum(promise),
        Xor(promise),
        Invariants(promise),
        Cells(promise, ROOMY),
        BucketCounts(promise, ROOMY),
        Bitmap(promise, ROOMY),
    ]
    if promise.most is not None and promise.most <= MOST:
        made.append(PowerSums(promise))
    return made


@given(inputs(most_missing=200, most=2_000))
@settings(max_examples=100)
def test_a_solver_that_is_too_small_says_so(case: Input) -> None:
    missing = len(case.missing)
    parts = case.parts()
    small = {Sum: 1, Xor: 1, Invariants: 2}

    for solver in every_solver(case.promise()):
        said = outcome(partial(run, solver, parts, case.order))
        if missing <= small.get(type(solver), case.size):
            assert f"answered {case.answer}" == said, solver.name
        else:
            assert said == "CannotDecode", solver.name


@given(st.integers(0, 2_000), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_cells_that_are_too_few_never_guess(missing: int, seed: int) -> None:
    order = random.Random(seed)
    size = 2**14 - order.randrange(100)
    case = Input(0, size, tuple(sorted(order.sample(range(size), missing))), order)
    cells = Cells(case.promise(), LITTLE)

    said = outcome(partial(run, cells, case.parts(), order))

    right = f"answered {case.answer}"
    # A cell names one number at the most.
    assert said in ({"CannotDecode"} if missing > cells.tables.size else {right, "CannotDecode"})
    assert missing > 1 or said == right


def test_a_trusted_sum_or_xor_answers_wrongly_where_a_checked_one_does_not() -> None:
    case = Input(0, 8, (1, 2))
    blocks = [block for part in case.parts(extra=[3]) for block in part]
    promise = case.promise(1, 1)

    # 1 + 2 - 3 and 1 ^ 2 ^ 3 are both 0, which is not missing.
    assert feed(Sum(promise, trusted=True), blocks).tolist() == [0]
    assert feed(Xor(promise, trusted=True), blocks).tolist() == [0]
    for checked in (Sum(promise), Xor(promise)):
        with pytest.raises(BrokenPromise, match="some are there twice"):
            feed(checked, blocks)


@given(inputs(most_missing=2, most=100, some=True), st.data())
@settings(max_examples=100)
def test_a_trusted_answer_lies_within_the_range(case: Input, data: st.DataObject) -> None:
    extra = data.draw(st.sampled_from(near(case, 0, case.size)))
    parts = case.parts(extra=[extra] * (len(case.missing) - 1))

    for solver in (Sum(case.promise(), trusted=True), Xor(case.promise(), trusted=True)):
        said = outcome(partial(run, solver, parts, case.order))
        named = [f"answered [{number}]" for number in range(case.lowest, case.highest + 1)]
        assert said in (*named, "BrokenPromise"), solver.name


# Equally many numbers with equal sums and sums of squares: Prouhet, 1851.
GAPS, TWICE = (0, 3, 5, 6), (1, 2, 4, 7)


def constructed() -> tuple[Offsets, Offsets]:
    """Return gaps and duplicates that fit all invariants: a sum of copies that cancel each other.

    Each copy of the two sets has 32 bits of exclusive or; of 33 copies some must cancel.
    """
    rows: dict[int, tuple[int, int]] = {}
    for copy in range(33):
        bits, copies = 0, 1 << copy
        for offset in (*GAPS, *TWICE):
            bits ^= (8 * copy + offset) * MIXER % 2**32
        while bits and bits.bit_length() in rows:
            other, others = rows[bits.bit_length()]
            bits, copies = bits ^ other, copies ^ others
        if not bits:
            starts = [8 * one for one in range(33) if copies >> one & 1]
            gaps = tuple(start + gap for start in starts for gap in GAPS)
            return gaps, tuple(start + twice for start in starts for twice in TWICE)
        rows[bits.bit_length()] = bits, copies
    raise AssertionError


def test_only_a_proof_of_distinctness_withstands_who_chooses_the_numbers() -> None:
    """What the sentences in `proves` promise, and no more."""
    gaps, twice = constructed()
    case = Input(-50, 300, gaps)
    blocks = [block for part in case.parts(twice) for block in part]
    fooled = (Sum, Invariants, BucketCounts)

    for solver in every_solver(case.promise(0, 4)):
        said = outcome(partial(feed, solver, blocks))
        assert said in ({"answered []"} if isinstance(solver, fooled) else NO_ANSWER), solver.name
