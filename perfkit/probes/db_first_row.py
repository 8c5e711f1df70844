"""Fetch everything, use the first row: the loop breaks too late."""

from dataclasses import dataclass
from typing import Annotated

from perfkit import Probe, count
from perfkit.backends.postgres import Postgres


@dataclass(frozen=True)
class Log:
    """A log of events, of which the latest is wanted."""

    rows: Annotated[
        int, count("events in the log", at_least=2, at_most=1_000_000)
    ] = 10_000


probe = Probe(
    name="db-first-row",
    title="Fetch everything, use the first row",
    backend=Postgres,
    params=Log,
    work={
        "bytes_in": "bytes received",
        "rows": "rows",
        "round_trips": "round trips",
    },
    cause="bytes_in",
)

LATEST = "SELECT id, body FROM event ORDER BY at DESC"
LATEST_INDEXED = "SELECT id, body FROM indexed_event ORDER BY at DESC"


@probe.setup
def load(db: Postgres, log: Log) -> None:
    """Store the log twice: as it was, and with an index on its time."""
    for table in ("event", "indexed_event"):
        db.connection.execute(
            f"CREATE TABLE {table}"
            " (id int PRIMARY KEY, at int, body text)"
        )
        db.connection.execute(
            f"INSERT INTO {table}"
            " SELECT i, (i::bigint * 7919) %% 1000003, repeat('x', 200)"
            " FROM generate_series(1, %s) AS i",
            (log.rows,),
        )
    db.connection.execute("CREATE INDEX ON indexed_event (at)")
    db.connection.execute("VACUUM ANALYZE event, indexed_event")


@probe.naive("fetchall(), then the first")
def fetch_all(db: Postgres, log: Log) -> object:
    """Fetch all rows and take one."""
    return db.connection.execute(LATEST).fetchall()[0]


@probe.wrong_lever(
    "loop over the cursor and break",
    why="An ordinary cursor has received every row before the loop"
    " sees the first.",
)
def break_loop(db: Postgres, log: Log) -> object:
    """Leave the loop at the first row."""
    for row in db.connection.execute(LATEST):
        return row
    return None


@probe.wrong_lever(
    "an index on the sort column",
    why="It saves the sort; all rows still travel.",
)
def fetch_all_indexed(db: Postgres, log: Log) -> object:
    """Fetch all rows from the table with the index."""
    return db.connection.execute(LATEST_INDEXED).fetchall()[0]


def raise_work_mem(db: Postgres, log: Log) -> None:
    """Let the server sort in memory."""
    db.connection.execute("SET work_mem = '256MB'")


@probe.wrong_lever(
    "work_mem = 256MB",
    prepare=raise_work_mem,
    why="It keeps a big sort off the disk; all rows still travel.",
)
def fetch_all_with_memory(db: Postgres, log: Log) -> object:
    """Fetch all rows with more memory for the sort."""
    return db.connection.execute(LATEST).fetchall()[0]


@probe.fixed("LIMIT 1")
def fetch_one(db: Postgres, log: Log) -> object:
    """Ask for the row that is used."""
    return db.connection.execute(f"{LATEST} LIMIT 1").fetchone()


@probe.fixed("LIMIT 1 and the index")
def fetch_one_indexed(db: Postgres, log: Log) -> object:
    """Ask for one row, which now an index can find."""
    return db.connection.execute(f"{LATEST_INDEXED} LIMIT 1").fetchone()


@probe.fixed(
    "stream() and break",
    partial=True,
    why="The server was asked for all rows, and sends on until the"
    " cancel request arrives.",
)
def break_stream(db: Postgres, log: Log) -> object:
    """Read row by row as they arrive, and leave at the first."""
    for row in db.connection.cursor().stream(LATEST):
        return row
    return None


@probe.fixed(
    "a server-side cursor",
    partial=True,
    why="One row travels, for five more round trips.",
)
def fetch_from_server_cursor(db: Postgres, log: Log) -> object:
    """Keep the rows on the server and fetch one."""
    with (
        db.connection.transaction(),
        db.connection.cursor("latest") as cursor,
    ):
        return cursor.execute(LATEST).fetchone()
