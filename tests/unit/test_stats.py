from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit import stats
from perfkit.result import Interval, Measured, Sample, load

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))

times = st.floats(min_value=1e-6, max_value=1e3)
rounds = st.lists(st.tuples(times, times), min_size=1, max_size=12)


def interval(ratio: float, low: float | None, high: float | None) -> Interval:
    return Interval(ratio=ratio, low=low, high=high, confidence=0.95)


def sample(number: int, *wall: float) -> Sample:
    return Sample(
        round=number,
        position=0,
        loops=1,
        warm_up=1.0,
        wall=wall,
        cpu=wall,
        switches=(0,) * len(wall),
        run_queue=None,
        peak_rss=1,
    )


def measured(name: str, role: str, *walls: tuple[float, ...], partial: bool = False) -> Measured:
    return Measured(
        name=name,
        role=role,
        label=name,
        why="",
        partial=partial,
        work={},
        samples=tuple(sample(number, *wall) for number, wall in enumerate(walls)),
    )


def steady(name: str, role: str, seconds: float, *, partial: bool = False) -> Measured:
    return measured(name, role, *[(seconds,)] * 8, partial=partial)


def split(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


# Quantiles


@given(st.lists(times, min_size=2, max_size=30), st.integers(min_value=1, max_value=19))
def test_quantile_is_the_inclusive_one_of_the_standard_library(
    values: list[float], twentieth: int
) -> None:
    expected = statistics.quantiles(values, n=20, method="inclusive")[twentieth - 1]

    assert math.isclose(expected, stats.quantile(values, twentieth / 20), rel_tol=1e-9)


@given(st.lists(times, min_size=1))
def test_quantile_reaches_from_the_smallest_to_the_largest(values: list[float]) -> None:
    assert (min(values), max(values)) == (stats.quantile(values, 0), stats.quantile(values, 1))


# The signed-rank interval


def enumerated_cut(number: int, confidence: float) -> int | None:
    """Find the critical rank sum by listing every one of the 2^n patterns of signs."""
    sums = [
        sum(rank for rank, positive in enumerate(signs, start=1) if positive)
        for signs in itertools.product((False, True), repeat=number)
    ]
    fitting = [
        cut
        for cut in range(number * (number + 1) // 2 + 1)
        if 2 * sum(total <= cut for total in sums) <= (1 - confidence) * len(sums)
    ]
    return max(fitting, default=None)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("number", range(1, 13))
def test_the_critical_value_is_that_of_all_sign_patterns(number: int, confidence: float) -> None:
    assert enumerated_cut(number, confidence) == stats._signed_rank_cut(number, confidence)


def test_critical_values_are_those_of_the_printed_tables() -> None:
    # Two-sided 5 %: Wilcoxon and Wilcox, Some Rapid Approximate Statistical Procedures, table 2.
    table = {6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 12: 13, 15: 25, 18: 40, 20: 52, 25: 89, 27: 107}

    assert table == {number: stats._signed_rank_cut(number, 0.95) for number in table}


@given(st.lists(st.tuples(times, times), min_size=6, max_size=9))
@settings(max_examples=40)
def test_the_interval_is_what_the_test_of_every_sign_pattern_does_not_reject(
    pairs: list[tuple[float, float]],
) -> None:
    found = stats.typical_ratio(*split(pairs))
    logs = [math.log(a / b) for a, b in pairs]
    averages = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(logs, 2))
    cut = enumerated_cut(len(pairs), 0.95)

    assert cut is not None
    assert found.low is not None
    assert found.high is not None
    # A value is rejected when at most `cut` of the averages lie on one side of it.
    assert sum(average < math.log(found.low) - 1e-9 for average in averages) <= cut
    assert sum(average <= math.log(found.low) + 1e-9 for average in averages) > cut
    assert sum(average > math.log(found.high) + 1e-9 for average in averages) <= cut
    assert sum(average >= math.log(found.high) - 1e-9 for average in averages) > cut


@given(st.lists(st.tuples(times, times), min_size=6, max_size=12), st.floats(0.01, 100))
def test_a_constant_factor_moves_the_ratio_and_both_ends(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    naive, other = split(pairs)
    before = stats.typical_ratio(naive, other)
    after = stats.typical_ratio([a * factor for a in naive], other)

    assert before.low is not None
    assert before.high is not None
    assert after.low is not None
    assert after.high is not None
    assert math.isclose(before.ratio * factor, after.ratio, rel_tol=1e-9)
    assert math.isclose(before.low * factor, after.low, rel_tol=1e-9)
    assert math.isclose(before.high * factor, after.high, rel_tol=1e-9)


@given(rounds)
def test_swapping_the_sides_turns_the_interval_round(pairs: list[tuple[float, float]]) -> None:
    naive, other = split(pairs)
    one, two = stats.typical_ratio(naive, other), stats.typical_ratio(other, naive)

    assert math.isclose(one.ratio, 1 / two.ratio, rel_tol=1e-9)
    if one.low is not None and two.high is not None:
        assert math.isclose(one.low, 1 / two.high, rel_tol=1e-9)


@given(rounds)
def test_the_ratio_lies_between_its_ends(pairs: list[tuple[float, float]]) -> None:
    found = stats.typical_ratio(*split(pairs))

    if found.low is not None and found.high is not None:
        assert found.low <= found.ratio <= found.high


@pytest.mark.parametrize("number", range(1, 9))
def test_there_are_no_bounds_below_six_rounds(number: int) -> None:
    values = [1.0 + share / 10 for share in range(number)]
    expected = number >= 6

    for found in (
        stats.typical_ratio(values, values),
        stats.floor_ratio(values, values, draws=9),
    ):
        assert (expected, expected) == (found.low is not None, found.high is not None)
        assert expected == math.isfinite(found.half_width)


def test_pairing_removes_what_slows_down_a_whole_round() -> None:
    slow_rounds = [1.0, 1.0, 9.0, 1.0, 1.0, 5.0, 1.0, 1.0]
    found = stats.typical_ratio([2 * seconds for seconds in slow_rounds], slow_rounds)

    assert pytest.approx((2.0, 2.0, 2.0)) == (found.ratio, found.low, found.high)


def test_one_wild_round_of_eight_does_not_move_the_typical_ratio() -> None:
    found = stats.typical_ratio([2.0] * 7 + [2000.0], [1.0] * 8)

    assert pytest.approx(2.0) == found.ratio


def test_rounds_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        stats.typical_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize("number", [6, 8, 12, 18])
def test_nineteen_of_twenty_intervals_hold_the_true_ratio(number: int) -> None:
    draw, truth, runs = random.Random(number), 1.5, 600
    held = 0
    for _ in range(runs):
        machine = [draw.lognormvariate(0, 0.5) for _ in range(number)]
        naive = [truth * slow * draw.lognormvariate(0, 0.2) for slow in machine]
        other = [slow * draw.lognormvariate(0, 0.2) for slow in machine]
        found = stats.typical_ratio(naive, other)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high

    # Exact, so at least 95 %; three standard errors of 600 draws are 2.7 %.
    assert 0.923 <= held / runs <= 0.995


# Two samples that share no rounds


def enumerated_rank_cut(number: int, others: int, confidence: float) -> int | None:
    """Find the critical count of pairs by listing every order that two samples may have."""
    orders = list(itertools.combinations(range(number + others), number))
    # Of the n-th figure of the first sample, so many of the second are smaller.
    sums = [sum(place - nth for nth, place in enumerate(order)) for order in orders]
    fitting = [
        cut
        for cut in range(number * others + 1)
        if 2 * sum(total <= cut for total in sums) <= (1 - confidence) * len(orders)
    ]
    return max(fitting, default=None)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize(
    ("number", "others"), [(1, 1), (1, 9), (3, 3), (4, 3), (3, 4), (5, 5), (6, 7)]
)
def test_the_critical_value_is_that_of_all_orders(
    number: int, others: int, confidence: float
) -> None:
    expected = enumerated_rank_cut(number, others, confidence)

    assert expected == stats._rank_sum_cut(number, others, confidence)


def test_critical_rank_sums_are_those_of_the_printed_tables() -> None:
    # Two-sided 5 %: Mann and Whitney's U, as printed in textbooks.
    table = {(4, 4): 0, (5, 5): 2, (6, 6): 5, (8, 8): 13, (8, 12): 22, (10, 10): 23, (20, 20): 127}

    assert table == {sizes: stats._rank_sum_cut(*sizes, 0.95) for sizes in table}


def test_without_pairs_the_typical_ratio_is_that_of_all_combinations() -> None:
    found = stats.typical_ratio([2.0, 4.0, 8.0], [1.0, 16.0], paired=False)

    assert pytest.approx(math.sqrt(0.5 * 2.0)) == found.ratio
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("ratio", [stats.typical_ratio, stats.floor_ratio])
def test_without_pairs_the_order_of_rounds_means_nothing(ratio: Callable[..., Interval]) -> None:
    draw = random.Random(1)
    naive, other = ([draw.lognormvariate(0, 0.3) for _ in range(12)] for _ in range(2))
    found = [ratio(naive, order, paired=False) for order in (other, sorted(other))]

    assert found[0].ratio == found[1].ratio
    assert pytest.approx(found[0].low, rel=0.05) == found[1].low
    assert pytest.approx(found[0].high, rel=0.05) == found[1].high


@pytest.mark.parametrize("ratio", [stats.typical_ratio, stats.floor_ratio])
def test_without_pairs_what_slows_down_a_round_stays_in_the_interval(
    ratio: Callable[..., Interval],
) -> None:
    slow_rounds = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0]
    naive = [2 * seconds for seconds in slow_rounds]
    found = [ratio(naive, slow_rounds, paired=paired) for paired in (True, False)]

    assert found[0].half_width < 0.001
    assert found[1].half_width > 1


@pytest.mark.parametrize("ratio", [stats.typical_ratio, stats.floor_ratio])
@pytest.mark.parametrize(("number", "others"), [(8, 8), (8, 20), (20, 8)])
def test_nineteen_of_twenty_intervals_of_two_samples_hold_the_true_ratio(
    ratio: Callable[..., Interval], number: int, others: int
) -> None:
    draw, truth, runs = random.Random(number), 1.5, 300
    options = {"draws": 199} if ratio is stats.floor_ratio else {}
    held = 0
    for _ in range(runs):
        naive = [truth * draw.lognormvariate(0, 0.2) for _ in range(number)]
        other = [draw.lognormvariate(0, 0.2) for _ in range(others)]
        found = ratio(naive, other, paired=False, **options)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high

    # Two and a half standard errors of 300 runs are 3.1 %.
    assert 0.919 <= held / runs <= 0.995


# The floor


@pytest.mark.parametrize(("rounds", "confidence"), [(6, 0.95), (8, 0.99), (12, 0.9995)])
def test_a_floor_has_no_bounds_where_no_exact_test_could_be_so_sure(
    rounds: int, confidence: float
) -> None:
    values = [1.0 + share / 10 for share in range(rounds)]
    for found in (stats.floor_ratio, stats.typical_ratio):
        assert found(values, values, confidence).low is not None
        assert found(values[1:], values[1:], confidence).low is None
        assert found(values, values, (1 + confidence) / 2).low is None


@given(st.lists(st.tuples(times, times), min_size=6, max_size=12), st.integers(0, 9))
def test_the_floor_is_the_same_for_the_same_seed(
    pairs: list[tuple[float, float]], seed: int
) -> None:
    naive, other = split(pairs)
    once, again = (stats.floor_ratio(naive, other, seed=seed, draws=30) for _ in range(2))

    assert once == again


def test_another_seed_draws_other_rounds() -> None:
    naive, other = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0], [1.0, 3.0, 2.0, 7.0, 4.0, 9.0]
    ends = {stats.floor_ratio(naive, other, seed=seed, draws=20).low for seed in range(8)}

    assert len(ends) > 1


