"""Every sentence comes from the result, and changes with it."""

import math
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from unit.report.samples import (
    NAMES,
    bounded,
    change,
    change_variant,
    change_work,
    copy_times,
    count_only,
    judge,
    keep_rounds,
    left_aside,
    sample,
    slow_down,
    variant,
)

from perfkit import stats
from perfkit.report.words import Line, Report, compose
from perfkit.result import Given, Interval, Noise, NotRun, Result
from perfkit.units import Unit

X, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


def lever(result: Result, label: str = "prepared statements") -> Line:
    return next(line for line in compose(result).levers if label in line.text)


def fix(result: Result) -> Line:
    line = compose(result).fix
    assert line is not None
    return line


def check(result: Result, words: str) -> Line:
    return next(line for line in compose(result).checks if line.mark.words == words)


def checks(report: Report) -> list[str]:
    return [line.mark.words for line in report.checks]


def with_noise(result: Result, **changes: object) -> Result:
    calm: dict[str, object] = {"steal_share": 0.0, "run_queue_share": 0.0, "load_before": 0.1}
    noise: Noise = msgspec.structs.replace(result.noise, **{**calm, **changes})
    return change(result, noise=noise)


def with_share(result: Result, low: float, high: float) -> Result:
    """Return the result as if the first lever saved such a share of what the fix saves."""
    first, *others = result.verdicts
    share = Interval(ratio=(low + high) / 2, low=low, high=high, confidence=0.95)
    return change(result, verdicts=(msgspec.structs.replace(first, share=share), *others))


def test_a_lever_that_saves_nothing_measurable_saves_at_most_the_upper_end() -> None:
    near, far = sample(), sample("db-fetch-far")

    assert lever(near).text == "'prepared statements' saves at most 16% of what the fix saves."
    assert lever(near).strong == "at most 16%"
    assert lever(near).mark.words == "wrong lever"
    assert lever(far).text == "'prepared statements' saves at most 3% of what the fix saves."


@given(some.floats(-2, 0.0499), some.floats(0, 0.4999))
def test_at_most_is_never_below_the_true_upper_end(low: float, high: float) -> None:
    result = with_share(sample(), low, max(low, high))

    promised = lever(result).strong.removeprefix("at most ").removesuffix("%")

    assert int(promised) / 100 >= max(low, high, 0)


def test_a_lever_without_a_positive_share_saves_at_most_nothing() -> None:
    assert lever(with_share(sample(), -0.3, -0.01)).strong == "at most 0%"


def test_a_slower_lever_saves_nothing_and_says_so() -> None:
    line = lever(sample(), "8 threads")

    assert line.text == (
        f"'8 threads on a pool of 8' saves nothing; it is slower (0.72{X} the naive speed)."
    )
    assert line.mark.words == "wrong lever"


def test_a_lever_that_saves_a_part_tells_what_it_leaves() -> None:
    result = sample("db-first-row")

    assert lever(result, "loop over").text == (
        f"'loop over the cursor and break' saves 18{DASH}41% of what the fix saves,"
        " and leaves bytes received at 2,188,969."
    )
    inexact = change_work(result, "break-loop", "bytes_in", value=1_000, exact=False)
    assert "leaves bytes received at about 1,000." in lever(inexact, "loop over").text


def test_a_lever_that_saves_half_is_called_what_it_is() -> None:
    line = lever(sample("db-fetch-far"), "8 threads")

    assert line.text == (
        f"'8 threads on a pool of 8' helps here: 7.1{X} faster, 86{DASH}87% of what the fix"
        f" saves; it still costs 201 round trips, and the fix is 27.7{X} faster than it."
    )
    assert str(line.mark) == "◐ helps here"
    assert line.why.startswith("Threads let round trips overlap")


def test_a_lever_that_helps_claims_only_what_was_counted() -> None:
    far, name = sample("db-fetch-far"), "ask-per-row-threaded"
    fewer = change_work(far, name, "round_trips", value=26)
    uncounted = change_variant(far, name, work={})

    assert "it costs 26 of 201 round trips, and" in lever(fewer, "8 threads").text
    assert "cost" not in lever(uncounted, "8 threads").text
    assert "; the fix is 27.7" in lever(uncounted, "8 threads").text


