"""What programs read of a gate: each file is opened by the tool or the library it is for."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from junitparser import JUnitXml, Properties
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_text_to_families
from unit.report import gates
from unit.report.samples import change, keep_rounds, sample, variant

from perfkit.errors import CannotRun
from perfkit.gate import session
from perfkit.outcome import SCHEMA, Gate, decode, encode
from perfkit.report import bencher, benchmark_action, gate_words, junit, openmetrics, pyperf_file
from perfkit.report.words import clean
from perfkit.result import Measured
from perfkit.verdict import Word

EVERY = pytest.mark.parametrize("text", gates.HOSTILE)
TIMED = {
    f"{scenario}/{one.name}"
    for scenario, result in {
        "orders-page": sample(),
        "orders-page-cloud": sample(),
        "no-rows": sample(),
        "from-nothing": sample(),
        "latest-event": sample("db-first-row"),
    }.items()
    for one in result.variants
}


@cache
def every() -> Gate:
    return gates.every()


@cache
def hostile(text: str) -> Gate:
    return gates.hostile(text)


def read_back() -> Gate:
    """Return the gate as a file has it: what has no end is not in it."""
    return decode(encode(every()), "gate.json")


# JUnit, read by junitparser


def suites(gate: Gate) -> dict[str, Any]:
    return {suite.name: suite for suite in JUnitXml.fromstring(junit.render(gate).encode())}


def outcomes(suite: Any) -> dict[str, str]:
    return {case.name: type(case.result[0]).__name__ if case.result else "passed" for case in suite}


def test_a_suite_a_scenario_and_a_case_a_check() -> None:
    found = suites(every())

    assert list(found) == [scenario.name for scenario in every().scenarios]
    for scenario in every().scenarios:
        checks = [f"{one.target}: {one.check}" for one in scenario.judged]
        assert [case.name for case in found[scenario.name]] == checks or [str(scenario.verdict)]


def test_verdicts_become_what_junit_knows() -> None:
    kinds = {
        Word.PASS: "passed",
        Word.FAIL: "Failure",
        Word.INCONCLUSIVE: "Skipped",
        Word.UNFIT: "Skipped",
        Word.ERROR: "Error",
        Word.DIFFERS: "Error",
        Word.NOTHING: "Error",
    }
    found = suites(every())

    for scenario in every().scenarios:
        cases = outcomes(found[scenario.name])
        if scenario.judged:
            assert cases == {
                f"{one.target}: {one.check}": kinds[one.verdict] for one in scenario.judged
            }
        else:
            assert cases == {str(scenario.verdict): kinds[scenario.verdict]}


def test_junit_counts_and_times_come_from_the_gate() -> None:
    xml = JUnitXml.fromstring(junit.render(every()).encode())
    words = [
        word
        for scenario in every().scenarios
        for word in ([one.verdict for one in scenario.judged] or [scenario.verdict])
    ]

    assert (xml.tests, xml.time) == (len(words), every().duration)
    assert xml.failures == words.count(Word.FAIL)
    assert xml.skipped == words.count(Word.INCONCLUSIVE) + words.count(Word.UNFIT)
    assert xml.errors == len(words) - xml.failures - xml.skipped - words.count(Word.PASS)
    assert [suite.time for suite in xml] == [
        pytest.approx(scenario.duration, abs=0.001) for scenario in every().scenarios
    ]
    assert all(case.time is None for suite in xml for case in suite)


def test_a_case_says_its_figures_and_the_suite_how_to_repeat_it() -> None:
    suite = suites(every())["orders-page"]
    one = every().scenarios[0].judged[2]
    case = next(case for case in suite if case.name == "ask-once@base: time < 50%")
    known = {each.name: each.value for each in case.child(Properties)}

    assert {each.name: each.value for each in suite.properties()} == {
        "seed": "7",
        "perfkit": "0.1.0",
        "base": "main",
        "file": "scenarios/orders-page.toml",
        "title": "The orders page that was fast on the laptop",
        "verdict": "pass",
    }
    assert (known["clock"], known["rounds"]) == ("wall", "10")
    assert known["interval"] == f"{one.low} to {one.high}"
    assert float(known["detectable"]) == one.detectable


def test_a_failure_begins_with_its_figures() -> None:
    suite = suites(every())["orders-page-cloud"]
    case = next(case for case in suite if case.name == "ask-per-row: round_trips <= 2")

    assert (case.result[0].message, case.result[0].type) == ("round_trips 201", "fail")


def test_a_stopped_scenario_is_one_error_that_says_why() -> None:
    (case,) = suites(every())["error"]

    assert "revision main does not build" in case.result[0].message


def test_a_gate_without_scenarios_is_one_error() -> None:
    xml = JUnitXml.fromstring(junit.render(gates.empty()).encode())

    assert (xml.tests, xml.errors) == (1, 1)


@EVERY
def test_hostile_texts_are_text_in_xml(text: str) -> None:
    root = ET.fromstring(junit.render(hostile(text)))
    usual = ET.fromstring(junit.render(every()))

    assert [one.tag for one in root.iter()] == [one.tag for one in usual.iter()]
    assert root[0].attrib["name"] == clean(f"0 {text}")


# pyperf, read by pyperf's own commands


def pyperf(*arguments: str, folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "pyperf", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_pyperf_shows_checks_and_compares_both_sides(tmp_path: Path) -> None:
    small = gates.gate(gates.failed())
    (tmp_path / "change.json").write_text(pyperf_file.render(small))
    (tmp_path / "base.json").write_text(pyperf_file.render(small, "base"))

    shown = pyperf("show", "change.json", folder=tmp_path)
    pyperf("check", "change.json", folder=tmp_path)
    compared = pyperf("compare_to", "base.json", "change.json", folder=tmp_path)

    assert "orders-page-cloud/ask-once" in shown
    assert re.search(r"orders-page-cloud/ask-once: Mean .* 1\.40x slower", compared)
    assert "ERROR" not in compared


def suite_of(gate: Gate) -> Any:
    from pyperf import BenchmarkSuite

    return BenchmarkSuite.loads(pyperf_file.render(gate))


def test_every_timed_variant_is_a_benchmark_and_every_process_a_run() -> None:
    suite = suite_of(every())
    bench = suite.get_benchmark("orders-page/ask-once")
    samples = variant(sample(), "ask-once").samples

    assert set(suite.get_benchmark_names()) == TIMED
    assert [run.values for run in bench.get_runs()] == [one.wall for one in samples]
    assert [run.warmups for run in bench.get_runs()] == [
        ((one.loops, one.warm_up),) for one in samples
    ]
    assert [run.get_loops() for run in bench.get_runs()] == [one.loops for one in samples]


def test_pyperf_keeps_counters_processor_time_and_machine() -> None:
    run = suite_of(every()).get_benchmark("orders-page/ask-once").get_runs()[3]
    known, measured = run.get_metadata(), variant(sample(), "ask-once")

    assert json.loads(known["perfkit_work"])["round_trips"] == 1
    assert json.loads(known["perfkit_cpu"]) == list(measured.samples[3].cpu)
    assert known["command_max_rss"] == measured.samples[3].peak_rss
    assert (known["perfkit_round"], known["perfkit_seed"]) == (3, 7)
    assert (known["cpu_model_name"], known["unit"]) == ("AMD EPYC", "second")
    assert known["perfkit_schema"] == SCHEMA


def with_one_value(measured: Measured) -> Measured:
    samples = (
        msgspec.structs.replace(
            one,
            **{name: getattr(one, name)[:1] for name in ("wall", "cpu", "switches", "run_queue")},
        )
        for one in measured.samples
    )
    return msgspec.structs.replace(measured, samples=tuple(samples))


def test_one_value_a_process_is_enough_for_every_file() -> None:
    result = sample()
    result = change(result, variants=tuple(map(with_one_value, result.variants)))
    story = msgspec.structs.replace(gates.passed(), result=result, base=result)

    gate = decode(encode(gates.gate(story)), "gate.json")

    (run, *_) = suite_of(gate).get_benchmark("orders-page/ask-once").get_runs()
    assert len(run.values) == 1
    assert "perfkit_typical_seconds{" in openmetrics.render(gate)
    assert "orders-page/ask-once" in benchmark_action.render(gate)
    assert "orders-page/ask-once" in bencher.render(gate)
    judged = {str(after.verdict) for _, _, after in session.judge_again(gate)}
    assert judged <= {"pass", "fail", "inconclusive"}


def test_pyperf_has_no_file_of_what_was_not_timed() -> None:
    for gate in (gates.empty(), gates.gate(gates.unfit())):
        with pytest.raises(CannotRun, match="no pyperf file of the change"):
            pyperf_file.render(gate)


@EVERY
def test_hostile_texts_stay_names_in_pyperf(text: str) -> None:
    names = suite_of(hostile(text)).get_benchmark_names()

    assert len(names) == len(TIMED)
    assert names[0] == f"{clean(f'0 {text}')}/{clean(f'ask-per-row {text}')}"


# OpenMetrics, read by the parsers of both text formats


_families: Any = text_string_to_metric_families


def metrics(gate: Gate) -> dict[tuple[str, ...], float]:
    """Return every value by its metric's name and its labels in the order of their names."""
    return {
        (one.name, *(one.labels[name] for name in sorted(one.labels))): one.value
        for family in _families(openmetrics.render(gate))
        for one in family.samples
    }


