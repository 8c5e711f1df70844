"""Counted work in a test of the user's own: what holds is silent, what does not is readable."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from perfkit.errors import UsageError
from perfkit.work import MEMORY, Work


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE buyer (id INTEGER PRIMARY KEY, name TEXT)")
    yield connection
    connection.close()


def load_page(database: sqlite3.Connection, buyers: int) -> None:
    database.execute("SELECT id FROM buyer").fetchall()
    for number in range(buyers):
        database.execute("SELECT name FROM buyer WHERE id = ?", (number,)).fetchone()


def page(database: sqlite3.Connection, buyers: int = 200) -> Work:
    with Work() as work:
        load_page(database, buyers)
    return work


def refused(error: UsageError) -> str:
    """Return what a test runner shows of an error: its words and its notes."""
    return "\n".join([str(error), *error.__notes__])


def test_what_is_within_its_limits_is_silent(database: sqlite3.Connection) -> None:
    work = page(database)

    work.at_most(statements=201, calls=1)
    work.at_most(statements=1000)
    work.exactly(statements=201, calls=1)
    assert (work.statements, work.calls, work.connections) == (201, 1, 0)


def test_what_is_over_its_limit_says_how_much_and_by_which_statements(
    database: sqlite3.Connection,
) -> None:
    work = page(database)

    with pytest.raises(AssertionError) as caught:
        work.at_most(statements=2, calls=0, builtin_calls=10_000)

    assert str(caught.value).splitlines() == [
        "201 statements, not at most 2",
        "1 calls, not at most 0",
        "200 x SELECT name FROM buyer WHERE id = ?",
        "  1 x SELECT id FROM buyer",
    ]


@pytest.mark.parametrize("figure", [200, 202])
def test_what_is_not_exact_fails_on_both_sides(database: sqlite3.Connection, figure: int) -> None:
    with pytest.raises(AssertionError, match=rf"^201 statements, not exactly {figure}\n200 x SEL"):
        page(database).exactly(statements=figure)


def test_calls_over_their_limit_need_no_statements(database: sqlite3.Connection) -> None:
    with pytest.raises(AssertionError) as caught:
        page(database).at_most(calls=0)

    assert str(caught.value) == "1 calls, not at most 0"


def test_many_different_statements_are_cut_short(database: sqlite3.Connection) -> None:
    with Work() as work:
        for number in range(12):
            database.execute(f"SELECT {'id, ' * 40}{number} FROM buyer AS t{number}")

    with pytest.raises(AssertionError) as caught:
        work.at_most(statements=1)

    said = str(caught.value).splitlines()
    assert len(said) == 12
    assert said[1].startswith("1 x SELECT id, id")
    assert said[1].endswith("...")
    assert max(map(len, said)) == 104
    assert said[-1] == "and 2 more"
    assert len(work.texts) == 12


@pytest.mark.parametrize("name", ["round_trips", "rows", "bytes_in", "bytes_out"])
def test_what_only_psycopg_tells_is_never_within_its_limit_elsewhere(
    database: sqlite3.Connection, name: str
) -> None:
    work = page(database)

    for ask in (
        lambda: work.at_most(**{name: 9}),
        lambda: work.exactly(**{name: 0}),
        lambda: getattr(work, name),
    ):
        with pytest.raises(UsageError, match=f"nobody counted {name} in this block") as caught:
            ask()
        assert "why: only psycopg's connections tell it" in refused(caught.value)
        assert "fix: hold the code to something else" in refused(caught.value)


def test_statements_of_a_driver_that_nobody_can_watch_are_never_within_their_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = ModuleType("otherdriver")
    other.__dict__["apilevel"] = "2.0"
    monkeypatch.setitem(sys.modules, "otherdriver", other)
    with Work() as work:
        pass

    with pytest.raises(UsageError, match="nobody counted statements") as caught:
        work.at_most(statements=0)

    assert "why: it was asked over a driver that is neither" in refused(caught.value)


def test_memory_is_counted_in_a_block_of_its_own() -> None:
    with Work(memory=True) as work:
        kept = bytearray(3_000_000)

    assert len(kept) <= work.peak_memory < 3_300_000
    work.at_most(peak_memory=3_300_000)
    with pytest.raises(AssertionError, match="peak_memory, not at most 2,000,000"):
        work.at_most(peak_memory=2_000_000)
    with pytest.raises(UsageError) as caught:
        work.at_most(calls=1)
    assert "fix: with perfkit_work() as work: ..." in refused(caught.value)


@pytest.mark.parametrize("name", MEMORY)
def test_memory_that_was_not_asked_for_says_how_to(name: str) -> None:
    with Work() as work:
        pass

    with pytest.raises(UsageError) as caught:
        work.at_most(**{name: 1})

    assert "fix: with perfkit_work(memory=True) as work: ..." in refused(caught.value)


def test_allocations_take_memray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memray", None)
    with Work(memory=True) as work:
        pass

    with pytest.raises(UsageError) as caught:
        work.at_most(allocations=1)

    assert "fix: pip install 'perfkit[attach]'" in refused(caught.value)


def test_an_unknown_counter_is_refused_with_the_nearest_one() -> None:
    with Work() as work:
        pass

    with pytest.raises(UsageError, match="no counter 'statments'; did you mean 'statements'"):
        work.at_most(statments=1)
    with pytest.raises(AttributeError, match="no counter 'statments'; did you mean 'statements'"):
        _ = work.statments


def test_naming_no_counter_holds_nothing_and_is_refused() -> None:
    with Work() as work:
        pass

    for hold in (work.at_most, work.exactly):
        with pytest.raises(UsageError, match="no counter is named"):
            hold()


def test_nothing_is_counted_before_the_block_ends() -> None:
    with (
        Work() as work,
        pytest.raises(UsageError, match="calls is not counted yet") as caught,
    ):
        work.at_most(calls=100)

    assert "fix: ask after the block" in refused(caught.value)


def test_a_block_inside_another_is_refused_and_the_outer_one_goes_on(
    database: sqlite3.Connection,
) -> None:
    with Work() as work:
        with pytest.raises(UsageError) as caught, Work():
            pass
        load_page(database, 3)

    assert "fix: end the first block" in refused(caught.value)
    work.exactly(statements=4)


def test_an_error_in_the_block_is_the_tests_own_and_ends_the_counting(
    database: sqlite3.Connection,
) -> None:
    work = Work()

    def fail() -> None:
        with work:
            load_page(database, 3)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()

    load_page(database, 3)
    work.exactly(statements=4)
    page(database, 1).exactly(statements=2)
