"""The benchmark of missing numbers: its peers answer rightly, and its words follow the figures."""

import json
import random
from dataclasses import asdict
from functools import partial, reduce
from itertools import pairwise
from operator import xor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from missing_number import blocks, keep, scattered
from missing_number_growth import CONTENDERS, Contender, Point, grow
from missing_number_peers import (
    gaps,
    numpy_sort,
    polars_read,
    polars_scan,
    python_loop,
    python_sort,
    sort_and_awk,
    xor_of,
)
from missing_number_plot import LINE_HEIGHT, LOOKS, PICTURE, RECORDED, spread, write
from missing_number_rounds import (
    Answer,
    Goal,
    Rounds,
    Took,
    judge,
    say_speed,
    table,
    take_turns,
)
from missing_number_table import PLACES, TABLE, recorded_rounds, render

from perfkit.missing.promise import Promise
from perfkit.missing.source import Kind

PROMISE = Promise(-9, 9)
LACKING = [[], [0], [-9], [9], [-9, -8, 3, 4, 9]]


def lines(path: Path, numbers: list[int]) -> Path:
    path.write_text("".join(f"{number}\n" for number in numbers))
    return path


def shuffled_without(missing: list[int]) -> list[int]:
    numbers = [number for number in range(-9, 10) if number not in missing]
    random.Random(1).shuffle(numbers)
    return numbers


def rounds(**seconds: list[float]) -> Rounds:
    return {name: [Took(each, 2 * each) for each in turns] for name, turns in seconds.items()}


@pytest.mark.parametrize("missing", LACKING)
def test_sorting_peers_name_every_gap(tmp_path: Path, missing: list[int]) -> None:
    numbers = shuffled_without(missing)
    text = lines(tmp_path / "numbers.text", numbers)
    binary = tmp_path / "numbers.binary"
    binary.write_bytes(np.array(numbers, np.int32).tobytes())

    assert sort_and_awk(text, PROMISE).missing == missing
    assert python_sort(text, PROMISE).missing == missing
    assert numpy_sort(binary, PROMISE).missing == missing
    assert gaps(sorted(numbers), PROMISE) == missing


def test_awk_prints_large_numbers_with_all_digits(tmp_path: Path) -> None:
    promise = Promise(2**32 - 4, 2**32 - 1)
    path = lines(tmp_path / "numbers", [2**32 - 4, 2**32 - 2])

    assert sort_and_awk(path, promise).missing == [2**32 - 3, 2**32 - 1]


@pytest.mark.parametrize("missing", [-9, -1, 0, 9])
def test_peers_that_know_one_is_missing_name_it(tmp_path: Path, missing: int) -> None:
    path = lines(tmp_path / "numbers", shuffled_without([missing]))

    for peer in (polars_read, polars_scan, python_loop):
        assert peer(path, PROMISE).missing == [missing]


def test_the_exclusive_or_of_a_range_is_that_of_its_numbers() -> None:
    for low in range(-9, 9):
        for high in range(low, 9):
            assert xor_of(low, high) == reduce(xor, range(low, high + 1))


def test_blocks_hold_every_number_but_those_left_out() -> None:
    left_out = np.array([0, 7, 2**18, 2**19 - 1])
    numbers = np.concatenate(list(blocks(19, left_out)))

    missing = np.setdiff1d(np.arange(2**19), numbers)

    assert missing.tolist() == sorted(scattered(left_out, 19).tolist())
    assert numbers.size == 2**19 - 4


def test_a_wrong_answer_ends_the_benchmark() -> None:
    contenders = {"right": lambda: Answer([3]), "wrong": lambda: Answer([4])}

    with pytest.raises(RuntimeError, match=r"wrong found \[4\] to be missing, and it is \[3\]"):
        take_turns(contenders, [3], 1, random.Random(1))


def test_every_contender_has_a_turn_a_round_and_one_that_does_not_count() -> None:
    calls: list[str] = []

    def call(name: str) -> Answer:
        calls.append(name)
        return Answer(None)

    contenders = {name: partial(call, name) for name in "ab"}

    found = take_turns(contenders, [], 3, random.Random(1), lambda: calls.append("before"))

    assert {name: len(turns) for name, turns in found.items()} == {"a": 3, "b": 3}
    assert sorted(calls) == ["a"] * 4 + ["b"] * 4 + ["before"] * 8
    assert calls[::2] == ["before"] * 8


