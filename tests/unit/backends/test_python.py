from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from perfkit.backends.python import Python
from perfkit.errors import UsageError
from perfkit.model import Location, Tally


def step() -> int:
    return 1


def measure(word: str) -> int:
    return len(word)


def counted(block: Callable[[], object]) -> dict[str, int]:
    with Python().counting() as work:
        block()
    return {name: tally.value for name, tally in work.items()}


def nothing() -> None:
    pass


def test_an_empty_block_counts_nothing() -> None:
    with Python().counting() as work:
        pass
    assert work == {
        "calls": Tally(0, "sys.setprofile"),
        "builtin_calls": Tally(0, "sys.setprofile"),
    }


def test_one_call_counts_one() -> None:
    with Python().counting() as work:
        step()
    assert work["calls"].value == 1
    assert work["builtin_calls"].value == 0


def test_one_builtin_call_counts_one() -> None:
    with Python().counting() as work:
        len("")
    assert work["calls"].value == 0
    assert work["builtin_calls"].value == 1


def test_calls_inside_calls_count() -> None:
    def loop() -> None:
        for _ in range(100):
            measure("")

    assert counted(loop) == {"calls": 101, "builtin_calls": 100}


def test_the_result_is_always_the_same() -> None:
    def work() -> None:
        sorted([3, 1, 2], key=lambda number: -number)
        ",".join(str(number) for number in range(10))

    assert [counted(work) for _ in range(5)] == [counted(work)] * 5


def test_calls_in_threads_count_and_always_the_same() -> None:
    def run(times: int) -> dict[str, int]:
        def spend() -> None:
            for _ in range(times):
                measure("")

        threads = [threading.Thread(target=spend) for _ in range(4)]

        def block() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return counted(block)

    few, many = run(10), run(1010)
    assert {name: many[name] - few[name] for name in few} == {"calls": 4000, "builtin_calls": 4000}
    assert [run(10) for _ in range(20)] == [few] * 20


def test_an_exception_inside_the_block_goes_on_and_ends_the_counting() -> None:
    with pytest.raises(ZeroDivisionError), Python().counting() as work:
        _ = 1 / 0
    assert work["calls"].value == 0
    assert sys.getprofile() is None


def test_a_profiler_that_was_there_before_is_there_afterwards() -> None:
    seen = []

    def profiler(*event: object) -> None:
        seen.append(event)

    sys.setprofile(profiler)
    try:
        counted(nothing)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


def test_the_interpreter_is_described() -> None:
    with Python.serve(Location()) as service, Python.connect(service.address) as python:
        service.check()
        assert isinstance(python, Python)
    assert service.component.version == ".".join(map(str, sys.version_info[:3]))
    assert service.component.rtt is None


@pytest.mark.parametrize("location", [Location("postgresql://localhost"), Location(rtt=0.001)])
def test_a_place_or_a_distance_makes_no_sense(location: Location) -> None:
    with pytest.raises(UsageError, match="takes no --backend and no --rtt"), Python.serve(location):
        pass
