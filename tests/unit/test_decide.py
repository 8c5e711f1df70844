"""Verdicts: what is counted, what is timed, and how often a gate may be wrong."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfkit import decide, stats
from perfkit.checks import Check, parse
from perfkit.decide import Sides, judge, judge_all
from perfkit.outcome import Judged
from perfkit.result import Interval, Measured, Sample, Work
from perfkit.verdict import Word

FAIL, PASS, UNCLEAR = Word.FAIL, Word.PASS, Word.INCONCLUSIVE
Times = Sequence[float]


def check(text: str, target: str = "fix") -> Check:
    return parse(target, text, "x.toml")


def sample(number: int, wall: Times, cpu: Times | None = None, **changes: object) -> Sample:
    whole = Sample(
        round=number,
        position=0,
        loops=1,
        warm_up=1.0,
        wall=tuple(wall),
        cpu=tuple(wall if cpu is None else cpu),
        switches=(0,) * len(wall),
        run_queue=None,
        peak_rss=2**20,
    )
    return msgspec.structs.replace(whole, **changes)


def measured(name: str, *samples: Sample, work: Mapping[str, Work] | None = None) -> Measured:
    return Measured(name, "fixed", name, "", partial=False, work=dict(work or {}), samples=samples)


def timed(name: str, walls: Times, share: float = 1.0) -> Measured:
    """Return a variant with a value a round; `share` of it is processor time."""
    samples = [sample(number, [wall], [wall * share]) for number, wall in enumerate(walls)]
    return measured(name, *samples)


def counted(
    name: str, value: int, again: int | None = None, *, exact: bool | None = None
) -> Measured:
    same = again is None if exact is None else exact
    return measured(name, work={"rows": Work(value, same, "server", again=again)})


def one_run(*variants: Measured) -> Sides:
    return Sides({variant.name: variant for variant in variants}, {})


def two_runs(change: Measured, base: Measured, *, paired: bool = True) -> Sides:
    return Sides({change.name: change}, {base.name: base}, paired=paired)


def near(middle: float, number: int = 8, spread: float = 0.001) -> list[float]:
    """Return so many figures around a middle, the same every time."""
    draw = random.Random(3)
    return [middle * (1 + spread * draw.uniform(-1, 1)) for _ in range(number)]


def change(ratio: float, number: int = 8, spread: float = 0.001) -> Sides:
    return two_runs(
        timed("fix", near(ratio, number, spread)), timed("fix", near(1.0, number, spread)[::-1])
    )


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few rounds anew: quicker, and less sharp ends, which a gate must bear."""

    def quick(
        mine: Times, other: Times, confidence: float, *, draws: int, paired: bool
    ) -> Interval:
        return floor_ratio(mine, other, confidence, draws=min(draws, 199), paired=paired)

    floor_ratio = stats.floor_ratio
    monkeypatch.setattr(stats, "floor_ratio", quick)


# Counted work


@pytest.mark.parametrize(
    ("value", "again", "expected", "said"),
    [
        (5, None, PASS, "rows 5"),
        (6, None, FAIL, "rows 6"),
        (4, 5, PASS, "rows 4 or 5; the count varies from run to run"),
        (7, 6, FAIL, "rows 6 or 7; the count varies from run to run"),
        (4, 6, UNCLEAR, "rows 4 or 6; the count varies from run to run"),
        (6, 4, UNCLEAR, "rows 4 or 6; the count varies from run to run"),
    ],
)
def test_a_count_must_hold_in_both_passes_or_fail_in_both(
    value: int, again: int | None, expected: Word, said: str
) -> None:
    found = judge(check("rows <= 5"), one_run(counted("fix", value, again)))

    assert (expected, said) == (found.verdict, found.said)


@pytest.mark.parametrize("value", [4, 6])
def test_a_count_that_varies_nobody_knows_how_far_says_nothing(value: int) -> None:
    found = judge(check("rows <= 5"), one_run(counted("fix", value, exact=False)))

    assert found.verdict is UNCLEAR


def test_a_count_that_is_missing_is_an_error() -> None:
    sides = one_run(measured("fix"), counted("code", 5))
    verdicts = [judge(check("rows <= 5"), sides), judge(check("rows < 1x", "code/fix"), sides)]

    assert [(one.verdict, one.said) for one in verdicts] == [
        (Word.ERROR, "nobody here counts rows")
    ] * 2


