"""The Universal Scalability Law and Amdahl's: found again where they hold, refused elsewhere."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.fitting import percentile_interval
from perfkit.scalability import Scalability, fit_scalability

WORKERS = (1.0, 2.0, 4.0, 8.0, 16.0)


def law(contention: float, coherency: float, rate: float = 10.0) -> Callable[[float], float]:
    return lambda n: (1 + contention * (n - 1) + coherency * n * (n - 1)) / (rate * n)


def fit(
    seconds: Callable[[float], float],
    workers: Sequence[float] = WORKERS,
    *,
    rounds: int = 6,
    noise: float = 0.0,
    seed: int = 1,
) -> Scalability:
    draw = random.Random(seed)
    data = []
    for _ in range(rounds):
        pace = math.exp(draw.gauss(0, 0.05)) if noise else 1.0
        # Noise only adds time.
        data.append([pace * seconds(n) * math.exp(draw.expovariate(1) * noise) for n in workers])
    found = fit_scalability(workers, data)
    assert found is not None
    return found


@settings(max_examples=15, deadline=None)
@given(
    contention=st.floats(0, 1),
    coherency=st.floats(0, 0.5),
    rate=st.floats(1e-3, 1e6),
    workers=st.lists(st.integers(1, 200), min_size=4, max_size=7, unique=True),
)
def test_exact_throughputs_give_the_laws_own_factors(
    contention: float, coherency: float, rate: float, workers: list[int]
) -> None:
    ascending = sorted(map(float, workers))
    # Fewer than six rounds, because a bootstrap of equal rounds only takes time.
    found = fit(law(contention, coherency, rate), ascending, rounds=1)

    assert found.universal is not None
    assert found.universal.fits
    assert found.universal.error < 1e-9
    for n in (ascending[0], ascending[-1]):
        assert found.universal.seconds(n) == pytest.approx(law(contention, coherency, rate)(n))
    if ascending[0] == 1:
        assert found.universal.rate == pytest.approx(rate, rel=1e-6)
        assert found.universal.contention.ratio == pytest.approx(contention, abs=1e-6)
        assert found.universal.coherency.ratio == pytest.approx(coherency, abs=1e-6)


def test_a_linear_speed_up_has_neither_contention_nor_coherency() -> None:
    found = fit(law(0, 0))

    assert found.universal is not None
    assert pytest.approx(
        (found.universal.contention.ratio, found.universal.coherency.ratio), abs=1e-9
    ) == (0, 0)
    assert found.peak is None
    assert found.speed_up.ratio == pytest.approx(16)


def test_a_flat_curve_is_all_serial() -> None:
    found = fit(lambda _: 0.1)

    assert found.universal is not None
    assert pytest.approx(
        (found.universal.contention.ratio, found.universal.coherency.ratio), abs=1e-9
    ) == (1, 0)
    assert found.amdahl.contention.ratio == pytest.approx(1)
    assert found.speed_up.ratio == pytest.approx(1)


def test_contention_is_never_more_than_all_of_it() -> None:
    # Two workers are slower than one, and from there on it is flat.
    found = fit(lambda n: 0.1 if n == 1 else 0.106)

    assert found.universal is not None
    assert found.universal.contention.ratio == pytest.approx(1)
    assert found.universal.fits


def test_coherency_bends_the_curve_and_names_the_best_number_of_workers() -> None:
    found = fit(law(0.1, 0.02))

    assert found.peak == pytest.approx(math.sqrt(0.9 / 0.02))
    assert found.universal is not None
    assert found.universal.fits
    assert not found.amdahl.fits


def test_a_best_number_far_beyond_what_was_measured_is_not_named() -> None:
    assert fit(law(0, 1 / 32**2 * 1.001)).peak == pytest.approx(32, rel=0.01)
    assert fit(law(0, 1 / 32**2 * 0.999)).peak is None


def test_one_worker_is_best_where_every_other_one_only_costs() -> None:
    assert fit(law(1, 0.5)).peak == 1


def test_what_the_law_cannot_describe_does_not_fit() -> None:
    found = fit(lambda n: 0.1 / min(n, 4) * (1 if n < 12 else 6))

    assert found.universal is not None
    assert not found.universal.fits
    assert found.universal.error > 0.3
    assert found.peak is None


def test_more_than_linear_is_said() -> None:
    found = fit(lambda n: 0.1 / n**1.3)

    assert found.superlinear
    assert not found.amdahl.fits
    assert fit(lambda n: 0.1 / n**1.03).superlinear
    assert not fit(lambda n: 0.1 / n**1.01).superlinear
    assert not fit(law(0, 0), noise=0.02, rounds=10).superlinear


def test_without_one_worker_the_rate_is_where_the_curve_would_begin() -> None:
    found = fit(law(0.2, 0.001), (2, 4, 8, 16))

    assert found.extrapolated
    assert found.universal is not None
    assert found.universal.rate == pytest.approx(10)
    assert not fit(law(0.2, 0.001)).extrapolated


def test_three_numbers_of_workers_are_enough_for_amdahl_only() -> None:
    found = fit(law(0.2, 0), (1, 2, 4))

    assert found.universal is None
    assert found.amdahl.contention.ratio == pytest.approx(0.2)
    assert fit_scalability((1, 2), [[1, 0.5]] * 6) is None
    assert fit_scalability(WORKERS, []) is None


def test_fewer_than_six_rounds_have_no_intervals() -> None:
    few, enough = fit(law(0.2, 0), rounds=5), fit(law(0.2, 0), rounds=6)

    assert (few.amdahl.contention.low, few.amdahl.contention.high) == (None, None)
    assert enough.amdahl.contention.low == pytest.approx(0.2)
    assert few.universal is not None
    assert few.universal.coherency.high is None


@pytest.mark.parametrize(("contention", "coherency"), [(0.97, 0.0), (0.2, 0.005), (0.0, 0.0)])
def test_intervals_hold_the_true_factors(contention: float, coherency: float) -> None:
    found = [
        fit(law(contention, coherency), rounds=8, noise=0.04, seed=seed).universal
        for seed in range(5)
    ]
    held = [
        interval.low - 1e-9 <= true <= interval.high + 1e-9
        for one in found
        if one is not None
        for interval, true in ((one.contention, contention), (one.coherency, coherency))
        if interval.low is not None and interval.high is not None
    ]
    widest = max(
        one.contention.high - one.contention.low
        for one in found
        if one is not None and one.contention.low is not None and one.contention.high is not None
    )

    assert len(held) == 10
    # 95 % of 10, less what chance may take.
    assert sum(held) >= 9
    assert widest < 0.25


def test_noise_widens_what_counts_as_a_fit() -> None:
    wavy = {1: 1.0, 2: 1.3, 4: 1.0, 8: 1.3, 16: 1.0}

    calm = fit(lambda n: law(0.1, 0)(n) * wavy[int(n)], noise=0.01, rounds=8)
    noisy = fit(lambda n: law(0.1, 0)(n) * wavy[int(n)], noise=0.6, rounds=8)

    assert not calm.amdahl.fits
    assert noisy.amdahl.fits


def test_few_draws_are_read_at_students_percentiles() -> None:
    drawn = [float(number) for number in range(1001)]
    few, many = (percentile_interval(500, drawn, rounds) for rounds in (6, 1000))

    # For 5 degrees of freedom the quantile is 2.571, and 2.571 * sqrt(6 / 5) leaves 0.24 %.
    assert few.low == pytest.approx(2.4, abs=0.1)
    assert many.low == pytest.approx(25, abs=0.5)
    assert many.high == pytest.approx(975, abs=0.5)
