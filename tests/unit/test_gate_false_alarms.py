"""The benchmark of false alarms: its tables say what was recorded, and nothing else."""

import gzip
import json
import re
import runpy
from argparse import Namespace
from pathlib import Path

import gated_project
import pytest
from false_alarm_table import COLUMNS, Line, draw, read
from gate_false_alarms import Log, plan, trustworthy
from peers import benchstat, peers
from perfkit_gate import replay

from perfkit.result import Measured, Sample
from perfkit.verdict import Word

RECORDED = Path(__file__).parents[2] / "benchmarks" / "recorded"
RAW, DRAWN = RECORDED / "gate_false_alarms.jsonl.gz", RECORDED / "gate_false_alarms.md"


def line(trial: int, kind: str, said: str, *, limit: str = "5") -> Line:
    return {
        "trial": trial,
        "tool": "perfkit",
        "rule": "gate",
        "kind": kind,
        "verdicts": {"gate": {limit: said}},
        "seconds": 4.0,
        "load": 1.0,
        "figures": {"rounds": 8},
    }


def counted(kind: str, said: str) -> Line:
    verdicts = {"statements": {"0": said}}
    figures = {"said": "statements 3 against 2"}
    return line(0, kind, "") | {"rule": "statements", "verdicts": verdicts, "figures": figures}


def cells(table: str) -> list[str]:
    (row,) = (row for row in table.splitlines() if row.startswith("| perfkit"))
    return [cell.strip() for cell in row.split("|")[1:-1]]


@pytest.mark.skipif(not RAW.exists(), reason="the full run is not recorded yet")
def test_recorded_tables_are_drawn_from_the_recorded_comparisons() -> None:
    assert DRAWN.read_text() == draw(read(RAW))


def test_only_red_counts_as_red_and_all_verdicts_count() -> None:
    words = ["green", "red", "inconclusive", "unfit"]
    found = cells(draw([line(trial, "same", word) for trial, word in enumerate(words)]))

    assert found[2].startswith("1 of 4, 25.0%")


def test_a_verdict_stands_in_the_column_of_its_change_and_limit() -> None:
    for number, column in enumerate(COLUMNS, 2):
        found = cells(draw([line(0, column.kind, "red", limit=column.limit)]))

        assert ["-" if place != number else "1" for place in range(2, 6)] == [
            cell.partition(" ")[0] for cell in found[2:6]
        ]


def test_goals_are_held_to_the_interval() -> None:
    lines = [line(trial, "quarter", "red") for trial in range(200)]

    assert "at least 90%: met" in draw(lines)
    assert "at most 1%: missed" in draw([each | {"kind": "same"} for each in lines])


def test_verdicts_that_are_neither_are_named() -> None:
    lines = [line(0, "same", "inconclusive"), line(1, "same", "unfit"), line(2, "same", "green")]

    assert "without a verdict: 1 inconclusive, 1 unfit" in draw(lines)


def test_failed_runs_are_named_and_fail_the_benchmark() -> None:
    broken: Line = {"trial": 0, "tool": "asv", "rule": "all", "kind": "same", "error": "asv failed"}

    assert "**asv failed in 1 of its turns.**" in draw([broken])
    assert not trustworthy([broken])


def test_timed_verdicts_never_fail_the_benchmark_but_counted_ones_do() -> None:
    assert trustworthy([line(0, "same", "red"), line(0, "quarter", "green")])
    assert trustworthy([counted("same", "green"), counted("planted", "red")])
    assert not trustworthy([counted("same", "red")])
    assert not trustworthy([counted("planted", "inconclusive")])


def test_resumed_run_keeps_whole_lines_and_knows_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(line(3, "ten", "red")) + '\n{"trial": 4, "too')

    log = Log(path)
    log.add([line(4, "ten", "red")])

    assert {(3, "perfkit", "gate", "ten"), (4, "perfkit", "gate", "ten")} == log.done()
    assert log.lines == read(path)