def test_a_lever_as_good_as_the_fix_is_not_belittled() -> None:
    far = copy_times(sample("db-fetch-far"), "ask-once", "ask-per-row-threaded", 1.0)

    assert lever(far, "8 threads").text.endswith(", and the fix is no faster than it.")
    assert lever(far, "8 threads").mark.words == "helps here"


def test_a_lever_that_may_save_much_or_nothing_is_unclear() -> None:
    assert lever(with_share(sample(), -0.4, 0.821)).text == (
        "It is unclear whether 'prepared statements' helps:"
        " it saves at most 83% of what the fix saves."
    )


@pytest.mark.parametrize("number", [1, 2, stats.FEWEST - 1])
def test_with_few_rounds_all_is_unclear_and_the_reason_is_given(number: int) -> None:
    result = keep_rounds(sample(), number)
    report = compose(result)
    rounds = "1 round" if number == 1 else f"{number} rounds"

    assert report.notices == (
        f"No intervals after {rounds}: an exact 95% interval needs 6 rounds.",
    )
    assert lever(result).text == (
        f"It is unclear what 'prepared statements' saves: no interval after {rounds}."
    )
    assert fix(result).strong == "unclear"
    assert report.times is not None
    assert {row.interval for row in report.times.rows} == {""}


def test_enough_rounds_need_no_notice() -> None:
    assert compose(sample()).notices == ()
    assert compose(keep_rounds(sample(), stats.FEWEST)).notices == ()


def test_the_fix_tells_its_speed_and_what_became_of_the_cause() -> None:
    assert fix(sample()).text == f"'one JOIN for the page' is 116{X} faster: round trips 201 → 1."
    assert str(fix(sample()).mark) == "✓ fix"


def test_a_sentence_follows_the_counted_work() -> None:
    result = change_work(sample(), "ask-once", "round_trips", value=7)
    result = change_work(result, "ask-per-row", "round_trips", value=1_234)

    assert fix(result).text.endswith(": round trips 1,234 → 7.")
    assert compose(result).work.rows[3].divided == "÷ 176.3"


def test_a_sentence_follows_the_times() -> None:
    assert "11.6" in fix(slow_down(sample(), "ask-once", 10)).text


def test_a_fix_that_leaves_the_cause_says_so() -> None:
    result = change_work(sample(), "ask-once", "round_trips", value=201)

    assert fix(result).text.endswith("faster: round trips still 201.")
    assert compose(result).work.rows[3].divided == ""


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1.0, f"'one JOIN for the page' makes no difference here (1.00{X}, 1.00 {DASH} 1.00)"),
        (2.0, f"'one JOIN for the page' is slower here (0.50{X}, 0.50 {DASH} 0.50)"),
    ],
)
def test_a_fix_that_does_not_help_is_not_called_one(factor: float, text: str) -> None:
    result = copy_times(sample(), "ask-per-row", "ask-once", factor)

    assert fix(result).text == f"{text}: round trips 201 → 1."
    assert str(fix(result).mark) == "! fix"
    assert str(compose(result).work.rows[3].mark) == "! fixed"


def test_an_unclear_fix_is_unclear() -> None:
    result = change_variant(
        sample(), "ask-once", samples=variant(sample(), "ask-per-row-prepared").samples
    )

    assert fix(judge(result)).text == (
        f"It is unclear whether 'one JOIN for the page' helps here (1.03{X}, 0.90 {DASH} 1.18):"
        " round trips 201 → 1."
    )


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (0.5, f"'prepared statements' is 2.1{X} faster; the fix saves nothing to hold it to."),
        (1.0, "It is unclear whether 'prepared statements' helps; the fix saves nothing"),
        (2.0, f"'prepared statements' saves nothing; it is slower (0.51{X} the naive speed)."),
    ],
)
def test_where_the_fix_saves_nothing_levers_stand_alone(factor: float, text: str) -> None:
    useless = copy_times(sample(), "ask-per-row", "ask-once", 1.0)

    assert lever(slow_down(useless, "ask-per-row-prepared", factor)).text.startswith(text)


