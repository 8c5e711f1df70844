"""Two stored results: no variant may do more work or take more time."""

from pathlib import Path

import msgspec
import pytest
from unit.report import gates
from unit.report.samples import (
    change,
    change_variant,
    change_work,
    judge,
    keep_rounds,
    slow_down,
    variant,
)
from unit.report.samples import sample as golden

from perfkit.errors import NothingMatched, UnreadableFile
from perfkit.gate.comparison import compare
from perfkit.gate.stored import Stored
from perfkit.outcome import Gate, decode, encode
from perfkit.result import Result
from perfkit.verdict import Word

BEFORE, AFTER = Path("before.json"), Path("after.json")
VARIANTS = ["ask-per-row", "ask-once"]


def sample() -> Result:
    """Return a result of two variants: the fewer checks, the fewer rounds they take."""
    return judge(change(golden(), variants=tuple(variant(golden(), name) for name in VARIANTS)))


def count_only() -> Result:
    return change(keep_rounds(sample(), 0), stopped="counted")


def compared(then: Result, now: Result, limit: str = "5%") -> Gate:
    gate = compare(Stored(BEFORE, {}, then), Stored(AFTER, {}, now), limit)
    assert decode(encode(gate), "test") == gate
    return gate


def verdicts(gate: Gate) -> dict[str, Word]:
    (one,) = gate.scenarios
    return {f"{judged.target}: {judged.check}": judged.verdict for judged in one.judged}


def test_a_result_is_as_good_as_itself() -> None:
    gate = compared(sample(), sample(), "25%")

    expected = {
        f"{variant.name}@base: {counter} <= 1x"
        for variant in sample().variants
        for counter in variant.work
    } | {f"{name}@base: time < 25%" for name in VARIANTS}
    assert set(verdicts(gate)) == expected
    assert set(verdicts(gate).values()) == {Word.PASS}
    assert gate.verdict is Word.PASS
    assert gate.base == "before.json"
    assert gate.started == sample().started


def test_one_statement_more_is_found() -> None:
    gate = compared(sample(), change_work(sample(), "ask-once", "statements", value=2))

    assert verdicts(gate)["ask-once@base: statements <= 1x"] is Word.FAIL
    assert list(verdicts(gate).values()).count(Word.FAIL) == 1
    assert gate.verdict is Word.FAIL


def test_less_work_passes() -> None:
    gate = compared(sample(), change_work(sample(), "ask-per-row", "statements", value=1), "25%")

    assert gate.verdict is Word.PASS


def test_a_variant_that_takes_longer_than_the_limit_allows_is_found() -> None:
    slower = slow_down(sample(), "ask-once", 2.0)

    assert verdicts(compared(sample(), slower))["ask-once@base: time < 5%"] is Word.FAIL
    assert verdicts(compared(sample(), slower, "4x"))["ask-once@base: time < 4x"] is Word.PASS
    assert compared(slower, sample(), "25%").verdict is Word.PASS


def test_times_of_another_machine_are_unfit_and_work_is_compared() -> None:
    there = msgspec.structs.replace(sample().machine, fingerprint="0", cores=64)
    more = change_work(change(sample(), machine=there), "ask-once", "statements", value=9)

    gate = compared(more, sample())
    (one,) = gate.scenarios

    assert {judged.verdict for judged in one.judged if judged.check.startswith("time")} == {
        Word.UNFIT
    }
    assert {judged.verdict for judged in one.judged if "time" not in judged.check} == {Word.PASS}
    assert one.unfit.startswith("the base is of another machine: processor 64 x")
    assert gate.verdict is Word.UNFIT


def test_other_parameters_do_not_compare() -> None:
    gate = compared(change(sample(), params={}), sample())

    assert set(verdicts(gate).values()) == {Word.ERROR}
    assert gate.scenarios[0].judged[0].said == "before.json measured another orders: none, not 200"


def test_runs_of_different_lengths_compare() -> None:
    gate = compared(keep_rounds(sample(), 9), sample())

    assert Word.ERROR not in verdicts(gate).values()


def test_what_was_only_counted_is_only_compared_by_its_counts() -> None:
    gate = compared(count_only(), sample())

    assert not any("time" in check for check in verdicts(gate))
    assert gate.verdict is Word.PASS


def test_variants_and_counters_of_one_file_alone_are_left_out() -> None:
    work = {"rows": variant(sample(), "ask-per-row").work["rows"]}
    counted = change_variant(count_only(), "ask-per-row", work=work)
    then = change(counted, variants=counted.variants[:1], verdicts=())

    gate = compared(then, sample())

    assert list(verdicts(gate)) == ["ask-per-row@base: rows <= 1x"]


def test_nothing_in_common_is_no_pass() -> None:
    bare = change_variant(count_only(), "ask-per-row", work={})

    gate = compared(change(bare, variants=bare.variants[:1]), sample())

    assert (gate.verdict, gate.scenarios[0].judged) == (Word.NOTHING, ())


def test_gates_are_compared_by_the_names_of_their_scenarios() -> None:
    then = {"a": sample(), "b": sample(), "c": sample()}
    now = {"b": sample(), "a": sample(), "d": sample()}

    gate = compare(Stored(BEFORE, then), Stored(AFTER, now), "25%")

    assert [one.name for one in gate.scenarios] == ["b", "a"]


def test_no_scenario_in_common_is_refused() -> None:
    with pytest.raises(NothingMatched) as caught:
        compare(Stored(BEFORE, {"a": sample()}), Stored(AFTER, {}), "5%")

    assert caught.value.what == "before.json and after.json have no scenario in common"
    assert caught.value.why == "one has a; the other none"


@pytest.mark.parametrize("limit", ["5", "soon", "", "5s", "-5%", "5% or so"])
@pytest.mark.parametrize("results", [(sample(), sample()), (count_only(), count_only())])
def test_a_limit_that_is_no_change_is_refused_even_where_nothing_was_timed(
    limit: str, results: tuple[Result, Result]
) -> None:
    with pytest.raises(UnreadableFile, match="--limit"):
        compared(*results, limit)


def test_saved_gates_of_every_kind_compare_with_themselves() -> None:
    results = {one.name: one.result for one in gates.every().scenarios if one.result is not None}

    gate = compare(Stored(BEFORE, results), Stored(AFTER, results), "40%")

    assert len(gate.scenarios) == len(results)
    assert {one.verdict for one in gate.scenarios} <= {Word.PASS, Word.INCONCLUSIVE}
