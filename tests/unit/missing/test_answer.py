"""From files to an answer: a solver is chosen, and where it stops, another goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.errors import BrokenPromise, CannotDecode, CannotRun
from perfkit.missing import answer
from perfkit.missing.answer import find_missing
from perfkit.missing.make import make
from perfkit.missing.promise import INT32, Promise
from perfkit.missing.source import Kind, find

KIBIBYTE, MEBIBYTE = 2**10, 2**20
RANGE = Promise(-60_000, 60_000)
WIDE = Promise(1, 500_000)
"""Whose bitmap is larger than 60 KiB."""

Make = Callable[..., list[int]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers"


def made(path: Path, missing: int, kind: Kind, promise: Promise = RANGE) -> list[int]:
    found: list[int] = make(path, promise, missing, kind, seed=missing, force=True).missing.tolist()
    return found


@pytest.mark.parametrize("memory", [64 * KIBIBYTE, MEBIBYTE])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("missing", [0, 1, 2, 3, 70, 5000, 60_000])
def test_whatever_is_missing_is_named(path: Path, missing: int, kind: Kind, memory: int) -> None:
    expected = made(path, missing, kind)

    found = find_missing(find([path]), RANGE, memory)

    assert found.missing.tolist() == expected
    assert found.present == RANGE.size - missing
    assert found.state + found.buffers <= memory
    assert found.reading.read + found.reading.mapped == found.reading.passes * path.stat().st_size


def test_binary_file_knows_how_many_are_missing_before_it_is_read(path: Path) -> None:
    made(path, 2, Kind.BINARY)

    found = find_missing(find([path]), RANGE, MEBIBYTE)

    assert [attempt.solver for attempt in found.attempts] == ["invariants"]
    assert found.attempts[0].why.startswith("2 are missing; one pass")


def test_cells_that_are_too_small_hand_over_and_say_so(path: Path) -> None:
    made(path, 5000, Kind.TEXT, WIDE)

    found = find_missing(find([path]), WIDE, 40 * KIBIBYTE, jobs=1)

    first, last = found.attempts
    assert (first.solver, first.said) == ("cells", "the cells cannot name 5,000 missing numbers")
    assert (last.solver, last.said) == ("bucket-counts", "")
    assert last.why.startswith("5,000 are missing")
    # The pass of the cells was one too.
    assert found.reading.read == found.reading.passes * path.stat().st_size
    assert found.reading.passes >= 3


def test_solver_that_was_asked_for_does_not_hand_over(path: Path) -> None:
    made(path, 5000, Kind.TEXT, WIDE)

    with pytest.raises(CannotDecode, match="cannot name 5,000"):
        find_missing(find([path]), WIDE, 40 * KIBIBYTE, jobs=1, solver="cells")


def test_solver_that_was_asked_for_is_used(path: Path) -> None:
    expected = made(path, 1, Kind.TEXT)

    found = find_missing(find([path]), RANGE, MEBIBYTE, solver="xor")

    assert [(attempt.solver, attempt.why) for attempt in found.attempts] == [("xor", "asked for")]
    assert found.missing.tolist() == expected


def test_promise_that_is_not_kept_is_found_before_a_binary_file_is_read(path: Path) -> None:
    made(path, 3, Kind.BINARY)
    started: list[str] = []

    with pytest.raises(BrokenPromise, match="3 numbers are missing, 2 were promised"):
        find_missing(
            find([path]),
            Promise(RANGE.lowest, RANGE.highest, 2, 2),
            MEBIBYTE,
            start=lambda name, _: started.append(name),
        )

    assert started == []


def test_mistaken_range_is_no_answer_of_four_billion_numbers(path: Path) -> None:
    made(path, 0, Kind.TEXT)

    with pytest.raises(CannotDecode, match="too many to name") as caught:
        find_missing(find([path]), Promise(*INT32), MEBIBYTE)

    assert "--range" in caught.value.fix


def test_memory_that_is_too_small_is_refused_with_reasons(path: Path) -> None:
    made(path, 3, Kind.TEXT, Promise(1, 10**6))

    with pytest.raises(CannotRun, match="no solver can do it within 2 KiB"):
        find_missing(find([path]), Promise(1, 10**6), 2 * KIBIBYTE)


def test_threads_share_the_work_where_it_is_worth_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(path, 3, Kind.TEXT)
    monkeypatch.setattr(answer, "SMALL", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})

    found = find_missing(find([path]), RANGE, MEBIBYTE)

    assert (found.jobs, found.missing.tolist()) == (3, expected)


def test_one_thread_reads_a_small_file_and_one_that_needs_all_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path, 500, Kind.TEXT)
    assert find_missing(find([path]), RANGE, MEBIBYTE).jobs == 1
    monkeypatch.setattr(answer, "SMALL", 0)

    # The bits of the range take 15 KiB: once they fit, not once more for each thread.
    assert find_missing(find([path]), RANGE, 24 * KIBIBYTE, solver="bitmap").jobs == 1


def test_jobs_that_were_asked_for_are_used(path: Path) -> None:
    expected = made(path, 3, Kind.BINARY)

    found = find_missing(find([path]), RANGE, MEBIBYTE, jobs=4)

    assert (found.jobs, found.missing.tolist()) == (4, expected)


def test_progress_tells_of_solvers_and_of_every_byte(path: Path) -> None:
    made(path, 5000, Kind.TEXT, WIDE)
    heard: list[object] = []
    size = path.stat().st_size

    found = find_missing(
        find([path]),
        WIDE,
        40 * KIBIBYTE,
        jobs=1,
        start=lambda name, expected: heard.append((name, expected)),
        tell=heard.append,
    )

    told = sum(one for one in heard if isinstance(one, int))
    assert [one for one in heard if isinstance(one, tuple)] == [
        ("cells", size),
        ("bucket-counts", size),
    ]
    assert told == found.reading.read


def test_stream_is_solved_in_one_pass(tmp_path: Path) -> None:
    path, pipe = tmp_path / "numbers", tmp_path / "pipe"
    expected = made(path, 40, Kind.TEXT)
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()

    found = find_missing(find([pipe]), RANGE, MEBIBYTE)

    writer.join()
    assert found.missing.tolist() == expected
    assert found.reading.passes == 1


def test_several_files_are_one_set_of_numbers(tmp_path: Path) -> None:
    paths = [tmp_path / "low", tmp_path / "high"]
    expected = made(paths[0], 2, Kind.TEXT, Promise(1, 1000))
    expected += made(paths[1], 3, Kind.TEXT, Promise(1001, 3000))

    found = find_missing(find(paths), Promise(1, 3000), MEBIBYTE)

    assert found.missing.tolist() == expected