def test_an_idle_lever_beside_an_idle_fix_makes_no_difference() -> None:
    useless = copy_times(sample(), "ask-per-row", "ask-once", 1.0)
    idle = copy_times(useless, "ask-per-row", "ask-per-row-prepared", 1.0)

    assert "makes no difference; the fix saves nothing" in lever(idle).text


def test_further_fixes_and_partial_ones_have_a_line_each() -> None:
    second, partial = compose(sample()).others

    assert second.text == (
        f"'two queries, the second with = ANY' is 46{X} faster: round trips 201 → 2."
    )
    assert str(second.mark) == "✓ fix"
    assert partial.text == (
        f"'pipeline mode' is 4.7{X} faster, 78{DASH}82% of what the fix saves: round trips 201 → 2."
    )
    assert str(partial.mark) == "◐ partial fix"
    assert partial.why.startswith("It waits once")


def test_a_fix_that_removes_the_whole_cause_has_no_factor() -> None:
    result = change_work(sample(), "ask-once", "round_trips", value=0)

    assert compose(result).work.rows[3].divided == "none left"


def test_only_fixes_are_credited_with_a_factor() -> None:
    result = change_work(sample(), "ask-per-row-prepared", "round_trips", value=26)

    factors = [row.divided for row in compose(result).work.rows]

    assert factors == ["", "", "", "÷ 201", "÷ 100.5", "÷ 100.5"]


def test_inexact_counts_are_about() -> None:
    result = sample("db-first-row")
    row = compose(result).work.rows[6]

    assert [count.text for count in row.counts] == ["~549,176", "~2,508", "= 1"]
    assert row.divided == "÷ ~4"
    assert "2,188,969 → about 549,176." in compose(result).others[1].text
    assert "except in bytes received and rows of 'stream() and break'" in (
        check(result, "counts").text
    )
    assert check(result, "counts").mark.sign == "!"


def test_a_count_that_is_missing_is_a_dash_and_no_sentence_mentions_it() -> None:
    result = change_variant(sample(), "ask-once", work={})

    assert {count.text for count in compose(result).work.rows[3].counts} == {DASH}
    assert fix(result).text == f"'one JOIN for the page' is 116{X} faster."


def test_only_an_exact_figure_counts_as_the_same() -> None:
    result = change_work(sample(), "ask-per-row-prepared", "rows", exact=False)

    same = [count.same for count in compose(result).work.rows[1].counts]

    assert same == [True, True, False, True]


def test_witnesses_that_agree_are_named() -> None:
    line = check(sample(), "counts")

    assert line.text == (
        "Two counting passes agree; statements confirmed by libpq trace,"
        " rows by pg_stat_statements, bytes received by TCP_INFO."
    )
    assert line.mark.sign == "✓"


def test_a_witness_that_disagrees_confirms_nothing_and_is_named() -> None:
    result = change_work(sample(), "ask-once", "rows", others={"pg_stat_statements": 150})
    line = check(result, "counts")

    assert "rows by" not in line.text
    assert line.text.endswith(
        " Rows of 'one JOIN for the page': libpq trace counted 200, pg_stat_statements 150."
    )
    assert line.mark.sign == "!"


def test_without_a_second_witness_the_passes_stand_alone() -> None:
    result = sample()
    for known in result.variants:
        for counter in known.work:
            result = change_work(result, known.name, counter, others={})

    assert check(result, "counts").text == "Two counting passes agree."


def test_answers_name_what_was_returned() -> None:
    assert check(sample(), "answers").text == "All variants returned the same 200 rows."
    changed = change(sample(), answer="3 rows")
    assert check(changed, "answers").text == "All variants returned the same 3 rows."


def bound(result: Result) -> Line:
    return compose(result).bounds[0]


def test_a_prediction_is_told_with_its_reason_and_what_was_measured() -> None:
    first, second = compose(bounded()).bounds

    assert first.text == (
        f"'8 threads on a pool of 8' can be 8{X} faster at most (8 workers share 8"
        f" connections); measured 7.1{X} (6.8 {DASH} 7.3)."
    )
    assert str(first.mark) == str(second.mark) == "✓ bound"
    assert first.strong == f"8{X} faster at most"
    assert f"can be 201{X} faster at most (201 round trips / 1 that is left)" in second.text


