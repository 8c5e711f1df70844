"""Whatever code does is counted, by whichever driver, thread or connection."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from sqlite3 import connect as connect_by_name
from types import ModuleType
from typing import Any

import psycopg
import pytest
from leftovers import until
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from perfkit.backends.observe import Observing
from perfkit.backends.postgres import Postgres
from perfkit.backends.python import Python
from perfkit.errors import UsageError
from perfkit.model import Location, Tally

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="libpq traces on Linux only")
LITE, PG = "sqlite3 trace callback", "libpq trace"
Given = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Given]:
    """Give the parameters of a server with a table of three buyers."""
    with Postgres.serve(Location("embedded")) as running:
        parameters: Given = {**running.address.parameters, "autocommit": True}
        with closing(psycopg.connect(**parameters)) as connection:
            connection.execute("CREATE TABLE buyer (id integer, name text)")
            connection.execute("INSERT INTO buyer VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Mary')")
        yield parameters


def observed(block: Callable[[], object]) -> tuple[dict[str, int], dict[str, int]]:
    observing = Observing(unseen=(__file__,))
    with observing as work:
        block()
    return {name: tally.value for name, tally in work.items()}, observing.texts


def nothing() -> None:
    pass


def test_calls_of_a_function_count_and_nothing_of_ours() -> None:
    observing = Observing()
    with observing as work:
        nothing()

    assert {name: tally.value for name, tally in work.items() if tally.value} == {"calls": 1}
    assert work["builtin_calls"] == Tally(0, "sys.setprofile")
    assert observing.texts == {}


def test_without_any_connection_no_statement_was_sent() -> None:
    work, _ = observed(nothing)

    assert (work["statements"], work["round_trips"], work["connections"]) == (0, 0, 0)


def test_what_another_driver_may_have_sent_is_absent_not_0(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ModuleType("another_driver")
    driver.__dict__["apilevel"] = "2.0"
    monkeypatch.setitem(sys.modules, "another_driver", driver)

    assert observed(nothing)[0].keys() == {"calls", "builtin_calls"}


def test_statements_of_an_open_sqlite_connection_count() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (a, b)")

        def block() -> None:
            for number in range(5):
                connection.execute("INSERT INTO t VALUES (?, ?)", (number, "secret"))
            connection.commit()

        work, texts = observed(block)

    assert work == {"calls": 0, "builtin_calls": 0, "statements": 7, "connections": 0}
    assert texts == {"INSERT INTO t VALUES (?, ...)": 5, "BEGIN": 1, "COMMIT": 1}


@pytest.mark.parametrize("connect", [sqlite3.connect, connect_by_name, sqlite3.Connection])
def test_sqlite_connections_that_open_inside_count_however_they_open(
    connect: Callable[[str], sqlite3.Connection],
) -> None:
    def block() -> None:
        with closing(connect(":memory:")) as connection:
            connection.execute("SELECT 1, 'secret'")

    work, texts = observed(block)

    assert (work["connections"], work["statements"]) == (1, 1)
    assert texts == {"SELECT ?, ...": 1}


def test_counting_what_sqlite_does_adds_no_calls() -> None:
    def block() -> None:
        connection = sqlite3.connect(":memory:")
        connection.execute("SELECT 1, 'secret'")
        connection.close()

    block()
    with Python().counting() as plain:
        block()
    with Observing() as work:
        block()

    assert {name: work[name] for name in plain} == plain


@LINUX
def test_counting_what_psycopg_does_adds_no_calls(server: Given) -> None:
    def block() -> None:
        with psycopg.connect(**server) as connection:
            connection.execute("SELECT name FROM buyer")

    block()
    with Python().counting() as plain:
        block()
    with Observing() as work:
        block()

    assert {name: work[name] for name in plain} == plain


def test_threads_of_the_block_count() -> None:
    def ask() -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT 1")

    def block() -> None:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    work, _ = observed(block)

    assert (work["connections"], work["statements"]) == (4, 4)


def test_a_thread_nobody_can_look_into_makes_the_count_absent_not_wrong() -> None:
    def ask(_number: int) -> None:
        # As a debugger may do; what opens now cannot be traced.
        sys.setprofile(None)
        connection = sqlite3.connect(":memory:")
        connection.execute("SELECT 1")
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        work, _ = observed(lambda: list(pool.map(ask, range(1))))

    assert work["connections"] == 1
    assert "statements" not in work


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 cannot look into them")
def test_threads_that_run_already_count() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(nothing).result()
        observing = Observing()
        with observing as work:
            pool.submit(nothing).result()

    assert work["calls"].value >= 1


def test_a_trigger_counts_as_another_run() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("CREATE TABLE log (a)")
        connection.execute(
            "CREATE TRIGGER told AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END"
        )

        work, texts = observed(lambda: connection.execute("INSERT INTO t VALUES (1)"))

    assert work["statements"] == sum(texts.values()) > 1


def test_a_connection_of_another_thread_is_not_heard_after_the_block() -> None:
    opened, go_on = threading.Event(), threading.Event()

    def ask() -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT 1")
            opened.set()
            go_on.wait()
            connection.execute("SELECT 2")

    thread = threading.Thread(target=ask)
    observing = Observing()
    with observing as work:
        thread.start()
        opened.wait()
    go_on.set()
    thread.join()

    assert work["statements"].value == 1
    assert observing._sqlite.statements == 1


def test_nothing_of_ours_stays_with_a_connection() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        observing = Observing()
        with observing:
            connection.execute("SELECT 1")
        watch = weakref.ref(observing._sqlite)
        del observing
        gc.collect()

        assert watch() is None


def test_nothing_is_traced_after_the_block() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        observing = Observing()
        with observing as work:
            connection.execute("SELECT 1")
        connection.execute("SELECT 2")
        with closing(sqlite3.connect(":memory:")) as other:
            other.execute("SELECT 3")

    assert work["statements"].value == 1
    assert observing.texts == {"SELECT ?": 1}


@LINUX
def test_statements_of_an_open_postgres_connection_count(server: Given) -> None:
    with closing(psycopg.connect(**server)) as connection:

        def block() -> None:
            for number in (1, 2, 3):
                connection.execute("SELECT name FROM buyer WHERE id = %s", (number,)).fetchall()

        work, texts = observed(block)

    assert {name: work[name] for name in ("statements", "round_trips", "rows", "connections")} == {
        "statements": 3,
        "round_trips": 3,
        "rows": 3,
        "connections": 0,
    }
    assert work["bytes_in"] > work["rows"]
    assert work["bytes_out"] > 0
    assert texts == {"SELECT name FROM buyer WHERE id = ?": 3}


@LINUX
def test_statements_prepared_before_the_block_have_their_text(server: Given) -> None:
    with closing(psycopg.connect(**server)) as connection:

        def block() -> None:
            for number in range(10):
                connection.execute("SELECT name FROM buyer WHERE id = %s", (number,)).fetchall()

        block()
        work, texts = observed(block)

    assert work["statements"] == 10
    assert texts == {"SELECT name FROM buyer WHERE id = ?": 10}


@LINUX
def test_postgres_connections_that_open_inside_count(server: Given) -> None:
    def block() -> None:
        with psycopg.connect(**server | {"autocommit": False}) as connection:
            connection.execute("SELECT name, 'secret' FROM buyer").fetchall()

    work, texts = observed(block)

    assert (work["connections"], work["rows"]) == (1, 3)
    assert texts == {"BEGIN": 1, "SELECT name, ? FROM buyer": 1, "COMMIT": 1}


@LINUX
def test_async_connections_count(server: Given) -> None:
    async def ask() -> None:
        async with await psycopg.AsyncConnection.connect(**server) as connection:
            await (await connection.execute("SELECT name FROM buyer")).fetchall()

    work, _ = observed(lambda: asyncio.run(ask()))

    assert (work["connections"], work["statements"], work["rows"]) == (1, 1, 3)


@LINUX
def test_pools_count_though_their_connections_are_closed_by_going_back(server: Given) -> None:
    with ConnectionPool(
        kwargs=server, min_size=1, max_size=1, close_returns=True, open=True
    ) as pool:
        pool.wait()

        def block() -> None:
            for _ in range(3):
                connection = pool.getconn()
                connection.execute("SELECT 1")
                connection.close()

        work, texts = observed(block)

    assert (work["connections"], work["statements"]) == (0, 3)
    assert texts == {"SELECT ?": 3}


@LINUX
def test_async_pools_count(server: Given) -> None:
    async def ask() -> None:
        async with (
            AsyncConnectionPool(kwargs=server, min_size=1, max_size=1, open=False) as pool,
            pool.connection() as connection,
        ):
            await connection.execute("SELECT 1")

    work, texts = observed(lambda: asyncio.run(ask()))

    assert texts == {"SELECT ?": 1}
    assert work["connections"] == 1


@LINUX
def test_a_connection_that_is_dropped_closes_as_it_would_without_us(server: Given) -> None:
    with closing(psycopg.connect(**server)) as other:

        def alive(process: int) -> bool:
            return bool(
                other.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = %s", (process,)
                ).fetchone()
            )

        def block() -> None:
            connection = psycopg.connect(**server)
            connection.execute("SELECT name FROM buyer")
            process = connection.info.backend_pid
            # As a pool's: psycopg then does not complain that nobody closed it.
            vars(connection)["_pool"] = None
            del connection
            until(lambda: not alive(process), "the server's end is gone")

        work, texts = observed(block)

    assert texts["SELECT name FROM buyer"] == 1
    assert work["rows"] == 3 + work["statements"] - 2


@LINUX
def test_a_connection_that_the_server_ends_counts_until_then(server: Given) -> None:
    with closing(psycopg.connect(**server)) as other, closing(psycopg.connect(**server)) as ended:

        def block() -> None:
            ended.execute("SELECT name FROM buyer")
            other.execute("SELECT pg_terminate_backend(%s)", (ended.info.backend_pid,))
            with pytest.raises(psycopg.OperationalError):
                ended.execute("SELECT 2")

        work, _ = observed(block)

    assert (work["statements"], work["rows"]) == (3, 4)


@LINUX
def test_both_drivers_together_are_one_count_with_two_witnesses(server: Given) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as lite,
        closing(psycopg.connect(**server)) as full,
        Observing() as work,
    ):
        lite.execute("SELECT 1")
        full.execute("SELECT 1")
        full.execute("SELECT 1")

    assert work["statements"] == Tally(3, f"{PG} and {LITE}", {PG: 2, LITE: 1})


@LINUX
def test_psycopg_is_as_it_was_and_no_file_stays_open(server: Given) -> None:
    before = dict(vars(psycopg.BaseConnection))

    def block() -> None:
        with psycopg.connect(**server) as connection:
            connection.execute("SELECT 1")

    observed(block)
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    observed(block)

    assert dict(vars(psycopg.BaseConnection)) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_a_block_inside_another_is_refused() -> None:
    with (
        Observing(),
        pytest.raises(UsageError, match="two blocks cannot count at the same time"),
        Observing(),
    ):
        pass
    observed(nothing)


def test_an_exception_goes_on_and_what_was_done_until_then_is_counted() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:

        def block() -> None:
            connection.execute("SELECT 1")
            raise ZeroDivisionError

        observing = Observing()
        with pytest.raises(ZeroDivisionError), observing:
            block()

    assert observing.texts == {"SELECT ?": 1}
    assert sys.getprofile() is None


def test_profilers_that_were_there_are_there_afterwards() -> None:
    def profiler(*_event: object) -> None:
        pass

    sys.setprofile(profiler)
    threading.setprofile(profiler)
    try:
        observed(nothing)
        assert sys.getprofile() is profiler
        assert threading.getprofile() is profiler
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_garbage_of_before_is_not_counted() -> None:
    class Loud:
        def __init__(self) -> None:
            self.myself = self

        def __del__(self) -> None:
            nothing()

    def block() -> None:
        gc.collect()

    # Hypothesis looks at the collector from the first of its tests on, with calls of its own.
    watching = gc.callbacks.copy()
    gc.callbacks.clear()
    gc.disable()
    try:
        Loud()
        with Observing() as work:
            block()
    finally:
        gc.enable()
        gc.callbacks.extend(watching)

    assert work["calls"].value == 1