def test_compressed_recordings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line(0, "ten", "red")).encode()))

    assert [line(0, "ten", "red")] == read(path)


def given(**changed: int) -> Namespace:
    every = {"seed": 1, "changes_every": 2, "at_limit_every": 4, "peers_every": 4}
    return Namespace(**(every | changed))


def test_every_trial_has_the_same_code_and_every_so_many_the_rest() -> None:
    tools = peers(fast=False)
    jobs = [job for trial in range(16) for job in plan(trial, given(), tools)]
    gates = [job for job in jobs if job.rule == "gate"]
    turns = {
        kind: [job.trial for job in gates if job.kinds == (kind,)]
        for kind in ("same", "ten", "quarter")
    }

    every_second = list(range(0, 16, 2))
    assert {"same": list(range(16)), "ten": every_second, "quarter": every_second} == turns
    assert {("ten", trial) for trial in (0, 4, 8, 12)} == {
        (job.kinds[0], job.trial) for job in gates if job.limit == 10
    }
    for name, peer in tools.items():
        assert set(range(0, 16, 4 * peer.seldom)) == {job.trial for job in jobs if job.tool == name}
    assert len(jobs) == len({job.key for job in jobs})


def test_order_of_a_trial_comes_from_its_seed() -> None:
    tools = peers(fast=False)

    assert plan(4, given(), tools) == plan(4, given(), tools)
    assert any(
        plan(trial, given(), tools) != plan(trial, given(seed=2), tools) for trial in (0, 4, 8)
    )


def test_changes_differ_from_the_base_only_in_what_they_are_called_for(tmp_path: Path) -> None:
    project = gated_project.build(tmp_path)
    states = {
        commit: runpy.run_path(str(project.checkout(commit) / "work.py"))
        for commit in project.commits
    }

    assert {commit: state["ORDERS"] // 25 for commit, state in states.items()} == {
        "base": 100,
        "same": 100,
        "ten": 110,
        "quarter": 125,
        "planted": 100,
    }
    assert {"orders, totals"} == {state["render_page"]() for state in states.values()}
    changed = gated_project.git(project.checkout("same"), "diff", "--stat", "origin/base")
    assert {"work.py", "pages.py"} == set(re.findall(r"(\S+\.\w+) +\|", changed))


def test_benchstat_is_red_only_where_the_difference_is_large_and_certain() -> None:
    base = [1 + number / 1000 for number in range(20)]

    assert benchstat(base, [1.07 * each for each in base]) == {"5": "red", "10": "green"}
    assert benchstat(base, [1.02 * each for each in base]) == {"5": "green", "10": "green"}
    noisy = [1 + number / 10 for number in range(20)]
    assert benchstat(noisy, [1.07 * each for each in noisy]) == {"5": "green", "10": "green"}


def side(seconds: list[float]) -> Measured:
    samples = tuple(
        Sample(
            round=number,
            position=0,
            loops=1,
            warm_up=each,
            wall=(each,) * 4,
            cpu=(each,) * 4,
            switches=(0,) * 4,
            run_queue=None,
            peak_rss=1,
        )
        for number, each in enumerate(seconds)
    )
    return Measured(
        name="run", role="naive", label="", why="", partial=False, work={}, samples=samples
    )


def test_lower_limits_are_judged_at_the_first_look_that_decides() -> None:
    calm = [1 + number % 4 / 1000 for number in range(40)]
    rough = [1.0, 1.6, 1.0, 1.6, 1.6, 1.6, 1.6, 1.6, *calm[8:]]

    assert judged(side([1.1 * each for each in calm]), side(calm)) == (Word.FAIL, 8)
    assert judged(side(calm), side(calm)) == (Word.PASS, 8)
    assert judged(side([1.2 * each for each in calm]), side(rough)) == (Word.FAIL, 18)


def judged(change: Measured, base: Measured) -> tuple[Word, int]:
    found = replay(change, base, 5)
    return found.verdict, found.rounds