def test_a_prediction_does_not_hold_where_all_of_the_interval_is_above_it() -> None:
    verdict = bounded().verdict("ask-per-row-threaded")
    assert verdict is not None
    low = verdict.typical.low
    assert low is not None
    assert low < verdict.typical.ratio

    assert str(bound(bounded(low)).mark) == "✓ bound"
    broken = bound(bounded(math.nextafter(low, 0)))
    assert str(broken.mark) == "! bound"
    assert broken.mark.tone == "alert"
    assert broken.text.endswith(
        f"; measured 7.1{X} (6.8 {DASH} 7.3), which is more: the prediction does not hold here."
    )


def test_a_prediction_that_cannot_be_held_to_anything_says_so() -> None:
    counted = bound(bounded(result=count_only()))
    few = bound(bounded(0.5, keep_rounds(sample("db-fetch-far"), 3)))

    assert counted.text.endswith("; not timed.")
    assert few.text.endswith(f"measured 7.0{X}, no interval after 3 rounds.")
    assert str(counted.mark) == str(few.mark) == f"{DASH} bound"


def test_a_prediction_may_be_that_a_variant_is_no_faster() -> None:
    assert bound(bounded(1.0)).strong == f"1{X} as fast at most"


def test_what_predicts_nothing_has_no_such_line() -> None:
    assert compose(sample()).bounds == ()


def test_what_was_not_run_is_named_and_not_credited_with_an_answer() -> None:
    left, usual = left_aside(), sample("db-first-row")

    first, second = (line.text for line in compose(left).not_run)
    assert first.startswith("'all at once': it needs 16 GiB of memory for all that it asks at once")
    assert second == "'ask twice': 10,000 rows are too many for it."
    assert compose(usual).not_run == ()
    assert check(left, "answers").text.startswith("All variants that ran returned the same ")
    assert check(usual, "answers").text.startswith("All variants returned the same ")


def test_a_calm_machine_is_called_calm() -> None:
    line = check(with_noise(sample("db-fetch-far")), "noise")

    assert line.text.startswith("A calm machine: rounds vary by ±2%.")
    assert line.mark.sign == "✓"


def test_rounds_that_vary_ask_to_read_the_intervals() -> None:
    line = check(with_noise(sample()), "noise")

    assert line.text.startswith("Rounds vary by ±11%: read the intervals, not the ratios.")
    assert line.mark.sign == "!"


@pytest.mark.parametrize(
    ("disturbance", "text"),
    [
        ({"run_queue_share": 0.25}, "the workers waited for a processor 25% of the time"),
        ({"steal_share": 0.04}, "the hypervisor took 4% of the processors' time"),
        ({"load_before": 2.5}, "2.5 tasks a core ran before the run"),
    ],
)
def test_a_busy_machine_is_called_busy_and_why(disturbance: dict[str, float], text: str) -> None:
    line = check(with_noise(sample("db-fetch-far"), **disturbance), "noise")

    assert line.text.startswith(f"A busy machine: rounds vary by ±2% and {text}.")
    assert line.mark.sign == "!"


def test_noise_that_nobody_could_measure_is_not_mentioned() -> None:
    result = with_noise(sample("db-fetch-far"), run_queue_share=None, steal_share=None)

    assert check(result, "noise").text.startswith("A calm machine")


def test_nobody_is_sent_to_intervals_that_are_not_there() -> None:
    line = check(with_noise(keep_rounds(sample(), 3)), "noise")

    assert line.text.startswith("Rounds vary by ±11%.")


def test_one_round_says_nothing_of_noise() -> None:
    assert "noise" not in checks(compose(keep_rounds(sample(), 1)))


def test_the_budget_is_mentioned_only_where_it_ended_the_run() -> None:
    text = " The budget of 20 s ended the run with ratios known to ±16% or better."

    assert check(sample(), "noise").text.endswith(text)
    assert text not in check(change(sample(), stopped="rounds"), "noise").text
    assert "budget of 5 s" in check(change(sample(), budget=5.0), "noise").text


