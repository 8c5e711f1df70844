from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psycopg
import pytest
from servers import OwnServer

from perfkit.backends import postgres_server, tcp_info
from perfkit.backends.postgres import Postgres
from perfkit.backends.postgres_service import PostgresService
from perfkit.model import Location, Tally

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_INFO")
ROWS = 20

Block = Callable[[Postgres], object]


@pytest.fixture(scope="module")
def service() -> Iterator[PostgresService]:
    with Postgres.serve(Location("embedded")) as running:
        with Postgres.connect(running.address) as database:
            database.connection.execute("CREATE TABLE numbers (n integer)")
            database.connection.execute(f"INSERT INTO numbers SELECT generate_series(1, {ROWS})")
            database.connection.execute("CREATE TABLE notes (n integer, text text)")
        yield running


@pytest.fixture
def database(service: PostgresService) -> Iterator[Postgres]:
    with Postgres.connect(service.address) as connected:
        yield connected


def counted(database: Postgres, block: Block) -> dict[str, Tally]:
    with database.counting() as work:
        block(database)
    return work


def values(work: dict[str, Tally], *names: str) -> list[int]:
    return [work[name].value for name in names]


def warm(database: Postgres, block: Block) -> None:
    """Get past the fifth execution of a statement, at which psycopg prepares it on its own."""
    for _ in range(6):
        block(database)


def nothing(database: Postgres) -> None:
    pass


def one_select(database: Postgres) -> None:
    database.connection.execute("SELECT n FROM numbers").fetchall()


def ten_selects(database: Postgres) -> None:
    for _ in range(10):
        database.connection.execute("SELECT 1").fetchone()


def ten_selects_in_a_pipeline(database: Postgres) -> None:
    with database.connection.pipeline():
        for _ in range(10):
            database.connection.execute("SELECT 1")


def one_transaction(database: Postgres) -> None:
    with database.connection.transaction():
        for number in range(5):
            database.connection.execute("INSERT INTO notes VALUES (%s, '')", (number,))


def five_commits(database: Postgres) -> None:
    for number in range(5):
        database.connection.execute("INSERT INTO notes VALUES (%s, '')", (number,))


def copy_in(database: Postgres) -> None:
    with database.connection.cursor().copy("COPY notes FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((number, "text"))


def copy_out(database: Postgres) -> None:
    with database.connection.cursor().copy("COPY numbers TO STDOUT") as copy:
        assert len(list(copy.rows())) == ROWS


def cursor_in_the_server(database: Postgres) -> None:
    with database.connection.transaction(), database.connection.cursor("page") as cursor:
        cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert len(cursor.fetchmany(5)) == 5


def several_statements_at_once(database: Postgres) -> None:
    database.connection.execute("SELECT 1; SELECT 2; SELECT 3")


def on_a_pool(database: Postgres) -> None:
    def ask(_number: int) -> object:
        with database.pool(3).connection() as connection:
            return connection.execute("SELECT n FROM numbers", prepare=False).fetchall()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(ask, range(12)))


@pytest.mark.parametrize(
    ("block", "round_trips", "statements", "rows"),
    [
        (nothing, 0, 0, 0),
        (one_select, 1, 1, ROWS),
        (ten_selects, 10, 10, 10),
        (ten_selects_in_a_pipeline, 1, 10, 10),
        (one_transaction, 7, 7, 0),
        (five_commits, 5, 5, 0),
        (copy_in, 2, 1, 0),
        (copy_out, 1, 1, 0),
        (cursor_in_the_server, 6, 5, 5),
        (several_statements_at_once, 1, 3, 3),
        (on_a_pool, 12, 12, 12 * ROWS),
    ],
)
def test_known_code_is_counted(
    database: Postgres, block: Block, round_trips: int, statements: int, rows: int
) -> None:
    warm(database, block)
    work = counted(database, block)
    assert values(work, "round_trips", "statements", "rows") == [round_trips, statements, rows]


@pytest.mark.parametrize(
    "block", [one_select, one_transaction, copy_in, copy_out, cursor_in_the_server, on_a_pool]
)
def test_two_passes_count_the_same(service: PostgresService, block: Block) -> None:
    passes = []
    for _ in range(2):
        with Postgres.connect(service.address) as database:
            block(database)
            work = counted(database, block)
            # How full the table's last page is makes a difference.
            del work["wal_bytes"]
            passes.append(work)
    assert passes[0] == passes[1]
    assert passes[0]["bytes_in"].value > 0
    assert passes[0]["bytes_out"].value > 0


@LINUX
@pytest.mark.parametrize(
    "block", [one_select, ten_selects_in_a_pipeline, copy_in, copy_out, on_a_pool]
)
def test_the_trace_and_the_kernel_count_the_same_bytes(database: Postgres, block: Block) -> None:
    block(database)
    work = counted(database, block)
    for name in ("bytes_in", "bytes_out"):
        assert work[name].others == {"TCP_INFO": work[name].value}


