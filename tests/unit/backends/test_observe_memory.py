"""What code allocates, by memray where it is installed and by Python itself where it is not."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from perfkit.backends.observe_memory import allocating

MEMRAY = pytest.mark.skipif(
    importlib.util.find_spec("memray") is None, reason="memray is not installed"
)


@pytest.fixture
def without_memray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memray", None)


def keep(number: int) -> Callable[[], object]:
    return lambda: [bytes(1_000) for _ in range(number)]


def counted(block: Callable[[], object]) -> dict[str, int]:
    # Python itself allocates for code that runs, or is traced, for the first time.
    for _ in range(2):
        with allocating() as work:
            block()
    return {name: tally.value for name, tally in work.items()}


@MEMRAY
def test_every_allocation_counts_and_always_the_same() -> None:
    few, many = counted(keep(100)), counted(keep(200))

    # The list grows a few times, too.
    assert 100 <= many["allocations"] - few["allocations"] < 110
    assert [counted(keep(100))["allocations"] for _ in range(3)] == [few["allocations"]] * 3


@MEMRAY
def test_memory_at_its_highest_counts_though_it_is_free_again() -> None:
    assert 100_000 < counted(keep(100))["peak_memory"] < 200_000


@pytest.mark.usefixtures("without_memray")
def test_python_alone_knows_the_highest_point() -> None:
    found = counted(keep(100))

    assert found.keys() == {"peak_memory"}
    assert 100_000 < found["peak_memory"] < 200_000
    assert not tracemalloc.is_tracing()


@pytest.mark.usefixtures("without_memray")
def test_a_tracer_that_was_there_goes_on() -> None:
    tracemalloc.start()
    try:
        held = bytes(1_000_000)
        # It was even more before the block.
        bytes(5_000_000)
        found = counted(keep(100))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()

    assert found["peak_memory"] < len(held)
