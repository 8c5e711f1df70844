"""Consumers and the lock that is watched: what they count, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from threading import Barrier, Event, Lock, RLock, Thread
from typing import Any

import psycopg
import pytest
from leftovers import until
from servers import PASSWORD, OwnServer

from perfkit.backends.consumers import Consumer, Consumers, WatchedLock
from perfkit.backends.postgres import Postgres
from perfkit.backends.postgres_service import PostgresService
from perfkit.errors import CannotRun, UsageError
from perfkit.model import Location, Tally

pytestmark = pytest.mark.usefixtures("without_variables")

POOL_THREADS = 4
"""psycopg's pool: three workers and a scheduler."""
KINDS = pytest.mark.parametrize("kind", [Lock, RLock])


@pytest.fixture(scope="module")
def service() -> Iterator[PostgresService]:
    with Consumers.serve(Location("embedded")) as running:
        with Consumers.connect(running.address) as database:
            database.connection.execute("CREATE TABLE note (text text)")
        yield running


@pytest.fixture
def database(service: PostgresService) -> Iterator[Consumers]:
    with Consumers.connect(service.address) as connected:
        yield connected


def ask(connection: psycopg.Connection[Any], times: int) -> None:
    for _ in range(times):
        connection.execute("SELECT 1")


def values(work: dict[str, Tally], *names: str) -> list[int]:
    return [work[name].value for name in names]


class TestConsumers:
    def test_each_message_is_taken_once(self, database: Consumers) -> None:
        taken: list[str] = []

        def work(consumer: Consumer) -> None:
            taken.extend(consumer.messages)

        database.consume(map(str, range(1000)), work, 4)

        assert sorted(taken, key=int) == [str(number) for number in range(1000)]

    def test_each_has_a_thread_and_a_connection_of_its_own(self, database: Consumers) -> None:
        together, seen = Barrier(4, timeout=30), []

        def work(consumer: Consumer) -> None:
            seen.append((threading.current_thread(), consumer.connection.info.backend_pid))
            together.wait()

        database.consume([], work, 4)

        assert [len(set(column)) for column in zip(*seen, strict=True)] == [4, 4]

    @pytest.mark.parametrize("held", [False, True])
    def test_one_that_raises_ends_the_others(self, database: Consumers, held: bool) -> None:  # noqa: FBT001
        lock, failed, done = Lock(), Event(), []
        before = threading.active_count()

        def work(consumer: Consumer) -> None:
            for message in consumer.messages:
                if message == "bad":
                    with lock if held else Lock():
                        failed.set()
                        raise ValueError(message)
                failed.wait(30)
                with lock:
                    done.append(message)

        with pytest.raises(ValueError, match="bad"):
            database.consume(["bad", *("good" for _ in range(100_000))], work, 3)

        assert len(done) < 100_000
        # The pool has threads of its own.
        assert threading.active_count() - before == POOL_THREADS

    def test_more_of_them_than_connections_are_refused(self, database: Consumers) -> None:
        database.pool(2)

        with pytest.raises(UsageError, match="3 consumers need a connection each, and there are 2"):
            database.consume([], lambda _consumer: None, 3)

    def test_an_error_of_the_statement_is_raised_as_it_is(self, database: Consumers) -> None:
        def fail(consumer: Consumer) -> None:
            consumer.connection.execute("SELECT nonsense")

        with pytest.raises(psycopg.errors.UndefinedColumn):
            database.consume([""], fail, 1)


