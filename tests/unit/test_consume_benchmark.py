"""The benchmark of consumers: its goals follow the figures, and its page follows the record."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import consume
import consume_sweeps
import msgspec
import pytest
from consume_coverage import (
    GROWTHS,
    RIGHT,
    SHARES,
    Share,
    fit_shares,
    holds,
    name_growths,
)
from consume_goals import Goal, gil, goals, lock, queue, write
from consume_sweeps import FAR, IMAGES, RECORDED, from_record, to_record
from consume_tables import END, TABLE, kafka_tables, lock_tables, pictures, render, write_tables
from missing_number_rounds import MISSED
from unit.report.sweeps import Code, build, each

from perfkit.errors import MissingExtra
from perfkit.growth import Growth
from perfkit.result import Interval, Result, Work
from perfkit.sweep import Sweep

PAGE = RECORDED.parents[2] / "docs" / "explanation" / "scaling.md"
Seconds = Callable[[float], float]


def counted(sweep: Sweep, works: Mapping[str, Mapping[str, int]], **component: float) -> Sweep:
    """Return a sweep whose variants have further counters."""

    def add(one: Result) -> Result:
        variants = tuple(
            msgspec.structs.replace(
                variant,
                work=variant.work
                | {
                    counter: Work(value, exact=True, witness="")
                    for counter, value in works[variant.name].items()
                },
            )
            for variant in one.variants
        )
        there = msgspec.structs.replace(one.component, **component)
        words = {counter: counter for work in works.values() for counter in work}
        return msgspec.structs.replace(
            one, variants=variants, component=there, counters=one.counters | words
        )

    return each(sweep, add)


def locked(naive: Seconds, lever: Seconds, fix: Seconds, held: int = 0) -> dict[str, Any]:
    sweep = build(
        "consumers",
        (1, 2, 4, 8),
        {
            "lock-everything": Code("naive", "one global lock", naive),
            "add-consumers": Code("wrong lever", "twice the threads", lever),
            "count-apart": Code("fixed", "counters apart", fix),
        },
        workers=True,
    )
    works = {
        "lock-everything": {"held_trips": 256, "waiting": 70},
        "add-consumers": {"held_trips": 256, "waiting": 80},
        "count-apart": {"held_trips": held, "waiting": 0},
    }
    return {"sweeps": {"lock-near": to_record(counted(sweep, works))}}


def written(far: float, fsyncs: int = 1, row_by_row: float = 30) -> dict[str, Any]:
    sweep = build(
        "rows",
        (10, 100, 500, 1000),
        {
            "write-each": Code("naive", "COMMIT per row", lambda n: n),
            "write-in-transaction": Code("fixed", "one", lambda _: row_by_row, partial=True),
            "write-arrays": Code("fixed", "unnest", lambda _: 1.0),
        },
    )
    works = {
        "write-each": {"fsyncs": 1000},
        "write-in-transaction": {"fsyncs": 1},
        "write-arrays": {"fsyncs": fsyncs},
    }
    return {"sweeps": {"write": to_record(counted(sweep, works, rtt_asked=far))}}


def read_in_batches(trips: int, **kills: int) -> dict[str, Any]:
    sweep = build(
        "consumers",
        (1, 2, 4, 8),
        {
            "take-one": Code("naive", "one by one", lambda _: 1.0, lambda _: 1600),
            "take-batch": Code("fixed", "whole batches", lambda _: 1.0, lambda _: trips),
        },
        workers=True,
    )
    found = {"kills": 50, "lost": 0, "twice": 0, "unfinished": 9, "messages": 99} | kills
    return {"sweeps": {"queue-near": to_record(sweep)}, "kills": found}


def verdicts(found: list[Goal]) -> list[str]:
    return [goal.verdict for goal in found]


def flat(_: float) -> float:
    return 1.0


def test_a_dead_lever_a_flat_curve_and_a_fix_that_scales_meet_their_goals() -> None:
    found = list(lock(locked(flat, flat, lambda n: 1 / n)))

    assert verdicts(found) == ["met"] * 7
    assert found[0].what.endswith("the global lock, slowest to fastest, consumers 1 to 8")
    assert found[-2].what.endswith("counters apart, 8 consumers against 1")
    assert found[-1].found == "256 → 0"


def test_each_goal_of_the_lock_can_be_missed() -> None:
    scales = list(lock(locked(lambda n: 1 / n, lambda n: 1 / n, flat, held=1)))
    helps = list(lock(locked(flat, lambda n: 1.3 if n == 8 else 1.0, lambda n: 1 / n)))

    assert verdicts(scales) == ["missed", *["met"] * 4, "missed", "missed"]
    assert verdicts(helps) == [*["met"] * 4, "missed", "met", "met"]


def test_flat_is_judged_by_the_slowest_and_the_fastest_wherever_they_are() -> None:
    found = next(lock(locked(lambda n: 1.5 if n == 2 else 1.0, flat, flat)))

    assert found.verdict == "missed"
    assert found.found.startswith("1.5")


def test_threads_without_a_gil_are_held_to_nothing() -> None:
    sweep = build("threads", (1, 2, 4), {"derive-in-turn": Code("naive", "one", flat)})

    assert list(gil({"sweeps": {"gil": to_record(sweep)}})) == []


def test_row_by_row_is_held_to_its_goal_only_far_away() -> None:
    assert verdicts(list(write(written(far=FAR)))) == ["met", "met"]
    assert verdicts(list(write(written(far=0.0)))) == ["met"]
    assert verdicts(list(write(written(far=FAR, row_by_row=15, fsyncs=2)))) == ["missed", "missed"]


def test_round_trips_and_kills_of_the_queue_are_held_to_their_goals() -> None:
    assert verdicts(list(queue(read_in_batches(320)))) == ["met", "met"]
    assert verdicts(list(queue(read_in_batches(321, lost=1)))) == ["missed", "missed"]
    assert verdicts(list(queue(read_in_batches(16, twice=1)))) == ["met", "missed"]
    assert verdicts(list(queue(read_in_batches(16, kills=49)))) == ["met", "missed"]


def test_an_interval_holds_the_truth_or_does_not() -> None:
    assert holds(Interval(0.2, 0.1, 0.3, 0.95), 0.3)
    assert not holds(Interval(0.2, 0.1, 0.3, 0.95), 0.31)
    assert not holds(Interval(0.2, None, None, 0.95), 0.2)


def test_a_simulated_law_is_found_again_and_a_growth_named() -> None:
    law = fit_shares(SHARES[1], 0.01, 2, seed=1)
    growth = name_growths(Growth.QUADRATIC, 0.01, 2, seed=1)

    assert law["fits"] == 2
    assert growth[RIGHT] == 2


def test_the_simulated_laws_are_what_they_are_called() -> None:
    hardly, falls, scales = SHARES

    assert hardly.seconds(1) / hardly.seconds(16) < 1.1
    assert falls.seconds(16) < falls.seconds(1) / 2
    assert scales.seconds(1) / scales.seconds(16) > 8
    assert Share("", 1.0, 0.0).seconds(4) == 1
    assert set(GROWTHS) == set(Growth)


def test_who_waits_for_the_lock_has_a_row_for_each_variant() -> None:
    lines = "\n".join(lock_tables(locked(flat, flat, flat)))

    assert "| near | one global lock | 70 % | 70 % | 70 % | 70 % |" in lines
    assert "| near | counters apart | 0 % | 0 % | 0 % | 0 % |" in lines
    assert "stays flat" in lines


def test_what_a_lever_gives_stands_beside_its_counters() -> None:
    lines = "\n".join(write_tables(written(far=FAR))).splitlines()

    assert "### As fast as the naive code, rows 1,000" in lines
    assert "| variant | round trips | fsyncs | 2 ms away |" in lines
    assert "| ✗ COMMIT per row | 1 | 1,000 | – |" in lines
    assert "| ✓ unnest | 1 | 1 | 992× (977 – 1,009) |" in lines


def test_a_machine_without_kafka_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MissingExtra("confluent_kafka", "kafka")

    monkeypatch.setattr(consume, "measure", fail)

    assert list(kafka_tables(consume.kafka(short=True))) == [
        "Left out: the package 'confluent_kafka' is not installed."
    ]


def test_an_interrupted_sweep_is_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    part = build("threads", (1, 2), {"derive-in-turn": Code("naive", "", flat)}, rounds=1)
    monkeypatch.setattr(
        consume_sweeps,
        "run_sweep",
        lambda *_: msgspec.structs.replace(part, stopped="interrupted"),
    )

    with pytest.raises(KeyboardInterrupt):
        consume.sweep("gil", short=True)


def test_a_short_run_records_nothing_and_no_goal_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RECORDED.read_bytes()
    monkeypatch.setattr("sys.argv", ["consume.py", "--short", "--only", "gil"])
    missed = Goal("", "", "", "missed")
    monkeypatch.setattr(consume, "goals", lambda _: [missed])

    with pytest.raises(SystemExit) as ended:
        consume.main()

    assert not ended.value.code
    assert RECORDED.read_bytes() == before


def test_a_missed_goal_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "sys.argv", ["consume.py", "--json", str(tmp_path / "found"), "--only", "coverage"]
    )
    monkeypatch.setattr(consume, "TIMES", 1)
    monkeypatch.setattr(consume, "goals", lambda _: [Goal("", "", "", "missed")])

    with pytest.raises(SystemExit) as ended:
        consume.main()

    assert ended.value.code


def test_only_the_version_of_the_kernel_is_recorded() -> None:
    sweep = build("threads", (1, 2, 4), {"derive-in-turn": Code("naive", "one", flat)})

    def own(one: Result) -> Result:
        machine = msgspec.structs.replace(one.machine, kernel="6.1.2-somebody")
        return msgspec.structs.replace(one, machine=machine)

    again = from_record(to_record(each(sweep, own)))

    assert {one.machine.kernel for one in again.results} == {"6.1.2"}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_bytes())
    return found


def test_the_recorded_tables_and_pictures_are_drawn_from_the_recorded_figures(
    record: dict[str, Any],
) -> None:
    assert render(record) == TABLE.read_text(encoding="utf-8")
    for name, picture in pictures(record):
        assert picture == (IMAGES / name).read_bytes(), name


def test_every_section_and_every_sweep_was_recorded(record: dict[str, Any]) -> None:
    assert set(record) == set(consume.SECTIONS)
    for section, swept in consume_sweeps.SWEPT.items():
        names = [one.name for one in swept]
        assert list(record[section]["sweeps"]) == names
        for one in swept:
            sweep = from_record(record[section]["sweeps"][one.name])
            assert (sweep.probe, sweep.values) == (one.probe, one.values)
            assert sweep.rounds >= 6


def test_in_the_recorded_run_no_goal_was_missed_and_few_are_open(record: dict[str, Any]) -> None:
    found = list(goals(record))

    assert [goal for goal in found if goal.verdict == MISSED] == []
    unclear = [goal.what for goal in found if goal.verdict != "met"]
    # The page says why.
    assert all(what.startswith("'hardly scales'") for what in unclear)


def test_the_page_has_every_part_and_every_picture_of_the_record(record: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")

    parts = re.findall(r":start-after: <!-- (\w+) -->\n:end-before: (.*)", page)
    assert sorted(parts) == sorted((name, END) for name in ("measured", "goals", *record))
    shown = re.findall(r"\.\./images/(scaling-[\w-]+\.svg)", page)
    assert sorted(shown) == sorted(name for name, _ in pictures(record))


def test_the_prose_has_no_figure_that_is_not_recorded(record: dict[str, Any]) -> None:
    prose = PAGE.read_text(encoding="utf-8").partition("Sources:")[0]
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", prose, flags=re.DOTALL)
    away = {
        one["component"]["rtt_asked"]
        for section in record.values()
        for sweep in section.get("sweeps", {}).values()
        for one in sweep["results"]
    }

    # The 1 is that of the formulas.
    assert set(re.findall(r"\d[\d.,]*", prose)) == {"1", f"{1000 * FAR:g}"}
    assert away == {0.0, FAR}