@LINUX
def test_the_kernels_bytes_are_right_through_a_relay() -> None:
    with (
        Postgres.serve(Location("embedded", rtt=0.001)) as service,
        Postgres.connect(service.address) as database,
    ):
        warm(database, ten_selects)
        work = counted(database, ten_selects)
        assert work["round_trips"].value == 10
        assert work["bytes_in"].others == {"TCP_INFO": work["bytes_in"].value}
        assert work["bytes_out"].others == {"TCP_INFO": work["bytes_out"].value}


def test_statements_and_rows_have_two_witnesses(database: Postgres) -> None:
    work = counted(database, ten_selects)
    assert work["statements"] == Tally(10, "pg_stat_statements", {"libpq trace": 10})
    assert work["rows"] == Tally(10, "libpq trace", {"pg_stat_statements": 10})


@pytest.mark.parametrize(
    ("block", "commits"),
    [(five_commits, 5), (one_transaction, 1), (one_select, 0), (copy_in, 1), (nothing, 0)],
)
def test_a_commit_is_counted_by_its_fsync(database: Postgres, block: Block, commits: int) -> None:
    witness = "pg_stat_io" if database.connection.info.server_version >= 180_000 else "pg_stat_wal"
    assert counted(database, block)["fsyncs"] == Tally(commits, witness)


def test_the_fsyncs_and_the_log_of_others_are_not_ours(
    service: PostgresService, database: Postgres
) -> None:
    """What another backend did before may be reported while we count."""
    if database.connection.info.server_version < 180_000:
        pytest.skip("before version 18 a server counts no fsyncs by connection")
    with Postgres.connect(service.address) as other:
        other.connection.execute("INSERT INTO notes VALUES (1, '')")

        def report(_database: Postgres) -> None:
            other.connection.execute("INSERT INTO notes VALUES (2, '')")
            other.connection.execute("SELECT pg_stat_force_next_flush()")

        assert values(counted(database, report), "fsyncs", "wal_bytes") == [0, 0]


def test_every_connection_of_the_pool_is_counted(database: Postgres) -> None:
    pool = database.pool(3)

    def commit_everywhere(_database: Postgres) -> None:
        with pool.connection() as a, pool.connection() as b, pool.connection() as c:
            for connection in (a, b, c):
                connection.execute("INSERT INTO notes VALUES (1, '')")

    work = counted(database, commit_everywhere)
    assert values(work, "round_trips", "statements", "fsyncs") == [3, 3, 3]
    assert values(work, "rows_written") == [3]
    assert work["wal_bytes"].value >= 3 * 50


def read_and_write(database: Postgres) -> None:
    database.connection.execute("INSERT INTO notes VALUES (1, ''), (2, '') RETURNING n").fetchall()


def change_and_remove(database: Postgres) -> None:
    with database.connection.transaction():
        database.connection.execute("CREATE TEMP TABLE few ON COMMIT DROP AS SELECT 1 AS n")
        database.connection.execute("INSERT INTO few VALUES (2), (3)")
        database.connection.execute("UPDATE few SET n = n + 1 WHERE n > 1")
        database.connection.execute("DELETE FROM few")


def copy_in_and_out(database: Postgres) -> None:
    copy_in(database)
    copy_out(database)


@pytest.mark.parametrize(
    ("block", "written"),
    [
        (nothing, 0),
        (one_select, 0),
        (five_commits, 5),
        (one_transaction, 5),
        (copy_in, 1000),
        (copy_out, 0),
        (copy_in_and_out, 1000),
        (read_and_write, 2),
        (change_and_remove, 2 + 2 + 3),
    ],
)
def test_rows_written_are_what_the_server_says_it_stored(
    database: Postgres, block: Block, written: int
) -> None:
    assert counted(database, block)["rows_written"].value == written


def test_the_servers_one_figure_of_rows_is_for_what_was_either_read_or_written(
    database: Postgres,
) -> None:
    work = counted(database, five_commits)
    assert work["rows_written"] == Tally(5, "libpq trace", {"pg_stat_statements": 5})
    assert work["rows"] == Tally(0, "libpq trace")
    work = counted(database, read_and_write)
    assert work["rows_written"] == work["rows"] == Tally(2, "libpq trace")


def long_row(database: Postgres) -> None:
    database.connection.execute("INSERT INTO notes VALUES (1, %s)", (LONG,))


def long_row_undone(database: Postgres) -> None:
    with database.connection.transaction(force_rollback=True):
        long_row(database)


# Short enough to stay in its row, and not worth compressing.
LONG = "".join(chr(33 + number * number % 89) for number in range(1500))


@pytest.mark.parametrize(
    ("block", "least"),
    [(nothing, 0), (one_select, 0), (long_row, 1500), (long_row_undone, 1500), (copy_in, 10_000)],
)
def test_bytes_of_the_log_are_counted_by_the_server(
    database: Postgres, block: Block, least: int
) -> None:
    counted(database, block)
    work = counted(database, block)["wal_bytes"]
    assert work.witness == "pg_stat_wal"
    assert least <= work.value <= 10 * least


def test_a_commit_costs_bytes_of_the_log_too(database: Postgres) -> None:
    several, one = counted(database, five_commits), counted(database, one_transaction)
    assert several["wal_bytes"].value > one["wal_bytes"].value


