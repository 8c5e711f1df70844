"""A small probe of the database: three questions, or one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from perfkit import Probe, count
from perfkit.backends.postgres import Postgres


@dataclass(frozen=True)
class Rows:
    """How many rows to ask for."""

    rows: Annotated[int, count("rows")] = 3


probe = Probe(
    "rows",
    "One question a row",
    Postgres,
    Rows,
    work={"round_trips": "round trips"},
    cause="round_trips",
)


@probe.setup
def load(database: Postgres, wanted: Rows) -> None:
    database.connection.execute("CREATE TABLE numbers (n integer)")
    database.connection.execute("INSERT INTO numbers SELECT generate_series(1, %s)", (wanted.rows,))


@probe.naive("one question a row")
def one_by_one(database: Postgres, wanted: Rows) -> object:
    return [
        database.connection.execute(
            "SELECT n FROM numbers WHERE n = %s", (n,), prepare=False
        ).fetchone()
        for n in range(1, wanted.rows + 1)
    ]


@probe.fixed("one question")
def at_once(database: Postgres, _wanted: Rows) -> object:
    return database.connection.execute("SELECT n FROM numbers ORDER BY n", prepare=False).fetchall()