def test_an_interrupted_run_says_so_first() -> None:
    result = change(keep_rounds(sample(), 3), stopped="interrupted")

    assert compose(result).notices[0] == "Partial: stopped after 3 rounds."
    assert len(compose(result).notices) == 2


def test_a_session_is_no_fresh_process() -> None:
    assert "isolation" not in checks(compose(sample()))
    line = check(change(sample(), isolation="session"), "isolation")
    assert line.text == "Measured inside one session, not in fresh processes."
    assert line.mark.sign == "!"


def test_counts_alone_say_nothing_of_time() -> None:
    report = compose(count_only())

    assert report.times is None
    assert report.facts[-1] == "not timed"
    assert checks(report) == ["answers", "counts"]
    assert report.fix is not None
    assert report.fix.text == "'one JOIN for the page' was not timed: round trips 201 → 1."
    assert report.levers[0].text == ("'prepared statements' was not timed: round trips still 201.")
    assert [step.command for step in report.steps] == [
        "perfkit explain db-fetch",
        "perfkit probe db-fetch",
    ]


def test_a_result_without_a_fix_can_be_told() -> None:
    variants = tuple(known for known in sample().variants if known.role != "fixed")

    report = compose(judge(change(sample(), variants=variants)))

    assert report.fix is None
    assert "nothing to hold it to" in report.levers[0].text


def test_facts_are_the_component_the_parameters_and_the_rounds() -> None:
    result = change(sample(), params={"wait": Given(0.002, Unit.SECONDS), "mode": Given("deep")})

    assert compose(result).facts == (
        "PostgreSQL 18.6 (embedded), round trip 62.7 µs",
        "wait=2 ms",
        "mode=deep",
        "10 rounds",
    )


def test_distance_is_proposed_only_where_it_can_be_added() -> None:
    def commands(result: Result) -> list[str]:
        return [step.command for step in compose(result).steps]

    near = sample()
    unknown = change(near, component=msgspec.structs.replace(near.component, rtt=None))

    assert commands(near) == ["perfkit explain db-fetch", "perfkit probe db-fetch --rtt 2ms"]
    assert commands(sample("db-fetch-far")) == ["perfkit explain db-fetch"]
    assert commands(unknown) == ["perfkit explain db-fetch"]


def test_a_probe_name_from_a_file_cannot_add_a_command() -> None:
    report = compose(change(sample(), probe="x; rm -rf ~"))

    assert report.steps[0].command == "perfkit explain 'x; rm -rf ~'"


@pytest.mark.parametrize("text", ["a\nb", "a\x1bb", "a\rb", "a\u202eb", "a\x07b", "a\u2028b"])
def test_control_characters_from_a_file_are_not_printed(text: str) -> None:
    result = change_variant(change(sample(), title=text, answer=text), "ask-once", label=text)
    report = compose(result)

    assert report.title == "a b"
    assert report.work.rows[3].label == "a b"
    assert fix(result).text.startswith("'a b' is")
    assert check(result, "answers").text == "All variants returned the same a b."

    left = change(result, not_run=(NotRun("left", "fixed", text, text),))
    assert [line.text for line in compose(left).not_run] == ["'a b': a b."]


@pytest.mark.parametrize("name", NAMES)
def test_times_and_bars_are_those_of_the_process_medians(name: str) -> None:
    result = sample(name)
    times = compose(result).times

    assert times is not None
    for row, known in zip(times.rows, result.variants, strict=True):
        medians = [sorted(one.wall) for one in known.samples]
        middles = [(values[1] + values[2]) / 2 for values in medians]
        assert row.seconds == pytest.approx(stats.quantile(middles, 0.5))
        assert row.tail == pytest.approx(stats.quantile(middles, 0.9))
        scale = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[times.unit]
        assert float(row.time) * scale == pytest.approx(row.seconds, rel=0.05)
        assert math.isfinite(float(row.cpu))


def test_words_do_without_rich() -> None:
    code = "import sys, perfkit.report.markdown; print('rich' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