def test_openmetrics_end_as_they_must_and_say_what_was_judged() -> None:
    found = metrics(every())
    one = every().scenarios[0].judged[1]
    labels = ("time < 0.25x", "orders-page", "ask-once/ask-per-row")

    assert openmetrics.render(every()).endswith("\n# EOF\n")
    assert found["perfkit_check_verdict", *labels, "pass"] == 1
    assert found["perfkit_check_value", *labels, "ratio"] == one.value
    assert found["perfkit_check_low", *labels, "ratio"] == one.low
    assert found["perfkit_check_high", *labels, "ratio"] == one.high
    assert found["perfkit_check_limit", *labels, "ratio"] == 0.25
    assert found["perfkit_check_rounds", *labels, "count"] == 10
    assert found["perfkit_check_rounds", "statements == 1", *labels[1:2], "ask-once", "count"] == 0


def test_openmetrics_have_one_verdict_a_check() -> None:
    names = [name for name, *_ in metrics(every())]

    assert names.count("perfkit_check_verdict") == sum(
        len(scenario.judged) for scenario in every().scenarios
    )
    assert names.count("perfkit_scenario_duration_seconds") == len(every().scenarios)


def test_openmetrics_have_counted_work_and_typical_times_of_both_sides() -> None:
    found, name = metrics(every()), "orders-page-cloud"
    cpu = [median(one.cpu) for one in variant(sample(), "ask-once").samples]

    assert found["perfkit_work", "round_trips", name, "change", "ask-per-row"] == 201
    assert found["perfkit_work", "statements", name, "base", "ask-once"] == 1
    assert found["perfkit_typical_seconds", "cpu", name, "base", "ask-once"] == median(cpu)
    now, then = (
        found["perfkit_typical_seconds", "wall", name, side, "ask-once"]
        for side in ("change", "base")
    )
    assert now / then == pytest.approx(1.4)


