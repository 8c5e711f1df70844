"""Row by row: the importer waits for a commit after every row."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated

from perfkit import NotApplicable, Probe, count
from perfkit.backends.postgres import Postgres
from perfkit.errors import CannotRun


@dataclass(frozen=True)
class Batch:
    """Rows that are there to be written."""

    rows: Annotated[int, count("rows to write", at_most=100_000)] = 1000


def stored(db: Postgres) -> list[tuple[object, ...]]:
    """Read the table: the answer is what it holds afterwards."""
    return db.connection.execute(
        "SELECT id, at, item, cents, note FROM sale ORDER BY id"
    ).fetchall()


probe = Probe(
    name="db-write",
    title="Row by row: the importer commits after every row",
    backend=Postgres,
    params=Batch,
    work={
        "round_trips": "round trips",
        "fsyncs": "fsyncs",
        "wal_bytes": "bytes of WAL",
        "statements": "statements",
        "rows_written": "rows written",
    },
    cause="round_trips",
    answer=stored,
)

INSERT = "INSERT INTO sale VALUES (%s, %s, %s, %s, %s)"
THREADS = 4
OPENING = datetime(2026, 1, 5, 8, tzinfo=UTC)
NOTES = (
    None,
    "",
    '"2 for 1"',
    "O'Neil",
    "C:\\new",
    "a\tb\r\n\\.\n",
    "{5%,è}",
)

Sale = tuple[int, datetime, str, int, str | None]


@cache
def sales(rows: int) -> list[Sale]:
    """Make the rows, once in each process."""
    return [
        (
            i,
            OPENING + timedelta(seconds=i, microseconds=i % 7),
            f"item {i * 7919 % 1000}",
            i * 104_729 % 10_000,
            NOTES[i % len(NOTES)],
        )
        for i in range(rows)
    ]


@probe.setup
def load(db: Postgres, batch: Batch) -> None:
    """Make the table."""
    db.connection.execute(
        "CREATE TABLE sale (id int PRIMARY KEY, at timestamptz,"
        " item text, cents int, note text)"
    )


@probe.reset
def empty(db: Postgres, batch: Batch) -> None:
    """Empty the table."""
    db.connection.execute("TRUNCATE sale")


@probe.naive("COMMIT per row")
def write_each(db: Postgres, batch: Batch) -> Postgres:
    """Insert each row; in autocommit mode each is a commit."""
    for sale in sales(batch.rows):
        db.connection.execute(INSERT, sale)
    return db


@probe.wrong_lever(
    "prepare=True",
    why="The driver prepares a repeated statement by itself; each row"
    " still waits for an answer and for the disk.",
)
def write_each_prepared(db: Postgres, batch: Batch) -> Postgres:
    """Prepare the statement from its first use."""
    for sale in sales(batch.rows):
        db.connection.execute(INSERT, sale, prepare=True)
    return db


def commit_unsynced(db: Postgres, batch: Batch) -> None:
    """Have the server answer before the commit is on disk."""
    db.connection.execute("SET synchronous_commit = off")


@probe.wrong_lever(
    "async commit",
    prepare=commit_unsynced,
    why="It saves the wait for the disk and not the round trips, and"
    " a server that crashes loses the commits of its last moments.",
)
def write_each_unsynced(db: Postgres, batch: Batch) -> Postgres:
    """Do the same with synchronous_commit = off."""
    for sale in sales(batch.rows):
        db.connection.execute(INSERT, sale)
    return db


def open_pool(db: Postgres, batch: Batch) -> None:
    """Open the pool before the clock starts, as a server would."""
    try:
        db.pool(THREADS)
    except CannotRun as refused:
        raise NotApplicable(refused.what) from refused


@probe.wrong_lever(
    "4 threads",
    prepare=open_pool,
    why="Threads overlap the waiting; as many commits make as many"
    " round trips, on four connections instead of one.",
)
def write_in_threads(db: Postgres, batch: Batch) -> Postgres:
    """Deal the rows out to four connections."""

    def write(share: list[Sale]) -> None:
        with db.pool(THREADS).connection() as connection:
            for sale in share:
                connection.execute(INSERT, sale)

    rows = sales(batch.rows)
    with ThreadPoolExecutor(THREADS) as threads:
        shares = [rows[first::THREADS] for first in range(THREADS)]
        list(threads.map(write, shares))
    return db


@probe.fixed(
    "one transaction",
    partial=True,
    why="It waits for the disk once, and for the server once per row.",
)
def write_in_transaction(db: Postgres, batch: Batch) -> Postgres:
    """Insert each row, and commit once."""
    with db.connection.transaction():
        for sale in sales(batch.rows):
            db.connection.execute(INSERT, sale)
    return db


@probe.fixed("unnest(arrays)")
def write_arrays(db: Postgres, batch: Batch) -> Postgres:
    """Insert all rows with one statement: an array a column."""
    rows = sales(batch.rows)
    columns = [list(column) for column in zip(*rows, strict=True)]
    db.connection.execute(
        "INSERT INTO sale SELECT * FROM unnest(%s::int[],"
        " %s::timestamptz[], %s::text[], %s::int[], %s::text[])",
        columns,
    )
    return db


@probe.fixed("COPY")
def copy_rows(db: Postgres, batch: Batch) -> Postgres:
    """Stream the rows into the table."""
    with db.connection.cursor().copy("COPY sale FROM STDIN") as copy:
        for sale in sales(batch.rows):
            copy.write_row(sale)
    return db


@probe.fixed("executemany")
def execute_many(db: Postgres, batch: Batch) -> Postgres:
    """Let the driver send the rows in a pipeline of its own."""
    with db.connection.transaction():
        db.connection.cursor().executemany(INSERT, sales(batch.rows))
    return db


@probe.fixed("pipeline")
def write_in_pipeline(db: Postgres, batch: Batch) -> Postgres:
    """Send every row before reading the first answer."""
    with db.connection.pipeline(), db.connection.transaction():
        for sale in sales(batch.rows):
            db.connection.execute(INSERT, sale)
    return db