@pytest.mark.parametrize(
    ("mine", "other", "limit", "expected"),
    [
        (0, 0, "<= 1x", PASS),
        (0, 0, "< 1x", FAIL),
        (1, 0, "< 1000x", FAIL),
        (1, 0, "> 1000x", PASS),
        (0, 5, "<= 0.1x", PASS),
        (1, 10, "== 0.1x", PASS),
        (2, 10, "<= 0.1x", FAIL),
    ],
)
def test_counts_are_compared_as_a_ratio(mine: int, other: int, limit: str, expected: Word) -> None:
    sides = one_run(counted("fix", mine), counted("code", other))
    found = judge(check(f"rows {limit}", "fix/code"), sides)

    assert (expected, f"rows {mine} against {other}") == (found.verdict, found.said)


def test_the_figure_that_breaks_the_limit_is_the_one_given() -> None:
    found = judge(check("rows <= 5"), one_run(counted("fix", 4, 6)))

    assert (found.value, found.limit, found.clock, found.rounds) == (6, 5.0, "", 0)


@given(
    mine=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    other=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    tenths=st.integers(1, 30),
)
def test_a_ratio_of_varying_counts_holds_where_every_pair_does(
    mine: tuple[int, int], other: tuple[int, int], tenths: int
) -> None:
    sides = one_run(
        counted("fix", mine[0], None if len(set(mine)) == 1 else mine[1]),
        counted("code", other[0], None if len(set(other)) == 1 else other[1]),
    )
    held = [10 * a <= tenths * b for a in mine for b in other]
    expected = PASS if all(held) else UNCLEAR if any(held) else FAIL

    assert expected is judge(check(f"rows <= {tenths / 10}x", "fix/code"), sides).verdict


def test_the_base_is_the_same_variant_of_the_other_run() -> None:
    sides = two_runs(counted("fix", 6), counted("fix", 5))
    found = judge(check("rows <= 1x", "fix@base"), sides)

    assert (found.verdict, found.said) == (FAIL, "rows 6 against 5")


def test_a_variant_that_the_base_lacks_is_an_error() -> None:
    found = judge(
        check("time < 5%", "fix@base"), two_runs(timed("fix", [1.0]), timed("old", [1.0]))
    )

    assert (found.verdict, found.said) == (Word.ERROR, "the base has no fix")


# Which clock


def clock(*variants: Measured, metric: str = "time") -> str:
    return decide.clock(check(f"{metric} < 1s"), variants)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.1, "wall"), (0.89, "wall"), (0.9, "cpu"), (1.0, "cpu"), (1.2, "wall")],
)
def test_code_that_computes_alone_goes_by_processor_time(share: float, expected: str) -> None:
    assert expected == clock(timed("fix", [1.0] * 8, share))


@pytest.mark.parametrize("metric", ["cpu", "wall"])
def test_a_clock_that_is_named_is_taken(metric: str) -> None:
    assert metric == clock(timed("fix", [1.0], 0.5), metric=metric)


def test_waiting_for_a_processor_counts_as_computing() -> None:
    starved = [sample(number, [2.0], [1.0], run_queue=(0.9,)) for number in range(8)]
    asleep = [sample(number, [2.0], [1.0], run_queue=(0.1,)) for number in range(8)]

    assert [clock(measured("fix", *one)) for one in (starved, asleep)] == ["cpu", "wall"]


def test_both_go_by_the_wall_where_only_one_side_computes() -> None:
    busy, idle = timed("fix", [1.0] * 9), timed("code", [1.0] * 3, 0.1)

    assert [clock(busy, busy), clock(busy, idle), clock(idle, busy)] == ["cpu", "wall", "wall"]


def test_nothing_timed_has_no_processor_time() -> None:
    assert clock(measured("fix")) == "wall"


def test_the_clock_decides_which_times_are_judged() -> None:
    computing = [sample(number, [4.0, 2.0], [3.9, 1.9]) for number in range(8)]
    waiting = [sample(number, [4.0, 2.0], [0.4, 0.2]) for number in range(8)]
    found = [
        judge(check("time < 1m"), one_run(measured("fix", *one))) for one in (computing, waiting)
    ]

    assert [(one.clock, one.value) for one in found] == [("cpu", 1.9), ("wall", 2.0)]
    assert [one.said for one in found] == [
        "processor time 1.9 s (1.9 s to 1.9 s)",
        "wall time 2 s (2 s to 2 s)",
    ]


# Measured figures


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("< 5%", FAIL), ("< 15%", PASS), ("< 10%", UNCLEAR), ("> 5%", PASS), ("> 15%", FAIL)],
)
def test_a_change_is_judged_by_both_ends_of_its_interval(limit: str, expected: Word) -> None:
    found = judge(check(f"time {limit}", "fix@base"), change(1.1))

    assert expected is found.verdict
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert 1.09 < found.low <= found.value <= found.high < 1.11


