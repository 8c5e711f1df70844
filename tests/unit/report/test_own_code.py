"""Reports of a user's own code: maybe one variant, and no counter known to explain the time."""

from __future__ import annotations

from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console
from unit.report.samples import change, change_variant, judge, keep_rounds, sample, variant

from perfkit.report.markdown import render as markdown
from perfkit.report.terminal import render
from perfkit.report.words import compose
from perfkit.result import NOTHING, Result, decode, encode


def alone(**changes: object) -> Result:
    result = sample()
    return judge(change(result, cause="", variants=(result.naive,), **changes))


def without_cause() -> Result:
    return change(sample(), cause="")


def drawn(result: Result, width: int) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(render(result, width))
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


def test_a_result_without_cause_or_second_variant_is_whole() -> None:
    result = alone()
    assert decode(encode(result), "x") == result


@pytest.mark.parametrize("width", [62, 80, 120])
def test_one_variant_is_compared_with_nothing(width: int) -> None:
    text = drawn(alone(), width)

    assert "measured" in text
    for word in ("speed-up", "naive", "interval", "→ next", "All variants", "÷"):
        assert word not in text
    assert max(map(len, text.splitlines())) <= width
    assert "\n\n\n" not in text


def test_one_variant_is_compared_with_nothing_in_markdown() -> None:
    text = markdown(alone())

    assert "speed-up" not in text
    assert "\n\n\n" not in text
    assert "All calls returned the same" in text


def test_few_rounds_of_one_variant_lack_no_interval() -> None:
    assert compose(keep_rounds(alone(), 2)).notices == ()


def test_the_budget_ends_a_run_of_one_variant_without_ratios() -> None:
    noise = next(line for line in compose(alone(stopped="budget")).checks if "ended" in line.text)

    assert noise.text.endswith("ended the run.")


def test_without_a_cause_sentences_speak_of_the_time_alone() -> None:
    report = compose(without_cause())

    assert not any(counter.cause for counter in report.work.counters)
    assert report.fix is not None
    assert report.fix.text.endswith("faster.")
    assert all(not row.divided for row in report.work.rows)
    assert report.steps == ()


def test_counters_that_counted_nothing_are_not_shown() -> None:
    result = without_cause()
    for known in result.variants:
        work = {name: structs.replace(one, value=0) for name, one in known.work.items()}
        work["rows"] = known.work["rows"]
        work.pop("statements")
        result = change_variant(result, known.name, work=work)

    assert [counter.words for counter in compose(result).work.counters] == [result.counters["rows"]]
    assert len(compose(change(result, cause="round_trips")).work.counters) == len(result.counters)


def test_answers_that_hold_nothing_are_not_called_the_same() -> None:
    assert compose(alone(answer=NOTHING)).checks[0].text == "There was no answer to compare."
    assert variant(alone(), "ask-per-row").role == "naive"
