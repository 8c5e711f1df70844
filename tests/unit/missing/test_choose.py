"""The cheapest solver that can: what is chosen, what is not, and why."""

from __future__ import annotations

import pytest

from perfkit.errors import CannotRun, UsageError
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.choose import BUILDERS, Task, build, candidates, choose, reason
from perfkit.missing.promise import INT32, Promise
from perfkit.missing.source import Kind, buffer_memory

KIBIBYTE, MEBIBYTE, GIBIBYTE = 2**10, 2**20, 2**30


def task(
    *,
    least: int = 0,
    most: int | None = None,
    kind: Kind = Kind.TEXT,
    memory: int = MEBIBYTE,
    jobs: int = 1,
    stream: bool = False,
    size: int = 2**32,
) -> Task:
    promise = Promise(INT32[0], INT32[0] + size - 1, least, most)
    return Task(promise, kind, memory, jobs, stream)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (task(most=1), "invariants"),
        (task(most=2), "invariants"),
        (task(most=3), "power-sums"),
        (task(most=8, kind=Kind.BINARY), "power-sums"),
        (task(most=64, kind=Kind.BINARY), "bucket-counts"),
        (task(), "cells"),
        (task(most=2000), "cells"),
        (task(memory=64 * MEBIBYTE, size=2**26), "bitmap"),
        (task(most=200_000), "bucket-counts"),
        (task(stream=True), "cells"),
        (task(most=200_000, memory=GIBIBYTE, stream=True), "cells"),
    ],
    ids=str,
)
def test_cheapest_that_can_is_chosen(asked: Task, name: str) -> None:
    assert choose(asked).name == name


def test_every_solver_is_a_candidate_and_those_that_cannot_come_last() -> None:
    found = candidates(task(most=64))

    assert {one.name for one in found} == set(BUILDERS)
    usable = [not one.why_not for one in found]
    assert usable == sorted(usable, reverse=True)
    seconds = [one.seconds for one in found if not one.why_not]
    assert seconds == sorted(seconds)


def test_who_cannot_says_why() -> None:
    said = {one.name: one.why_not for one in candidates(task(most=100_000))}

    assert said["invariants"] == "they name at most 2 missing numbers"
    assert said["cells"].startswith("about 78,643 missing numbers fit 768 KiB")
    assert said["bitmap"].startswith("the bitmap needs 512 MiB")
    assert said["power-sums"].startswith("power sums need to know")
    assert said["xor"] == "the invariants cost the same, and need nobody's word"
    assert said["bucket-counts"] == ""


def test_stream_is_not_for_solvers_of_two_passes() -> None:
    said = {one.name: one.why_not for one in candidates(task(stream=True))}

    assert said["bucket-counts"] == "a stream can be read only once"


def test_who_was_tried_is_not_chosen_again() -> None:
    assert choose(task(), ("cells",)).name == "bucket-counts"


def test_nobody_left_says_why_for_each() -> None:
    with pytest.raises(CannotRun, match="no solver can do it within 16 KiB") as caught:
        choose(task(memory=16 * KIBIBYTE, stream=True), ("cells",))

    assert "bitmap: the bitmap needs 512 MiB" in caught.value.why
    assert "cells" not in {line.split(":")[0] for line in caught.value.why.splitlines()}


def test_unknown_solver_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="no solver 'cell'") as caught:
        build("cell", task())

    assert "cells" in caught.value.why


@pytest.mark.parametrize("name", BUILDERS)
def test_solver_knows_the_name_it_is_built_by(name: str) -> None:
    assert build(name, task(most=8, memory=GIBIBYTE)).name == name


@pytest.mark.parametrize("memory", [16 * KIBIBYTE, MEBIBYTE, GIBIBYTE])
@pytest.mark.parametrize("jobs", [1, 2, 8])
@pytest.mark.parametrize("kind", Kind)
def test_states_and_buffers_fit_the_memory(memory: int, jobs: int, kind: Kind) -> None:
    asked = task(memory=memory, jobs=jobs, kind=kind)
    states = jobs + 1 if jobs > 1 else 1

    assert asked.buffers + states * asked.room <= memory
    assert asked.buffers == (jobs * buffer_memory(asked.buffer) if kind is Kind.TEXT else 0)


def test_states_within_their_room() -> None:
    asked = task(memory=MEBIBYTE)

    assert Cells(asked.promise, asked.room).state <= asked.room
    assert BucketCounts(asked.promise, asked.room).state <= asked.room
    with pytest.raises(CannotRun):
        Bitmap(asked.promise, asked.room)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (task(), "nobody knows how many are missing; one pass and 768 KiB of state"),
        (task(least=1, most=1), "1 is missing; one pass and 32 B of state"),
        (task(least=0, most=0), "none is missing; one pass and 32 B of state"),
        (task(most=2), "at most 2 are missing; one pass and 32 B of state"),
        (task(least=200_000, most=200_000), "200,000 are missing; at most "),
    ],
    ids=str,
)
def test_reason_says_what_is_known_and_what_it_takes(asked: Task, said: str) -> None:
    assert reason(asked, choose(asked)).startswith(said)