def test_a_ratio_compares_two_variants_of_a_run() -> None:
    sides = one_run(timed("fix", near(1.0)), timed("code", near(4.0)))
    found = judge(check("time < 0.3x", "fix/code"), sides)

    assert found.verdict is PASS
    assert found.said.startswith("processor time 0.25x (0.2")


def test_the_sentence_of_a_change_has_signs_and_percent() -> None:
    same = timed("fix", [1.0] * 8)

    assert judge(check("time < 5%", "fix@base"), two_runs(timed("fix", [1.1] * 8), same)).said == (
        "processor time +10.0% (+10.0% to +10.0%)"
    )


def test_the_floor_is_the_fastest_value_and_typical_the_middle_one() -> None:
    slow = measured("fix", *[sample(number, [1.0, 6.0, 9.0]) for number in range(8)])
    base = measured("fix", *[sample(number, [1.0, 2.0, 9.0]) for number in range(8)])
    found = [
        judge(check(f"time{statistic} < 5%", "fix@base"), two_runs(slow, base))
        for statistic in ("", ".floor", ".typical")
    ]

    assert [one.verdict for one in found] == [PASS, PASS, FAIL]
    assert pytest.approx([1.0, 1.0, 3.0]) == [one.value for one in found]


def test_memory_is_compared_and_shown_in_bytes() -> None:
    def with_memory(size: int) -> Measured:
        return measured("fix", *[sample(number, [1.0], peak_rss=size) for number in range(8)])

    absolute = judge(check("peak_rss < 64MiB"), one_run(with_memory(2**26)))
    grown = judge(check("peak_rss < 10%", "fix@base"), two_runs(with_memory(120), with_memory(100)))

    assert (
        absolute.verdict,
        absolute.said,
        absolute.clock,
    ) == (FAIL, "peak memory 64 MiB (64 MiB to 64 MiB)", "memory")
    assert (grown.verdict, grown.said) == (FAIL, "peak memory +20.0% (+20.0% to +20.0%)")


@pytest.mark.parametrize("metric", ["time", "time.typical", "peak_rss"])
def test_a_base_of_another_run_may_have_another_number_of_rounds(metric: str) -> None:
    now, before = timed("fix", near(1.0, 8)), timed("fix", near(1.0, 12))
    found = judge(check(f"{metric} < 5%", "fix@base"), two_runs(now, before, paired=False))

    assert (found.verdict, found.rounds) == (PASS, 8)


def test_variants_of_one_run_are_paired_though_the_base_is_not() -> None:
    slow_rounds = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 1.0, 4.0]
    change = {"fix": timed("fix", slow_rounds), "code": timed("code", [2 * v for v in slow_rounds])}
    found = judge(check("time < 0.6x", "fix/code"), Sides(change, {}, paired=False))

    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("metric", ["time", "time.typical", "peak_rss"])
@pytest.mark.parametrize(
    ("rounds", "said"), [(0, "nothing was timed"), (1, "1 rounds"), (7, "7 rounds are too few")]
)
def test_too_few_rounds_say_nothing(rounds: int, said: str, metric: str) -> None:
    found = judge(check(f"{metric} < 0.5x", "fix@base"), change(9.0, rounds))

    assert (UNCLEAR, rounds) == (found.verdict, found.rounds)
    assert found.said.startswith(said)
    assert judge(check(f"{metric} < 0.5x", "fix@base"), change(9.0, 8)).verdict is FAIL


def test_a_time_below_the_clocks_resolution_says_nothing() -> None:
    found = judge(check("cpu < 1s"), one_run(timed("fix", [1.0] * 8, share=0.0)))

    assert (found.verdict, found.said) == (UNCLEAR, "processor time too small to measure")


# What a pass would have caught


@pytest.mark.parametrize(
    ("target", "limit", "expected"),
    [
        ("fix@base", "< 5%", True),
        ("fix@base", "<= 1.05x", True),
        ("fix@base", "> 0.5x", False),
        ("fix/other", "< 2x", False),
        ("fix", "< 1h", False),
    ],
)
def test_only_a_limit_of_a_slow_down_has_a_smallest_one(
    target: str,
    limit: str,
    expected: bool,  # noqa: FBT001
) -> None:
    base = timed("fix", near(1.0)[::-1])
    fix = timed("fix", near(1.0))
    found = judge(check(f"time {limit}", target), Sides({"fix": fix, "other": base}, {"fix": base}))

    assert (PASS, expected) == (found.verdict, found.detectable is not None)