def test_a_ratio_without_end_is_one_and_left_out_once_it_was_in_a_file() -> None:
    labels = ("statements <= 1x", "from-nothing", "ask-once@base", "ratio")

    assert metrics(every())["perfkit_check_value", *labels] == float("inf")
    assert ("perfkit_check_value", *labels) not in metrics(read_back())


def test_the_older_text_format_reads_them_too() -> None:
    text = openmetrics.render(every())
    types = {family.type for family in plain_text_to_families(text)}

    assert types == {"gauge"}


@EVERY
def test_hostile_texts_stay_in_their_labels(text: str) -> None:
    found = metrics(hostile(text))

    assert len(found) == len(metrics(hostile("tame")))
    assert any(clean(f"0 {text}") in labels for labels in found)


# github-action-benchmark and Bencher


def entries(gate: Gate) -> dict[str, dict[str, Any]]:
    read = json.loads(benchmark_action.render(gate))
    for entry in read:
        kinds = {key: type(value) for key, value in entry.items()}
        assert kinds.pop("range", str) is str
        assert kinds.pop("value") in {int, float}
        assert kinds == {"name": str, "unit": str, "extra": str}
    return {entry["name"]: entry for entry in read}


def test_benchmark_action_has_a_time_and_the_work_of_every_variant() -> None:
    found = entries(every())
    time = found["orders-page/ask-once time"]

    assert {name.removesuffix(" time") for name in found if name.endswith(" time")} == TIMED
    assert time["unit"] == "ms"
    assert time["value"] == pytest.approx(_typical_seconds("ask-once") * 1000, rel=0.05)
    assert re.fullmatch(r"0\.1\d+ to 0\.1\d+", time["range"])
    assert found["orders-page/ask-per-row round trips"]["value"] == 201
    assert found["orders-page/ask-per-row bytes in"]["unit"] == "bytes"
    assert found["perfkit gate: checks failed"]["value"] == 3


