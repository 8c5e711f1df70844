"""Figures bear no more than was measured."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from perfkit.report import figures
from perfkit.result import Interval

ratios = some.floats(min_value=1e-4, max_value=1e6)


def interval(ratio: float, low: float | None, high: float | None) -> Interval:
    return Interval(ratio=ratio, low=low, high=high, confidence=0.95)


def number(text: str) -> float:
    return float(text.replace(",", "").removesuffix("\N{MULTIPLICATION SIGN}"))


@pytest.mark.parametrize(
    ("ratio", "low", "high", "written", "between"),
    [
        (57.1, 43.2, 66.3, "57", "43 / 66"),
        (21.34, 21.12, 21.69, "21.3", "21.1 / 21.7"),
        (1.0008, 0.9906, 1.0282, "1.00", "0.99 / 1.03"),
        (0.7192, 0.6215, 0.8445, "0.72", "0.62 / 0.84"),
        (194.78, 192.33, 201.40, "195", "192 / 201"),
        (1160.0, 800.0, 2000.0, "1,200", "800 / 2,000"),
        (0.0052, 0.0041, 0.0063, "0.0052", "0.0041 / 0.0063"),
        (3.0, 0.4, 9.9, "3.0", "0.4 / 9.9"),
    ],
)
def test_a_ratio_is_as_precise_as_its_interval(
    ratio: float, low: float, high: float, written: str, between: str
) -> None:
    measured = interval(ratio, low, high)

    assert figures.ratio(measured) == f"{written}\N{MULTIPLICATION SIGN}"
    assert figures.ends(measured) == between.replace("/", "\N{EN DASH}")


@given(some.tuples(ratios, ratios, ratios))
def test_no_printed_digit_is_finer_than_the_interval_bears(ends: tuple[float, ...]) -> None:
    low, ratio, high = sorted(ends)
    assume(low < high)

    decimals = figures.borne(ratio, low, high)

    # The finest digit is a 36th of the width or more, or the only one of the lower end.
    only = -math.floor(math.log10(low))
    assert 10**-decimals >= (high - low) / 36 * 0.999 or decimals <= only


@given(ratios, ratios, ratios)
def test_a_ratio_never_has_more_than_three_digits(one: float, other: float, third: float) -> None:
    low, ratio, high = sorted((one, other, third))

    written = figures.ratio(interval(ratio, low, high))

    # A rounding up to the next power of ten, or zeros before the point, are no further digits.
    assert number(written) == pytest.approx(ratio, rel=0.5, abs=(high - low) / 2)
    assert figures.borne(ratio, low, high) <= figures.decimals_for(ratio, 3)


@given(ratios)
def test_without_an_interval_a_ratio_has_at_most_two_digits(ratio: float) -> None:
    written = figures.ratio(interval(ratio, None, None))

    assert number(written) == pytest.approx(ratio, rel=0.5)
    rounded = number(written)
    assert rounded == pytest.approx(float(f"{rounded:.1e}"))
    assert figures.ends(interval(ratio, None, None)) == ""


@given(some.floats(min_value=-5, max_value=5))
def test_at_most_is_never_below_what_was_measured_nor_below_zero(share: float) -> None:
    promised = int(figures.at_most(share).removeprefix("at most ").removesuffix("%"))

    assert promised / 100 >= share
    assert promised >= 0
    assert promised / 100 < max(share, 0) + 0.0101


def test_a_range_that_rounds_to_one_figure_is_one_figure() -> None:
    assert figures.percents(0.9794, 0.9817) == "98%"
    assert figures.percents(0.2064, 0.3687) == "21\N{EN DASH}37%"


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        (201, 1, "÷ 201"),
        (201, 2, "÷ 100.5"),
        (2_188_969, 290, "÷ 7,548"),
        (20, 6, "÷ 3.3"),
        (6, 6, ""),
        (1, 6, ""),
        (6, 0, ""),
    ],
)
def test_a_count_is_divided_only_where_it_fell(before: int, after: int, written: str) -> None:
    assert figures.divided(before, after) == written


@given(some.lists(some.floats(min_value=1e-8, max_value=1e3), min_size=1))
def test_all_times_of_a_report_have_one_unit_that_shows_the_slowest(times: list[float]) -> None:
    scale, unit = figures.time_unit(times)

    assert unit in {"s", "ms", "µs", "ns"}
    assert max(times) >= scale * 0.999


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.2449, "1.24"), (8.0, "8"), (2.50, "2.5"), (201.3, "201"), (1300.0, "1,300"), (0.5, "0.5")],
)
def test_a_factor_that_was_computed_has_three_digits_at_most(value: float, written: str) -> None:
    assert figures.factor(value) == f"{written}×"


def test_a_much_faster_fix_makes_the_unit_smaller() -> None:
    assert figures.time_unit([1.2, 0.4]) == (1.0, "s")
    assert figures.time_unit([1.2, 0.0004]) == (1e-3, "ms")


def test_decimal_points_stand_below_each_other() -> None:
    assert figures.aligned(["17", "0.15", "3.5"]) == ["17   ", "0.15", "3.5 "]


def test_zero_has_no_sign() -> None:
    assert figures.figure(-0.0001, 2) == "0.00"
    assert figures.decimals_for(0, 3) == 0


def test_a_tiny_variation_is_not_called_none() -> None:
    assert figures.margin(0.001) == "less than ±1%"
    assert figures.margin(0.114) == "±11%"