@pytest.mark.parametrize(
    ("at_least", "said"),
    [(1.9, "met"), (2.0, "unclear: the interval holds the goal"), (2.1, "missed")],
)
def test_a_goal_is_met_where_the_whole_interval_is_above_it(at_least: float, said: str) -> None:
    found = rounds(ours=[1.0] * 7, theirs=[1.95, 1.95, 1.98, 2.0, 2.02, 2.05, 2.05])

    assert judge(found, Goal("ours", "theirs", at_least)) == said


def test_few_rounds_have_no_verdict() -> None:
    found = rounds(ours=[1.0] * 5, theirs=[9.0] * 5)

    assert judge(found, Goal("ours", "theirs", 2)) == "too few rounds to tell"
    assert say_speed(found, "ours", "theirs") == (
        "ours against theirs: 9 times as fast by processor time, 9 times as fast by wall time"
    )


def test_the_table_has_the_typical_seconds_and_bytes_a_second() -> None:
    found = rounds(short=[0.25, 0.5, 9.0], longer=[1.0, 1.0, 1.0])

    assert table(found, 10**9).splitlines() == [
        "               wall  processor  GB/s wall  processor",
        "  short      500 ms        1 s       2.00       1.00",
        "  longer        1 s        2 s       1.00       0.50",
    ]


def test_growth_leaves_out_whom_the_next_point_would_take_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"slow": 6.0, "fast": 5.0}
    monkeypatch.setattr("missing_number_growth.timed", lambda action: action())

    def contender(name: str) -> Contender:
        took: Any = (Took(1.0, seconds[name]), Answer(None, 1))
        return Contender(name, Kind.BINARY, lambda _path, _promise: took)

    points = list(grow(tmp_path, [4, 6], 20.0, [contender("slow"), contender("fast")]))

    assert [(point.name, point.numbers) for point in points] == [
        ("slow", 16),
        ("fast", 16),
        ("fast", 64),
    ]
    assert not list(tmp_path.iterdir())


def test_every_contender_is_right_and_has_a_look_of_its_own(tmp_path: Path) -> None:
    points = list(grow(tmp_path, [10], budget=20))

    assert sorted(point.name for point in points) == sorted(LOOKS)
    assert sorted(contender.name for contender in CONTENDERS) == sorted(LOOKS)
    assert len({(look.marker, look.line) for look in LOOKS.values()}) == len(LOOKS)


def test_labels_keep_their_order_and_a_distance() -> None:
    heights = [0.5, 0.5, 0.49, 0.99, 1.0, 0.0]

    moved = spread(heights)

    ordered = [moved[index] for index in (5, 2, 0, 1, 3, 4)]
    assert all(high - low >= LINE_HEIGHT * 0.999 for low, high in pairwise(ordered))
    assert moved[5] == 0.0
    assert max(moved) == 1.0


def test_the_same_points_make_the_same_picture(tmp_path: Path) -> None:
    points = [
        asdict(Point(name, 2**exponent, exponent / 1e4, 1.0, 16))
        for name in LOOKS
        for exponent in (16, 18)
    ]
    paths = [tmp_path / "first.svg", tmp_path / "second.svg"]
    for path in paths:
        write(points, path)

    first, second = (path.read_text() for path in paths)
    assert first == second
    assert all(name in first for name in ("invariants", "bucket counts", "2¹⁸", "16 B"))
    assert "<dc:date>" not in first


def test_a_section_replaces_its_own_values_only(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    keep(path, "text", {"bytes": 1})
    keep(path, "growth", {"points": []})
    keep(path, "text", {"bytes": 2})

    assert json.loads(path.read_bytes()) == {"text": {"bytes": 2}, "growth": {"points": []}}


def test_the_recorded_tables_and_picture_are_drawn_from_the_recorded_figures(
    tmp_path: Path,
) -> None:
    record = json.loads(RECORDED.read_bytes())
    picture = tmp_path / "growth.svg"

    write(record["growth"]["points"], picture)

    assert render(record) == TABLE.read_text(encoding="utf-8")
    assert picture.read_bytes() == PICTURE.read_bytes()


def test_every_goal_of_the_recorded_run_was_met() -> None:
    record = json.loads(RECORDED.read_bytes())

    for place, goals in PLACES:
        values = record
        for key in place:
            values = values[key]
        assert [judge(recorded_rounds(values), goal) for goal in goals] == ["met"] * len(goals)
