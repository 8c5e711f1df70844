"""Top rows by hand: fetch everything, drop from the tail."""

from dataclasses import dataclass
from typing import Annotated

from perfkit import Probe, count
from perfkit.backends.postgres import Postgres


@dataclass(frozen=True)
class Ranking:
    """A table of scores, of which the best are wanted."""

    rows: Annotated[
        int, count("scores in the table", at_least=1, at_most=1_000_000)
    ] = 10_000
    top: Annotated[
        int, count("scores wanted", at_least=1, at_most=10_000)
    ] = 10


probe = Probe(
    name="db-top-rows",
    title="Top rows by hand: select all, drop from the tail",
    backend=Postgres,
    params=Ranking,
    work={
        "rows": "rows",
        "bytes_in": "bytes received",
        "round_trips": "round trips",
    },
    cause="rows",
)

BEST = "SELECT player, points, about FROM score ORDER BY points DESC"
BEST_INDEXED = (
    "SELECT player, points, about FROM indexed_score"
    " ORDER BY points DESC"
)


@probe.setup
def load(db: Postgres, ranking: Ranking) -> None:
    """Store the scores twice: as they were, and with an index."""
    for table in ("score", "indexed_score"):
        db.connection.execute(
            f"CREATE TABLE {table}"
            " (player int PRIMARY KEY, points int, about text)"
        )
        db.connection.execute(
            f"INSERT INTO {table}"
            " SELECT i, (i::bigint * 7919) %% 1000003,"
            " repeat('x', 150)"
            " FROM generate_series(1, %s) AS i",
            (ranking.rows,),
        )
    db.connection.execute("CREATE INDEX ON indexed_score (points DESC)")
    db.connection.execute("VACUUM ANALYZE score, indexed_score")


@probe.naive("select all, pop() the tail")
def drop_tail(db: Postgres, ranking: Ranking) -> object:
    """Remove rows from the end until the wanted number is left."""
    rows = db.connection.execute(BEST).fetchall()
    while len(rows) > ranking.top:
        rows.pop()
    return rows


@probe.wrong_lever(
    "slice instead of pop()",
    why="The loop was the cheap part: every row had already travelled.",
)
def cut_tail(db: Postgres, ranking: Ranking) -> object:
    """Cut the list in one go."""
    return db.connection.execute(BEST).fetchall()[: ranking.top]


@probe.wrong_lever(
    "fetchmany(top) on the client",
    why="The cursor holds every row before fetchmany() is called.",
)
def fetch_many(db: Postgres, ranking: Ranking) -> object:
    """Take only so many from an ordinary cursor."""
    return db.connection.execute(BEST).fetchmany(ranking.top)


@probe.wrong_lever(
    "an index on the order",
    why="It saves the sort; all rows still travel.",
)
def drop_tail_indexed(db: Postgres, ranking: Ranking) -> object:
    """Do the same on the table with the index."""
    rows = db.connection.execute(BEST_INDEXED).fetchall()
    while len(rows) > ranking.top:
        rows.pop()
    return rows


@probe.fixed("LIMIT n")
def ask_for_top(db: Postgres, ranking: Ranking) -> object:
    """Ask for as many rows as are used."""
    return db.connection.execute(
        f"{BEST} LIMIT %s", (ranking.top,)
    ).fetchall()


@probe.fixed("LIMIT n and the index")
def ask_for_top_indexed(db: Postgres, ranking: Ranking) -> object:
    """Ask for few rows, which now an index can find."""
    return db.connection.execute(
        f"{BEST_INDEXED} LIMIT %s", (ranking.top,)
    ).fetchall()
