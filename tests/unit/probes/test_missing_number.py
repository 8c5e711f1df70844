"""The missing number: every solver of the story names the same numbers, or says why it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from perfkit.backends.files import Files
from perfkit.errors import BrokenPromise, UsageError
from perfkit.probes.missing_number import (
    INPUT,
    Numbers,
    gaps,
    probe,
    sort_externally,
    sort_in_memory,
    sort_with_everything,
    write,
)

MEBIBYTE = 2**20
ONE = Numbers(numbers=100_000)
TWO = Numbers(numbers=100_000, missing=2, promised=2)
SOME = Numbers(numbers=100_000, missing=40, promised=64)
UNKNOWN = Numbers(numbers=150_001, missing=500, promised=0, memory=MEBIBYTE)
CASES = [
    ONE,
    TWO,
    SOME,
    UNKNOWN,
    Numbers(numbers=100_000, binary=True),
    Numbers(numbers=150_001, missing=500, promised=0, memory=MEBIBYTE, binary=True),
    Numbers(numbers=1000, missing=0, promised=1),
]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def applying(numbers: Numbers) -> list[Any]:
    obstacles = probe.obstacles(numbers)
    return [variant for variant in probe.variants if variant.name not in obstacles]


@pytest.mark.parametrize("numbers", CASES, ids=str)
def test_all_solvers_name_what_is_missing(files: Files, numbers: Numbers) -> None:
    write(files, numbers)
    text = (files.folder / INPUT).read_bytes()
    there = (
        {int.from_bytes(text[at : at + 4], "little") for at in range(0, len(text), 4)}
        if numbers.binary
        else set(map(int, text.split()))
    )
    expected = sorted(set(range(1, numbers.numbers + 1)) - there)
    assert len(expected) == numbers.missing

    found = {variant.name: variant.run(files, numbers) for variant in applying(numbers)}

    assert {name: answer == expected for name, answer in found.items()} == dict.fromkeys(
        found, True
    )


@pytest.mark.parametrize("numbers", CASES, ids=str)
def test_exactly_one_naive_variant_applies(numbers: Numbers) -> None:
    roles = [str(variant.role) for variant in applying(numbers)]

    assert roles.count("naive") == 1
    assert roles.count("wrong lever") >= 1


def test_solvers_say_why_they_do_not_apply() -> None:
    said = probe.obstacles(UNKNOWN)

    assert said["keep-xor"] == "nobody knows how many are missing"
    assert said["sort-in-memory"] == "the numbers do not fit in memory"
    assert probe.obstacles(TWO)["keep-sum"] == "it names 1, and more may be missing"
    assert probe.obstacles(CASES[4])["sort-with-everything"] == "it reads text"


def test_gnu_sort_is_left_out_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert probe.obstacles(ONE)["sort-with-everything"] == "there is no program sort here"


def test_more_missing_than_promised_is_refused_before_the_file_is_written(files: Files) -> None:
    with pytest.raises(UsageError, match="3 numbers are missing, but at most 2 are promised"):
        write(files, Numbers(missing=3, promised=2))

    assert list(files.folder.iterdir()) == []


def test_nothing_but_the_input_stays_in_the_folder(files: Files) -> None:
    numbers = Numbers(numbers=200_000, missing=3, promised=0, memory=MEBIBYTE)
    write(files, numbers)

    for variant in applying(numbers):
        variant.run(files, numbers)

    assert {path.name for path in files.folder.iterdir()} == {INPUT}


@pytest.mark.parametrize(
    ("row", "missing"),
    [([1, 2, 3], []), ([2, 3], [1]), ([1, 2], [3]), ([2], [1, 3]), ([], [1, 2, 3])],
)
def test_gaps_of_a_row(row: list[int], missing: list[int]) -> None:
    assert gaps(row, Numbers(numbers=3)) == missing


@pytest.mark.parametrize("row", [[1, 1, 3], [0, 1, 2], [1, 2, 4], [3, 2]])
def test_row_that_breaks_the_promise_is_no_answer(row: list[int]) -> None:
    with pytest.raises(BrokenPromise, match="is there twice, or foreign"):
        gaps(row, Numbers(numbers=3))


@pytest.mark.parametrize("sort", [sort_in_memory, sort_externally, sort_with_everything])
def test_sorts_find_a_duplicate(files: Files, sort: Any) -> None:
    if sort is sort_with_everything and shutil.which("sort") is None:
        pytest.skip("there is no program sort here")
    numbers = Numbers(numbers=5000, memory=2**18)
    write(files, numbers)
    with (files.folder / INPUT).open("a") as file:
        file.write("77\n")

    with pytest.raises(BrokenPromise, match="77 is there twice"):
        sort(files, numbers)


def test_binary_file_has_four_bytes_a_number(files: Files) -> None:
    write(files, Numbers(numbers=1000, binary=True))

    assert (files.folder / INPUT).stat().st_size == 4 * 999