def test_whole_rounds_are_drawn() -> None:
    # Drawn one by one, the values would give ratios far from two.
    slow_rounds = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0]
    found = stats.floor_ratio([2 * seconds for seconds in slow_rounds], slow_rounds)

    assert pytest.approx((2.0, 2.0, 2.0)) == (found.ratio, found.low, found.high)


def test_the_floor_is_the_ratio_of_lower_quartiles() -> None:
    found = stats.floor_ratio([10.0, 20.0, 30.0, 40.0, 50.0], [1.0, 2.0, 3.0, 4.0, 500.0])

    assert found.ratio == 10.0


# Words


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.05, 2.0, "unclear"),
        (math.nextafter(1.05, 2), 2.0, "faster"),
        (0.5, 1 / 1.05, "unclear"),
        (0.5, math.nextafter(1 / 1.05, 0), "slower"),
        (1 / 1.10, 1.0, "unclear"),
        (math.nextafter(1 / 1.10, 1), 1.0, "no change"),
        (1.0, 1.10, "unclear"),
        (1.0, math.nextafter(1.10, 1), "no change"),
        (1.06, 1.08, "faster"),
        (0.92, 0.94, "slower"),
        (0.5, 2.0, "unclear"),
        (None, None, "unclear"),
        (2.0, None, "unclear"),
        (None, 0.5, "unclear"),
    ],
)
def test_a_word_follows_from_both_ends(
    low: float | None, high: float | None, expected: str
) -> None:
    assert expected == stats.word(interval(1.0, low, high))


