"""Lock contention: what each variant does under the lock, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import psycopg
import pytest
from leftovers import until
from servers import PASSWORD, OwnServer

from perfkit.errors import UsageError, VariantFailed
from perfkit.model import Location, Plan
from perfkit.parameters import read
from perfkit.probes.lock_contention import Load, probe
from perfkit.result import Bound, NotRun, Result
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

LOCKED = ("lock-everything", "add-consumers", "lock-faster")
COPIED, APART = "copy-and-release", "count-apart"


def counted(load: Load, url: str = "") -> Result:
    return run(Plan(probe, load, Location(url), rounds=0))


def figures(result: Result, counter: str) -> dict[str, int]:
    return {variant.name: variant.work[counter].value for variant in result.variants}


def test_each_variant_does_as_much_but_not_under_the_lock() -> None:
    load = Load(consumers=3, messages=10, regions=4)

    result = counted(load)

    trips = load.messages * load.regions
    everyone = (*LOCKED, APART, COPIED)
    assert figures(result, "held_trips") == dict.fromkeys(LOCKED, trips) | {APART: 0, COPIED: 0}
    assert figures(result, "round_trips") == dict.fromkeys(everyone, trips + load.messages)
    assert figures(result, "rows_written") == dict.fromkeys(everyone, trips + load.messages)
    assert figures(result, "acquisitions") == dict.fromkeys(everyone, load.messages) | {APART: 0}
    for variant in result.variants:
        assert variant.work["held_trips"].exact
        assert variant.work["rows_written"].others == {
            "pg_stat_statements": variant.work["rows_written"].value
        }
    assert figures(result, "waiting")[APART] == 0
    assert result.answer == f"{load.messages + 2 * load.regions} rows"
    bounds = {one.name: one.bound for one in result.variants if one.bound is not None}
    reason = "1 + 1 write beside the lock / 4 with it held"
    assert bounds == {"add-consumers": Bound(1.25, reason)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"consumers": "0"}, "consumers=0 is refused by lock-contention"),
        ({"consumers": "10000"}, "consumers=10000 is refused by lock-contention"),
        ({"consumers": "10k"}, "consumers=10000 is refused by lock-contention"),
        ({"connections": "-1"}, "connections=-1 is refused by lock-contention"),
        ({"connections": "3"}, "4 consumers need a connection each, and there are 3"),
        ({"consumers": 8, "connections": 7}, "8 consumers need a connection each, and there are 7"),
    ],
)
def test_too_many_or_too_few_are_refused_before_anything_starts(
    given: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(probe.params, given, probe.name)

    assert caught.value.what == said
    assert caught.value.why
    assert caught.value.fix


def test_twice_the_threads_are_left_out_where_there_are_too_few_connections() -> None:
    why = "8 consumers need a connection each, and there are 7"

    assert probe.obstacles(Load(connections=7)) == {"add-consumers": why}
    assert probe.obstacles(Load(connections=8)) == {}
    assert probe.obstacles(Load()) == {}


@pytest.fixture
def few(own_server: OwnServer) -> Iterator[str]:
    """The URL of a role that may have seven connections."""
    with own_server.admin() as admin:
        admin.execute(f"CREATE ROLE few LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 7")
        admin.execute("GRANT CREATE ON DATABASE shop TO few")
        yield own_server.url("few")
        until(lambda: own_server.schemas() == [], "the schema is dropped")
        admin.execute("REVOKE CREATE ON DATABASE shop FROM few")
        admin.execute("DROP ROLE few")


def test_a_server_that_gives_too_few_for_twice_the_threads_measures_the_rest(few: str) -> None:
    result = counted(Load(messages=4, regions=2), few)

    (left_out,) = result.not_run
    assert left_out == NotRun(
        "add-consumers",
        "wrong lever",
        "twice the threads",
        "PostgreSQL does not give 8 connections at a time beside the first",
    )
    assert figures(result, "held_trips")[LOCKED[0]] == 8


def test_a_server_that_gives_too_few_ends_the_run_with_its_words(few: str) -> None:
    with pytest.raises(VariantFailed) as caught:
        counted(Load(consumers=6, messages=4, regions=2), few)

    error = caught.value
    assert "PostgreSQL does not give 6 connections at a time" in error.what
    assert 'too many connections for role "few"' in error.why
    assert "CONNECTION LIMIT" in error.fix
    assert PASSWORD not in f"{error.what}{error.why}{error.fix}"


RECIPE = Path(__file__).parents[3] / "recipes/lock-contention.md"
Code = dict[str, Any]


def blocks(heading: str) -> list[str]:
    text = RECIPE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def defined(*code: str) -> Code:
    names: Code = {}
    exec("\n".join(code), names)
    return names


@pytest.fixture
def connection(own_server: OwnServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with the tables of the recipe."""
    with own_server.admin() as admin:
        for table in ("sale", "report"):
            admin.execute(f"CREATE TEMPORARY TABLE {table} (region text, cents integer)")
        yield admin


def test_recipes_check_tells_the_fix_from_the_naive_code(
    connection: psycopg.Connection[Any],
) -> None:
    before, after, _ = blocks("Fix")
    (verify,) = blocks("Verify")

    defined(after, verify)["test_no_round_trip_under_the_lock"](connection)
    with pytest.raises(AssertionError, match="a round trip under the lock"):
        defined(before, verify)["test_no_round_trip_under_the_lock"](connection)


def test_recipe_writes_the_same_before_and_after(connection: psycopg.Connection[Any]) -> None:
    before, after, apart = blocks("Fix")
    messages = [("north", 5), ("south", 7), ("north", 1)]
    expected = [("north", 5), ("south", 0), ("north", 5), ("south", 7), ("north", 6), ("south", 7)]

    for code in (before, after, after + apart):
        connection.execute("TRUNCATE sale, report")
        names = defined(code)
        if "consume_apart" in names:
            names["consume_apart"](connection, messages, ["north", "south"], [])
        else:
            names["consume"](connection, messages, RLock(), {"north": 0, "south": 0})

        assert connection.execute("SELECT * FROM sale").fetchall() == messages
        assert connection.execute("SELECT * FROM report").fetchall() == expected