def test_the_smallest_slow_down_is_beyond_the_limit_by_what_a_fail_and_nine_in_ten_need() -> None:
    normal = NormalDist()
    for checks in (1, 4):
        found = judge(check("time < 5%", "fix@base"), change(1.0, 12, 0.01), checks)
        assert found.low is not None
        assert found.high is not None
        # The interval of a look: its error is 5 % / 5, on two sides.
        error_of_the_logarithm = math.log(found.high / found.low) / 2 / normal.inv_cdf(0.995)
        away = normal.inv_cdf(1 - 0.005 / checks) + normal.inv_cdf(0.9)
        expected = 1.05 * math.exp(away * error_of_the_logarithm) - 1

        assert pytest.approx(expected) == found.detectable
        assert expected > 0.05


def test_only_a_pass_says_what_it_would_have_caught() -> None:
    found = [judge(check("time < 5%", "fix@base"), change(ratio)) for ratio in (1.05, 1.2)]

    assert [(one.verdict, one.detectable) for one in found] == [(UNCLEAR, None), (FAIL, None)]


# Several checks

CHANGE = check("time < 5%", "fix@base")


def words(verdicts: Sequence[Judged]) -> list[Word]:
    return [one.verdict for one in verdicts]


def test_a_fail_shares_the_error_budget_and_a_pass_does_not() -> None:
    slower, same = change(1.08, 18, 0.03), change(1.0, 18, 0.02)

    assert [judge(CHANGE, slower, checks).verdict for checks in (1, 400)] == [FAIL, UNCLEAR]
    for checks in (1, 400):
        found = judge(CHANGE, same, checks)
        alone = judge(CHANGE, same)
        assert (PASS, alone.low, alone.high) == (found.verdict, found.low, found.high)


@pytest.mark.parametrize(("rounds", "most"), [(8, 1), (12, 20), (18, 1310)])
def test_so_few_rounds_are_no_evidence_among_so_many_checks(rounds: int, most: int) -> None:
    # Eight rounds all on one side happen once in 128 runs of the same code.
    allowed, refused = (judge(CHANGE, change(9.0, rounds), checks) for checks in (most, most + 1))

    assert words([allowed, refused]) == [FAIL, UNCLEAR]
    assert refused.said == (
        f"{judge(CHANGE, change(9.0, rounds)).said};"
        f" {rounds} rounds are too few for one fail among {most + 1} checks"
    )


@pytest.mark.usefixtures("few_draws")
def test_every_fail_leaves_more_of_the_budget_to_the_rest() -> None:
    # Twelve rounds are enough for a fail among twenty checks, not among more.
    early = [(CHANGE, change(1.5, 18))] * 3
    late = [(CHANGE, change(1.5, 12))] * 20

    assert words(judge_all([*late, *early])) == [FAIL] * 23
    assert words(judge_all([*late, *early[1:]], timed=23)) == [UNCLEAR] * 20 + [FAIL] * 2
    assert words(judge_all(late)) == [FAIL] * 20
    assert words(judge_all(late, timed=21)) == [UNCLEAR] * 20


def test_the_budget_is_shared_anew_until_nothing_more_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ten rounds are enough among twelve checks, nine among six, eight among three.
    monkeypatch.setattr(decide, "ERROR", 0.0235 * len(stats.LOOKS))
    asked = [(CHANGE, change(9.0, rounds)) for rounds in (8, 8, 8, 9, 9, 9, 10)]

    assert words(judge_all(asked)) == [FAIL] * 7
    assert words(judge_all(asked[:-1], timed=7)) == [UNCLEAR] * 6


def test_counted_work_takes_no_share_and_a_varying_count_stays_as_it_is() -> None:
    counts = [(check("rows <= 5"), one_run(counted("fix", *values))) for values in ((6,), (4, 6))]

    assert words(judge_all([*counts, (CHANGE, change(9.0, 8))])) == [FAIL, UNCLEAR, FAIL]