@given(st.floats(0.01, 100), st.floats(1, 100))
def test_swapping_the_sides_swaps_faster_and_slower(low: float, width: float) -> None:
    swapped = {"faster": "slower", "slower": "faster"}
    there = stats.word(interval(low, low, low * width))
    back = stats.word(interval(1 / low, 1 / (low * width), 1 / low))
    edges = (1.05, 1 / 1.05, 1.10, 1 / 1.10)

    if not any(math.isclose(end, edge) for end in (low, low * width) for edge in edges):
        assert swapped.get(there, there) == back


# Shares of what the fix saves


def test_a_variant_saves_a_share_of_what_the_fix_saves() -> None:
    # The fix saves 90 % of the time; the lever 50 %, between 20 % and 60 %.
    share = stats.saved_share(interval(2.0, 1.25, 2.5), interval(10.0, 9.0, 11.0))

    assert share is not None
    assert pytest.approx((0.5 / 0.9, 0.2 / 0.9, 0.6 / 0.9)) == (share.ratio, share.low, share.high)


def test_the_fix_saves_all_of_what_the_fix_saves() -> None:
    fix = interval(10.0, 9.0, 11.0)
    share = stats.saved_share(fix, fix)

    assert share is not None
    assert share.ratio == 1.0


def test_what_costs_time_saves_a_negative_share() -> None:
    share = stats.saved_share(interval(0.5, 0.4, 0.6), interval(2.0, 1.9, 2.1))

    assert share is not None
    assert share.ratio == -2.0


