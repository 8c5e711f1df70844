"""`perfkit compare`: what changed between two saved files, and the exit codes of a gate."""

import json
from pathlib import Path
from typing import Any

import pytest
from unit.report import gates
from unit.report.samples import change_work, keep_rounds, sample

from perfkit import outcome, result

from .conftest import GOLDEN, Run

BEFORE = str(GOLDEN / "db-fetch.json")


@pytest.fixture
def worse(tmp_path: Path) -> str:
    """The same result with one statement more."""
    more = change_work(sample(), "ask-once", "statements", value=2)
    file = tmp_path / "worse.json"
    file.write_bytes(result.encode(more))
    return str(file)


def test_a_statement_more_is_found(perfkit: Run, worse: str) -> None:
    ended = perfkit("compare", BEFORE, worse, "--limit", "100%")

    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == "verdict: fail"
    assert "ask-once@base: statements <= 1x" in ended.stdout
    assert "statements 2 against 1" in ended.stdout
    assert f"against {BEFORE}"[:40] in " ".join(ended.stdout.split())
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert ended.stderr == ""


def test_the_other_way_round_it_is_none(perfkit: Run, worse: str) -> None:
    ended = perfkit("compare", worse, BEFORE, "--limit", "100%")

    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "verdict: pass")


def test_json_and_files_come_from_one_comparison(perfkit: Run, worse: str, tmp_path: Path) -> None:
    ended = perfkit("compare", BEFORE, worse, "--json", "-o", "a.json", "-o", "a.md", "-o", "a.xml")

    gate = outcome.decode(ended.stdout.encode(), "stdout")
    assert (gate.verdict, gate.base) == ("fail", BEFORE)
    assert (tmp_path / "a.json").read_text() == ended.stdout
    assert "statements 2 against 1" in (tmp_path / "a.md").read_text()
    assert "statements 2 against 1" in (tmp_path / "a.xml").read_text()


def test_too_few_rounds_are_inconclusive_not_a_pass(perfkit: Run, tmp_path: Path) -> None:
    short = tmp_path / "short.json"
    short.write_bytes(result.encode(keep_rounds(sample(), 3)))

    ended = perfkit("compare", BEFORE, str(short), "-q")

    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (4, "verdict: inconclusive")


def test_saved_gates_compare_by_scenario(perfkit: Run, tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    file.write_bytes(outcome.encode(gates.every()))

    found: dict[str, Any] = json.loads(perfkit("compare", str(file), str(file), "--json").stdout)

    names = {one.name for one in gates.every().scenarios if one.result is not None}
    assert {one["name"] for one in found["scenarios"]} == names
    assert not [
        judged
        for one in found["scenarios"]
        for judged in one["judged"]
        if judged["verdict"] == "fail"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "word", "said"),
    [
        ((BEFORE, "absent.json"), 2, "error", "cannot read absent.json"),
        ((BEFORE, "bad.json"), 2, "error", "bad.json is no JSON"),
        ((BEFORE, BEFORE, "--limit", "5"), 2, "error", "a number without a unit does not fit"),
        ((BEFORE, BEFORE, "-o", "a.html"), 2, "error", "no report format ends in '.html'"),
        ((BEFORE, "empty.json"), 7, "nothing matched", "have no scenario in common"),
    ],
)
def test_a_mistake_is_named_and_has_a_last_line(
    perfkit: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, word: str, said: str
) -> None:
    (tmp_path / "bad.json").write_text("{")
    nothing = gates.gate()
    (tmp_path / "empty.json").write_bytes(outcome.encode(nothing))

    ended = perfkit("compare", *arguments)

    assert ended.returncode == code
    assert said in ended.stderr
    assert ended.stdout == f"verdict: {word}\n"
    assert perfkit("compare", *arguments, "--json").stdout == ""


def test_help_has_examples_and_fits(perfkit: Run) -> None:
    ended = perfkit("compare", "-h")

    examples = [line for line in ended.stdout.splitlines() if line.strip().startswith("$ ")]
    assert len(examples) >= 2
    assert max(map(len, ended.stdout.splitlines())) <= 80