def _typical_seconds(name: str) -> float:
    return median(median(one.wall) for one in variant(sample(), name).samples)


def benchmarks(gate: Gate) -> Any:
    """Read Bencher Metric Format, held to its published schema."""
    metric = dict[str, float]
    read = msgspec.json.decode(bencher.render(gate), type=dict[str, dict[str, metric]])
    for measures in read.values():
        for name, one in measures.items():
            assert len(name) <= bencher.LONGEST_MEASURE
            assert "value" in one
            assert set(one) <= {"value", "lower_value", "upper_value"}
    return read


def test_bencher_has_latency_in_nanoseconds_and_the_work() -> None:
    found = benchmarks(every())
    latency = found["orders-page/ask-once"]["latency"]

    assert set(found) - {SCHEMA} == TIMED | {f"leaderboard/{one.name}" for one in sample().variants}
    assert latency["lower_value"] < latency["value"] < latency["upper_value"]
    assert latency["value"] == pytest.approx(_typical_seconds("ask-once") * 1e9, rel=0.05)
    assert found["orders-page/ask-once"]["round-trips"] == {"value": 1}
    assert found[SCHEMA] == {"checks-failed": {"value": 3}}


def test_a_count_that_varies_has_both_ends_in_bencher() -> None:
    assert benchmarks(every())["latest-event/fetch-one"]["bytes-in"] == {
        "value": 290,
        "lower_value": 290,
        "upper_value": 9000,
    }


def test_with_too_few_rounds_there_is_no_range() -> None:
    few = msgspec.structs.replace(gates.passed(), result=keep_rounds(sample(), 3))

    assert "range" not in entries(gates.gate(few))["orders-page/ask-once time"]
    assert set(benchmarks(gates.gate(few))["orders-page/ask-once"]["latency"]) == {"value"}


@EVERY
def test_hostile_texts_stay_names_in_json(text: str) -> None:
    assert len(entries(hostile(text))) == len(entries(hostile("tame")))
    assert len(benchmarks(hostile(text))) == len(benchmarks(hostile("tame")))


def test_long_names_are_cut_as_bencher_wants_them() -> None:
    long = gates.hostile("x" * 2000)

    assert max(map(len, benchmarks(long))) == bencher.LONGEST_NAME


def test_a_gate_without_scenarios_only_says_that_nothing_failed() -> None:
    assert list(entries(gates.empty())) == ["perfkit gate: checks failed"]
    assert list(benchmarks(gates.empty())) == [SCHEMA]


def test_the_typical_time_is_that_of_the_report() -> None:
    one: Measured = variant(sample(), "ask-once")
    time = gate_words.typical(one)

    assert time.low is not None
    assert time.high is not None
    assert time.low < _typical_seconds("ask-once") < time.high