@pytest.mark.parametrize(
    "fix",
    [
        interval(0.5, 0.4, 0.6),
        interval(1.0, 0.9, 1.1),
        interval(1.2, 1.0, 1.4),
        interval(1.2, None, None),
    ],
)
def test_there_is_no_share_of_a_fix_that_does_not_surely_save(fix: Interval) -> None:
    assert stats.saved_share(interval(2.0, 1.9, 2.1), fix) is None


def test_a_share_without_an_interval_has_no_ends() -> None:
    share = stats.saved_share(interval(2.0, None, None), interval(4.0, 3.9, 4.1))

    assert share is not None
    assert (share.low, share.high) == (None, None)


# Verdicts


def test_the_reference_is_the_first_fix_that_is_not_partial() -> None:
    verdicts = stats.judge(
        [
            steady("lever", "wrong lever", 8.0),
            steady("half", "fixed", 5.0, partial=True),
            steady("whole", "fixed", 2.0),
            steady("other", "fixed", 1.0),
            steady("code", "naive", 10.0),
        ]
    )
    shares = {found.variant: found.share and found.share.ratio for found in verdicts}

    assert pytest.approx({"lever": 0.25, "half": 0.625, "whole": 1.0, "other": 1.125}) == shares


def test_a_partial_fix_is_the_reference_where_there_is_no_other() -> None:
    (found,) = stats.judge(
        [steady("code", "naive", 10.0), steady("half", "fixed", 5.0, partial=True)]
    )

    assert found.share is not None
    assert found.share.ratio == 1.0


def test_without_a_fix_there_are_no_shares() -> None:
    (found,) = stats.judge([steady("code", "naive", 10.0), steady("lever", "wrong lever", 5.0)])

    assert (found.share, found.word) == (None, "faster")


def test_nothing_timed_gives_no_verdict() -> None:
    assert stats.judge([measured("code", "naive"), measured("fix", "fixed")]) == ()


def test_a_round_is_the_median_of_its_process_and_the_floor_its_fastest_value() -> None:
    (found,) = stats.judge(
        [
            measured("code", "naive", *[(4.0, 8.0, 900.0)] * 6),
            measured("fix", "fixed", *[(1.0, 4.0, 5.0)] * 6),
        ]
    )

    assert pytest.approx((2.0, 4.0)) == (found.typical.ratio, found.floor.ratio)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_saved_verdicts_are_those_of_the_raw_values(path: Path) -> None:
    result = load(path)

    assert result.verdicts == stats.judge(result.variants)


def test_every_variant_but_the_naive_one_has_a_speed_up() -> None:
    found = stats.speed_ups([steady("fix", "fixed", 2.0), steady("code", "naive", 10.0)])

    assert pytest.approx({"fix": 5.0}) == {name: ratio.ratio for name, ratio in found.items()}


PRECISE, JUST_NOT, WIDE = interval(1, 0.951, 1.049), interval(2, 1.9, 2.1), interval(1, None, None)


def test_a_ratio_is_precise_when_known_within_five_percent() -> None:
    verdicts = [stats.precise([PRECISE, other]) for other in (PRECISE, JUST_NOT, WIDE)]

    assert verdicts == [True, False, False]