class Telling:
    """A lock that says when it has been refused."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.refused = Event()
        self.release = lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002
        given: bool = self._lock.acquire(blocking, timeout)
        if not given:
            self.refused.set()
        return given


class TestTheWatchedLock:
    @KINDS
    def test_is_the_lock_itself_unless_work_is_counted(
        self, database: Consumers, kind: Any
    ) -> None:
        lock = kind()

        assert database.watched(lock) is lock
        with database.counting():
            assert database.watched(lock) is not lock
        assert database.watched(lock) is lock

    @KINDS
    def test_keeps_others_out_and_counts_who_waited(self, kind: Any) -> None:
        telling = Telling(kind())
        lock = WatchedLock(telling)

        def wait() -> None:
            with lock:
                pass

        with lock:
            thread = Thread(target=wait)
            thread.start()
            assert telling.refused.wait(30)
            assert lock.holds == []
        thread.join()

        assert (lock.acquisitions, lock.contended) == (2, 1)
        assert lock.waited > 0
        assert [hold.thread for hold in lock.holds] == [threading.main_thread(), thread]
        first, second = lock.holds
        assert first.begun <= first.ended <= second.begun <= second.ended

    def test_counts_once_what_is_taken_again_by_its_own_thread(self) -> None:
        lock = WatchedLock(RLock())

        with lock, lock:
            assert lock.acquire()
            lock.release()
            assert lock.holds == []

        assert (lock.acquisitions, lock.contended, len(lock.holds)) == (1, 0, 1)

    @KINDS
    def test_gives_up_as_the_lock_does(self, kind: Any) -> None:
        lock, taken = WatchedLock(kind()), []

        def try_to() -> None:
            taken.extend([lock.acquire(blocking=False), lock.acquire(timeout=0.001)])

        with lock:
            thread = Thread(target=try_to)
            thread.start()
            thread.join()

        assert taken == [False, False]
        assert (lock.acquisitions, lock.contended, len(lock.holds)) == (1, 0, 1)
        assert lock.acquire(blocking=False)
        lock.release()

    @KINDS
    def test_is_released_when_the_block_raises(self, kind: Any) -> None:
        lock = WatchedLock(kind())

        def fail() -> None:
            with lock:
                message = "inside"
                raise ValueError(message)

        with pytest.raises(ValueError, match="inside"):
            fail()

        assert len(lock.holds) == 1
        with lock:
            pass

    def test_loses_no_figure_among_many_threads(self) -> None:
        lock = WatchedLock(Lock())

        def take_often() -> None:
            for _ in range(1000):
                with lock:
                    pass

        threads = [Thread(target=take_often) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (lock.acquisitions, len(lock.holds)) == (8000, 8000)


class TestHeldTrips:
    @pytest.fixture(autouse=True)
    def open_connections(self, database: Consumers) -> None:
        """Open them before any work is counted, as a probe does."""
        database.pool(4)

    @KINDS
    def test_are_those_made_while_the_lock_is_held(self, database: Consumers, kind: Any) -> None:
        def work(consumer: Consumer) -> None:
            for _ in consumer.messages:
                ask(consumer.connection, 2)
                with lock:
                    ask(consumer.connection, 3)
                ask(consumer.connection, 1)

        with database.counting() as counted:
            lock = database.watched(kind())
            database.consume([""] * 10, work, 4)

        assert counted["held_trips"] == Tally(30, "libpq trace")
        assert values(counted, "round_trips", "acquisitions") == [60, 10]
        assert counted["contended"].value <= 9
        assert 0 <= counted["waiting"].value <= 100

    def test_are_not_those_of_others_who_wait(self, database: Consumers) -> None:
        together, held = Barrier(2, timeout=30), Event()

        def work(consumer: Consumer) -> None:
            together.wait()
            for message in consumer.messages:
                if message == "hold":
                    with lock:
                        held.set()
                        asked.wait(30)
                else:
                    held.wait(30)
                    ask(consumer.connection, 5)
                    asked.set()

        asked = Event()
        with database.counting() as counted:
            lock = database.watched(Lock())
            database.consume(["hold", "ask"], work, 2)

        assert values(counted, "held_trips", "round_trips") == [0, 5]

    def test_count_once_where_two_locks_are_held(self, database: Consumers) -> None:
        def work(consumer: Consumer) -> None:
            with one, other:
                ask(consumer.connection, 3)

        with database.counting() as counted:
            one, other = database.watched(Lock()), database.watched(RLock())
            database.consume([], work, 2)

        assert values(counted, "held_trips", "acquisitions") == [6, 4]

    def test_are_none_without_a_lock(self, database: Consumers) -> None:
        with database.counting() as counted:
            database.consume([], lambda consumer: ask(consumer.connection, 3), 2)

        names = ("held_trips", "acquisitions", "contended", "waited", "waiting")
        assert values(counted, *names) == [0, 0, 0, 0, 0]
        assert counted["round_trips"].value == 6

    def test_are_counted_anew_by_each_pass(self, database: Consumers) -> None:
        def work(consumer: Consumer) -> None:
            for _ in consumer.messages:
                with lock:
                    ask(consumer.connection, 1)

        figures = []
        for _ in range(3):
            with database.counting() as counted:
                lock = database.watched(Lock())
                # More than the five times after which psycopg would prepare the statement.
                database.consume([""] * 20, work, 2)
            figures.append(values(counted, "held_trips", "round_trips", "bytes_out"))

        assert figures[0][:2] == [20, 20]
        assert figures == figures[:1] * 3


class TestTooFewConnections:
    @pytest.fixture
    def narrow(self, own_server: OwnServer) -> Iterator[str]:
        """The URL of a role that may have five connections."""
        with own_server.admin() as admin:
            admin.execute(f"CREATE ROLE narrow LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 5")
            admin.execute("GRANT CREATE ON DATABASE shop TO narrow")
            yield own_server.url("narrow")
            until(lambda: own_server.schemas() == [], "the schema is dropped")
            admin.execute("REVOKE CREATE ON DATABASE shop FROM narrow")
            admin.execute("DROP ROLE narrow")

    @pytest.mark.parametrize("backend", [Postgres, Consumers])
    def test_a_role_with_a_limit_is_told_it(
        self, narrow: str, own_server: OwnServer, backend: type[Postgres]
    ) -> None:
        with backend.serve(Location(narrow)) as service:
            with backend.connect(service.address) as database, pytest.raises(CannotRun) as caught:
                database.pool(4)
            until(lambda: sessions(own_server) == 1, "the server sees the others go")

        error = caught.value
        assert error.what == "PostgreSQL does not give 4 connections at a time beside the first"
        assert 'too many connections for role "narrow"' in error.why
        assert 'ALTER ROLE "narrow" CONNECTION LIMIT 8;' in error.fix
        assert PASSWORD not in f"{error.what}{error.why}{error.fix}"

    def test_a_full_server_says_so(self, database: Consumers) -> None:
        with pytest.raises(CannotRun, match="does not give 60 connections") as caught:
            database.pool(60)

        assert "too many clients" in caught.value.why or "remaining connection" in caught.value.why

    def test_as_many_as_there_are_will_do(self, narrow: str, own_server: OwnServer) -> None:
        with Consumers.serve(Location(narrow)) as service:
            with Consumers.connect(service.address) as database:
                database.consume([], lambda consumer: ask(consumer.connection, 1), 3)
                assert sessions(own_server) == 5
            until(lambda: sessions(own_server) == 1, "the server sees the others go")


def sessions(own_server: OwnServer) -> int:
    """Return how many connections the role with the limit has."""
    with own_server.admin() as admin:
        row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'narrow'")
        return int(row.fetchall()[0][0])
