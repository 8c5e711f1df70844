"""Row by row or all at once: what each way of writing costs, and that it writes the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from servers import OwnServer

from perfkit.backends.postgres import Postgres
from perfkit.backends.postgres_service import PostgresService
from perfkit.errors import UsageError
from perfkit.model import Location, Plan, Tally
from perfkit.parameters import read
from perfkit.probes.db_write import Batch, empty, load, probe, sales
from perfkit.result import Result
from perfkit.run.course import CHANGE, Course
from perfkit.run.orchestrator import run, run_sides

pytestmark = pytest.mark.usefixtures("without_variables")

ROWS = 30
SAME_WORK = {
    "write-each": (ROWS, ROWS),
    "write-each-prepared": (ROWS, ROWS),
    "write-each-unsynced": (ROWS, ROWS),
    "write-in-threads": (ROWS, ROWS),
    "write-in-transaction": (ROWS + 2, ROWS + 2),
    "write-arrays": (1, 1),
    "copy-rows": (2, 1),
    "execute-many": (3, ROWS + 2),
    "write-in-pipeline": (4, ROWS + 2),
}
"""Round trips and statements."""


def values(result: Result, counter: str) -> dict[str, int]:
    return {variant.name: variant.work[counter].value for variant in result.variants}


@pytest.fixture(scope="module")
def result() -> Result:
    return run(Plan(probe, Batch(ROWS), rounds=0))


@pytest.fixture(scope="module")
def service() -> Iterator[PostgresService]:
    with Postgres.serve(Location()) as running:
        with Postgres.connect(running.address) as database:
            load(database, Batch())
        yield running


def written(service: PostgresService, name: str, batch: Batch) -> tuple[Any, dict[str, Tally]]:
    """Write into the empty table in a new connection; return what it holds, and the work."""
    with Postgres.connect(service.address) as database:
        variant = probe.variant(name)
        if variant.prepare is not None:
            variant.prepare(database, batch)
        empty(database, batch)
        with database.counting() as work:
            done = variant.run(database, batch)
        return probe.answer(done), work


def test_each_variant_makes_as_many_round_trips_as_its_story_says(result: Result) -> None:
    trips, statements = values(result, "round_trips"), values(result, "statements")

    assert {name: (trips[name], statements[name]) for name in trips} == SAME_WORK
    assert all(variant.work["round_trips"].exact for variant in result.variants)


def test_only_what_commits_each_row_waits_for_the_disk_each_time(result: Result) -> None:
    fsyncs = values(result, "fsyncs")

    # Commits that come together share one.
    assert 0 < fsyncs.pop("write-in-threads") <= ROWS
    each = {"write-each": ROWS, "write-each-prepared": ROWS, "write-each-unsynced": 0}
    assert fsyncs == dict.fromkeys(fsyncs, 1) | each


def test_every_variant_writes_all_rows_and_two_witnesses_say_so(result: Result) -> None:
    for variant in result.variants:
        work = variant.work["rows_written"]
        assert (work.value, work.others) == (ROWS, {"pg_stat_statements": ROWS})
        assert variant.work["wal_bytes"].value > ROWS


@pytest.mark.parametrize("name", SAME_WORK)
def test_what_is_in_the_table_is_what_was_to_be_written(
    service: PostgresService, name: str
) -> None:
    table, _ = written(service, name, Batch(ROWS))

    assert table == sales(ROWS)


def test_the_rows_hold_what_is_hard_to_write() -> None:
    rows = sales(ROWS)
    notes = {note for *_, note in rows}

    assert {None, ""} < notes
    text = "".join(filter(None, notes))
    assert [mark for mark in "'\"\\\t\n\r,{}%" if mark not in text] == []
    assert not text.isascii()
    assert all(at.tzinfo is not None for _, at, *_ in rows)
    assert any(at.microsecond for _, at, *_ in rows)
    assert rows[1][1] - rows[0][1] == timedelta(seconds=1, microseconds=1)


@pytest.mark.parametrize("name", ["execute-many", "write-in-pipeline"])
def test_a_long_pipeline_neither_hangs_nor_waits_more_often(
    service: PostgresService, name: str
) -> None:
    """What is sent fills the buffers of both sides many times, and so do the answers."""
    rows = 20_000

    table, work = written(service, name, Batch(rows))

    assert len(table) == work["rows_written"].value == rows
    assert work["bytes_out"].value > 1_000_000
    assert work["bytes_in"].value > 500_000
    assert work["round_trips"].value == SAME_WORK[name][0]


def test_on_a_server_of_yours_it_counts_what_the_client_sees(own_server: OwnServer) -> None:
    few = {"write-each": ROWS, "write-in-threads": ROWS, "write-arrays": 1}
    plan = Plan(probe, Batch(ROWS), Location(own_server.url()), rounds=0)

    result = run_sides(plan, Course(counted=frozenset(few)))[CHANGE]

    assert values(result, "round_trips") == values(result, "statements") == few
    assert values(result, "rows_written") == dict.fromkeys(few, ROWS)
    assert all("fsyncs" not in variant.work for variant in result.variants)
    assert own_server.schemas() == []


@pytest.mark.parametrize("rows", ["0", "-1", "100001", "1M"])
def test_too_few_or_too_many_rows_are_refused(rows: str) -> None:
    with pytest.raises(UsageError):
        read(Batch, {"rows": rows}, "db-write")