def test_before_version_18_fsyncs_and_bytes_of_the_log_are_the_servers_total() -> None:
    if postgres_server.system() is None:
        pytest.skip("no PostgreSQL server is installed on this system")
    with (
        Postgres.serve(Location("system")) as service,
        Postgres.connect(service.address) as database,
    ):
        if not 140_000 <= database.connection.info.server_version < 180_000:
            pytest.skip("the system's PostgreSQL counts by connection, or not at all")
        database.connection.execute("CREATE TABLE notes (n integer, text text)")
        work = counted(database, five_commits)
    # A checkpoint may come in between.
    assert work["fsyncs"].value >= 5
    assert work["fsyncs"].witness == work["wal_bytes"].witness == "pg_stat_wal"
    assert work["wal_bytes"].value >= 5 * 50


FAKE = "F\t10\tQuery\nB\t5\tReadyForQuery\t I\nB\t11\tDataRow\t 1 1 '1'\nF\t9\tExecute\t \"\" 0"


def old(text: str) -> str:
    """Give every line the time of some trace of long ago."""
    return "\n".join(f"2020-01-01 00:00:00.000000\t{line}" for line in text.splitlines())


def future(text: str) -> str:
    time = datetime.now().replace(year=9000).isoformat(" ", "microseconds")  # noqa: DTZ005 (libpq's)
    return "\n".join(f"{time}\t{line}" for line in text.splitlines())


TEXT = "$text$\nFAKE\n$text$"
STATEMENTS = {
    "in a comment": ("SELECT 1 /* FAKE */", 1),
    "in a column's name": ('SELECT 1 AS "\n\nFAKE"', 1),
    "in a value": (f"SELECT {TEXT}", 1),
    "in a notice": (f"DO $$ BEGIN RAISE NOTICE '%', {TEXT}; END $$", 0),
    "in a notification": (f"NOTIFY news, {TEXT}", 0),
}


@pytest.mark.parametrize("disguise", [str, old, future])
@pytest.mark.parametrize(("statement", "rows"), STATEMENTS.values(), ids=STATEMENTS)
def test_payload_that_looks_like_a_trace_is_not_counted(
    database: Postgres, disguise: Callable[[str], str], statement: str, rows: int
) -> None:
    database.connection.execute("LISTEN news")
    query = statement.replace("FAKE", "\n" + disguise(FAKE) + "\n")
    work = counted(database, lambda database: database.connection.execute(query))
    assert_counted_once(work, rows)


@pytest.mark.parametrize("disguise", [str, old, future])
def test_payload_of_a_prepared_statement_is_not_counted(
    database: Postgres, disguise: Callable[[str], str]
) -> None:
    text = "\n" + disguise(FAKE) + "\n"
    query = f"SELECT %s::text /* {text} */"
    work = counted(database, lambda database: database.connection.execute(query, (text,)))
    assert_counted_once(work, 1)


@pytest.mark.parametrize("disguise", [str, old, future])
def test_payload_of_an_error_is_not_counted(
    database: Postgres, disguise: Callable[[str], str]
) -> None:
    def fail(database: Postgres) -> None:
        query = f"DO $$ BEGIN RAISE '%', {TEXT}; END $$".replace("FAKE", disguise(FAKE))
        with pytest.raises(psycopg.errors.RaiseException):
            database.connection.execute(query)

    assert_counted_once(counted(database, fail), 0)


def assert_counted_once(work: dict[str, Tally], rows: int) -> None:
    assert values(work, "round_trips", "rows") == [1, rows]
    assert work["statements"].others == {"libpq trace": 1}
    for name in ("bytes_in", "bytes_out"):
        assert set(work[name].others.values()) <= {work[name].value}


def test_an_encrypted_connections_bytes_have_no_second_witness(
    encrypted_server: OwnServer,
) -> None:
    """The kernel counts the encrypted bytes, the trace the plain ones."""
    with (
        Postgres.serve(Location(encrypted_server.url() + "?sslmode=require")) as service,
        Postgres.connect(service.address) as database,
    ):
        work = counted(database, ten_selects)
    assert work["bytes_in"].value > 0
    assert work["bytes_in"].others == work["bytes_out"].others == {}


def test_an_exception_inside_the_block_goes_on(database: Postgres) -> None:
    with pytest.raises(ZeroDivisionError), database.counting():
        _ = 1 / 0
    assert counted(database, one_select)["round_trips"].value == 1


@pytest.mark.usefixtures("without_variables")
def test_a_users_server_counts_what_the_client_sees(own_server: OwnServer) -> None:
    with (
        Postgres.serve(Location(own_server.url())) as service,
        Postgres.connect(service.address) as database,
    ):
        warm(database, ten_selects)
        work = counted(database, ten_selects)
    assert work["round_trips"] == Tally(10, "libpq trace")
    assert work["statements"] == Tally(10, "libpq trace")
    assert work["rows"] == Tally(10, "libpq trace")
    assert {"fsyncs", "wal_bytes"}.isdisjoint(work)


def test_the_kernel_counts_nothing_where_there_is_no_connection() -> None:
    assert tcp_info.traffic(0) is None
    assert tcp_info.traffic(10_000) is None
