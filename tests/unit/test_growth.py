"""Growth is named where it is clear, and only there."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.fitting import least_squares, typical
from perfkit.growth import SHAPES, Growth, GrowthFit, fit_counts, fit_growth

SIZES = (50.0, 100.0, 200.0, 400.0)


def rounds_of(
    curve: Callable[[float], float],
    sizes: Sequence[float] = SIZES,
    *,
    rounds: int = 8,
    noise: float = 0.0,
    seed: int = 1,
) -> list[list[float]]:
    draw = random.Random(seed)
    paces = [math.exp(draw.gauss(0, 0.05)) for _ in range(rounds)]
    return [
        [pace * curve(size) * math.exp(draw.gauss(0, noise)) for size in sizes] for pace in paces
    ]


def fit(curve: Callable[[float], float], sizes: Sequence[float] = SIZES, **how: float) -> GrowthFit:
    found = fit_growth(sizes, rounds_of(curve, sizes, **how))  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("growth", Growth)
@settings(max_examples=15, deadline=None)
@given(
    first=st.integers(1, 1000),
    steps=st.lists(st.floats(1.6, 10), min_size=3, max_size=7),
    scale=st.floats(1e-8, 1e3),
    fixed=st.floats(0, 0.5),
)
def test_exact_times_are_named_with_their_factors(
    growth: Growth, first: int, steps: list[float], scale: float, fixed: float
) -> None:
    sizes = [float(first)]
    for step in steps:
        sizes.append(sizes[-1] * step)
    shape = SHAPES[growth]
    per = scale / (shape(sizes[-1]) or 1)

    found = fit_growth(sizes, [[scale * fixed + scale + per * shape(n) for n in sizes]] * 6)

    assert found is not None
    assert (growth, (growth,)) == (found.growth, found.candidates)
    assert found.fixed == pytest.approx(scale * (1 + fixed), rel=1e-6)
    assert found.per == pytest.approx(per if growth is not Growth.CONSTANT else 0, rel=1e-6)
    assert found.error < 1e-9
    assert found.at(sizes[1]) == pytest.approx(found.fixed + found.per * shape(sizes[1]))


@pytest.mark.parametrize(
    ("growth", "curve"),
    [
        (Growth.CONSTANT, lambda _: 0.3),
        (Growth.LINEAR, lambda n: 0.2 + n / 100),
        (Growth.LINEARITHMIC, lambda n: n * math.log2(n) / 700),
        (Growth.QUADRATIC, lambda n: 0.1 + n * n / 1e4),
    ],
)
def test_noisy_times_are_named_and_never_wrongly(
    growth: Growth, curve: Callable[[float], float]
) -> None:
    named = [fit(curve, noise=0.01, seed=seed).growth for seed in range(4)]
    unsure = [fit(curve, noise=0.15, seed=seed) for seed in range(4)]

    assert [growth] * 4 == named
    assert all(one.growth in {growth, None} and growth in one.candidates for one in unsure)


def test_what_noise_hides_is_named_together_the_simplest_first() -> None:
    found = fit(lambda n: 0.2 + n / 100, noise=0.05)

    assert (found.growth, found.candidates) == (None, (Growth.LINEAR, Growth.LINEARITHMIC))
    assert found.fixed + 400 * found.per == pytest.approx(4.2, rel=0.1)


def test_a_whole_rounds_pace_is_no_noise() -> None:
    draw = random.Random(2)
    paces = [math.exp(draw.gauss(0, 0.5)) for _ in range(8)]

    found = fit_growth(SIZES, [[pace * (1 + n / 50) for n in SIZES] for pace in paces])

    assert found is not None
    assert found.growth == Growth.LINEAR
    assert found.error < 1e-9


def test_what_no_curve_fits_is_said_with_the_largest_deviation() -> None:
    cliff = fit(lambda n: 1.0 if n < 300 else 9.0)
    falling = fit(lambda n: 100 / n)

    assert (cliff.growth, cliff.candidates, cliff.fixed, cliff.per) == (None, (), 0, 0)
    assert cliff.at(100) is None
    # The nearest curve is a quadratic one that is twice too high in the middle.
    assert 0.5 < cliff.error < 1.5
    assert (falling.growth, falling.candidates) == (None, ())
    assert falling.error > 0.5


def test_no_part_of_a_time_is_negative() -> None:
    # A straight line, but one that would take less than no time for nothing.
    found = fit(lambda n: (n - 40) / 100)

    assert Growth.LINEAR not in found.candidates
    assert min(found.fixed, found.per) >= 0


def test_a_small_change_is_constant_and_a_clear_one_is_not() -> None:
    assert fit(lambda n: 1 + n / 400 * 0.07).growth == Growth.CONSTANT
    assert fit(lambda n: 1 + n / 400 * 0.2).growth == Growth.LINEAR


def test_a_hump_between_equal_ends_is_not_constant() -> None:
    found = fit(lambda n: 2.0 if n == 100 else 1.0)

    assert (found.growth, found.candidates) == (None, ())


def test_fewer_than_six_rounds_give_candidates_without_a_name() -> None:
    found = fit(lambda n: n / 100, rounds=5)
    flat = fit(lambda _: 1.0, rounds=5)

    assert (found.growth, found.candidates) == (None, (Growth.LINEAR,))
    assert (flat.growth, flat.candidates) == (None, (Growth.CONSTANT,))
    assert found.exponent is not None
    assert found.exponent.low is None


def test_the_exponent_is_the_slope_between_the_ends_with_an_interval() -> None:
    found = fit(lambda n: n * n / 1e4, noise=0.05)

    assert found.exponent is not None
    assert found.exponent.low is not None
    assert found.exponent.high is not None
    assert found.exponent.low < 2 < found.exponent.high
    assert found.exponent.high - found.exponent.low < 0.2


def test_too_few_or_too_near_sizes_are_not_fitted() -> None:
    assert fit_growth((1, 10, 100), [[1, 10, 100]] * 8) is None
    assert fit_growth((10, 20, 30, 39), [[10, 20, 30, 39]] * 8) is None
    assert fit_growth(SIZES, []) is None


def test_a_size_of_zero_has_no_logarithm() -> None:
    found = fit(lambda t: 0.004 + 201 * t, (0.0, 0.001, 0.002, 0.005))

    assert found.growth == Growth.LINEAR
    assert found.per == pytest.approx(201, rel=0.1)
    assert found.exponent is None


def test_sizes_below_one_are_never_linearithmic() -> None:
    # Below 1, n log n falls and rises again.
    sizes = (0.25, 0.5, 1.0, 2.0)
    found = fit(lambda n: 3 + n * math.log2(n), sizes)

    assert Growth.LINEARITHMIC not in found.candidates


@pytest.mark.parametrize(
    ("expected", "counts"),
    [
        ("constant", [1, 1, 1, 1]),
        ("constant", [0, 0, 0, 0]),
        ("linear", [51, 101, 201, 401]),
        ("quadratic", [n * (n - 1) // 2 for n in (50, 100, 200, 400)]),
        ("quadratic", [n * (n - 49) // 2 for n in (50, 100, 200, 400)]),
        ("quadratic", [3 * n * n + 40 * n + 7 for n in (50, 100, 200, 400)]),
        ("n log n", [round(n * math.log2(n) - 1.2 * n) for n in (50, 100, 200, 400)]),
        # The last batch is not full.
        ("linear", [math.ceil(n / 3) for n in (50, 100, 200, 400)]),
    ],
)
def test_counts_are_named(expected: str, counts: list[int]) -> None:
    found = fit_counts(SIZES, counts)

    assert found is not None
    assert expected == found.growth


def test_counts_may_begin_at_zero() -> None:
    found = fit_counts((0, 10, 20, 40), [0, 10, 20, 40])

    assert found is not None
    assert found.growth == Growth.LINEAR
    assert (found.fixed, found.per) == pytest.approx((0, 1))


def test_few_counts_that_are_rounded_fit_more_than_one_curve() -> None:
    found = fit_counts(SIZES, [math.ceil(n / 30) for n in SIZES])

    assert found is not None
    assert (found.growth, found.candidates) == (None, (Growth.LINEAR, Growth.LINEARITHMIC))


def test_exact_counts_are_held_to_a_tight_tolerance() -> None:
    rough = [50, 112, 200, 400]
    exact, inexact = fit_counts(SIZES, rough), fit_counts(SIZES, rough, exact=False)

    assert exact is not None
    assert inexact is not None
    assert (exact.growth, exact.candidates) == (None, ())
    assert Growth.LINEAR in inexact.candidates


def test_three_counts_are_enough_and_two_are_not() -> None:
    three = fit_counts((1, 2, 3), [1, 1, 1])

    assert three is not None
    assert three.growth == Growth.CONSTANT
    assert fit_counts((1, 2), [1, 2]) is None


def test_counts_have_an_exact_exponent_unless_one_is_zero() -> None:
    doubled, gone = fit_counts(SIZES, [50, 100, 200, 400]), fit_counts(SIZES, [3, 2, 1, 0])

    assert doubled is not None
    assert doubled.exponent is not None
    assert pytest.approx((doubled.exponent.low, doubled.exponent.ratio, doubled.exponent.high)) == (
        1,
        1,
        1,
    )
    assert gone is not None
    assert gone.exponent is None


@settings(max_examples=50, deadline=None)
@given(
    factors=st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    sizes=st.lists(st.integers(1, 1000), min_size=4, max_size=9, unique=True),
)
def test_least_squares_finds_the_factors_of_an_exact_sum(
    factors: list[float], sizes: list[int]
) -> None:
    columns = [[1.0] * len(sizes), [float(n) for n in sizes], [float(n * n) for n in sizes]]
    points = [
        sum(f * c for f, c in zip(factors, at, strict=True)) for at in zip(*columns, strict=True)
    ]
    scales = [float(n * n) for n in sizes]

    found = least_squares(columns, points, scales)

    again = [
        sum(f * c for f, c in zip(found, at, strict=True)) for at in zip(*columns, strict=True)
    ]
    assert again == pytest.approx(points, rel=1e-6, abs=1e-6)


def test_a_column_that_follows_from_others_gets_no_factor() -> None:
    ones = [1.0, 1.0, 1.0]

    assert least_squares([ones, ones], [2.0, 2.0, 2.0], ones) == pytest.approx([2, 0])


def test_the_typical_figures_are_medians_at_the_median_pace() -> None:
    assert typical([[1, 2], [10, 20], [3, 6.6]]) == pytest.approx([3.1464, 6.2929], rel=1e-3)
