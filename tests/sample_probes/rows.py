"""A small probe of the database: three questions, or one."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Annotated

import psutil

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

fatal = Probe(
    "fatal",
    "Takes the server along",
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


@fatal.naive("end the server and ourselves")
def end_both(database: Postgres, _wanted: Rows) -> object:
    """Kill the parent of our server process, and leave without a word."""
    server = psutil.Process(database.connection.info.backend_pid).parent()
    if server is not None:
        server.send_signal(signal.SIGKILL)
    os._exit(9)


@fatal.fixed("do nothing")
def nothing(_database: Postgres, _wanted: Rows) -> object:
    return None