@pytest.mark.usefixtures("few_draws")
@given(
    ratios=st.lists(
        st.tuples(st.floats(0.9, 1.6), st.sampled_from([8, 12, 18])), min_size=1, max_size=12
    ),
    more=st.integers(0, 12),
)
@settings(
    max_examples=30,
    # The fixture is the same for every example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_judging_together_is_never_weaker_than_sharing_equally(
    ratios: list[tuple[float, int]], more: int
) -> None:
    timed = len(ratios) + more
    asked = [(CHANGE, change(ratio, number, 0.01)) for ratio, number in ratios]
    together = judge_all(asked, timed)
    equally = [judge(*one, timed) for one in asked]
    alone = [judge(*one) for one in asked]

    for mine, shared, single in zip(together, equally, alone, strict=True):
        assert mine.verdict == shared.verdict or (shared.verdict, mine.verdict) == (UNCLEAR, FAIL)
        assert mine.verdict == single.verdict or (single.verdict, mine.verdict) == (FAIL, UNCLEAR)


def test_more_rounds_are_for_what_is_measured_and_unclear() -> None:
    varying = judge(check("rows <= 5"), one_run(counted("fix", 4, 6)))
    settled = [judge(CHANGE, change(ratio)) for ratio in (1.0, 9.0)]
    unclear = [judge(CHANGE, sides) for sides in (change(1.05), change(1.0, 0))]

    assert decide.decided([varying, *settled])
    assert [decide.decided([varying, *settled, one]) for one in unclear] == [False, False]


# How often a gate is wrong


def process(draw: random.Random, machine: float) -> float:
    """Return the fastest of four values, each with the usual noise and now and then a spike."""
    return machine * min(
        draw.lognormvariate(0, 0.03) + (draw.expovariate(5) if draw.random() < 0.5 else 0)
        for _ in range(4)
    )


def growing(draw: random.Random, ratio: float) -> Iterator[tuple[int, Sides]]:
    """Yield a run of the same code, made slower by a factor, at every look."""
    fix, base = [], []
    for number in range(1, stats.LOOKS[-1] + 1):
        machine = draw.lognormvariate(0, 0.1)
        fix.append(ratio * process(draw, machine))
        base.append(process(draw, machine))
        if number in stats.LOOKS:
            yield number, two_runs(timed("fix", fix), timed("fix", base))


def gate(draw: random.Random, ratio: float, text: str) -> Judged:
    """Look until it is decided, as a gate does."""
    found = None
    for _, sides in growing(draw, ratio):
        found = judge(check(text, "fix@base"), sides)
        if decide.decided([found]):
            break
    assert found is not None
    return found


@pytest.mark.usefixtures("few_draws")
def test_exactly_at_the_limit_one_gate_in_twenty_may_be_wrong() -> None:
    draw = random.Random(11)
    runs = 300
    found = Counter(gate(draw, 1.10, "time < 10%").verdict for _ in range(runs))

    # The budget is 5 % for both ends together, and the bootstrap's ends are not exact.
    assert found[FAIL] / runs <= 0.05
    assert found[PASS] / runs <= 0.05


@pytest.mark.usefixtures("few_draws")
def test_the_same_code_never_fails_here_and_far_slower_code_always_does() -> None:
    draw = random.Random(12)
    same = Counter(gate(draw, 1.0, "time < 5%").verdict for _ in range(100))
    slower = Counter(gate(draw, 1.25, "time < 5%").verdict for _ in range(100))

    assert same[FAIL] == 0
    assert slower[FAIL] >= 90


@pytest.mark.usefixtures("few_draws")
def test_what_a_pass_calls_detectable_is_caught_nine_times_in_ten() -> None:
    draw = random.Random(13)
    passes = [one for one in (gate(draw, 1.0, "time < 10%") for _ in range(60)) if one.detectable]
    caught = [gate(draw, 1 + (one.detectable or 0), "time < 10%").verdict for one in passes]

    assert len(passes) >= 30
    assert caught.count(FAIL) / len(caught) >= 0.85


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("wrong", [0, 5])
def test_one_wrong_fail_among_many_checks_is_as_rare_as_in_one(
    wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One look with a tenth of error, half of it on the side of a fail.
    monkeypatch.setattr(decide, "ERROR", 0.1 * len(stats.LOOKS))
    draw = random.Random(14)
    runs = 100
    red = 0
    for _ in range(runs):
        ratios = [2.2] * wrong + [1.1] * (10 - wrong)
        asked = [
            (
                check("time < 10%", "fix@base"),
                next(itertools.islice(growing(draw, ratio), 1, None))[1],
            )
            for ratio in ratios
        ]
        verdicts = words(judge_all(asked))
        assert verdicts[:wrong] == [FAIL] * wrong
        red += FAIL in verdicts[wrong:]

    # Two standard errors of 100 runs are 4.4 %; without sharing it is every third run.
    assert red / runs <= 0.05 + 0.044
