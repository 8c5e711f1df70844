"""Commits on Kafka: what each variant sends, and that no message is lost when a consumer dies."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="needs the extra kafka")

from confluent_kafka import Consumer, TopicPartition

from perfkit import registry
from perfkit.backends import kafka_broker
from perfkit.backends.kafka import Kafka, client
from perfkit.backends.kafka_service import KafkaService
from perfkit.errors import UsageError
from perfkit.model import Location, Plan
from perfkit.parameters import read
from perfkit.probes.kafka_consume import Log, open_greedy, probe, write
from perfkit.result import Result
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

SMALL = Log(messages=50, partitions=4, batch=20)


def commits(result: Result) -> dict[str, tuple[int, bool]]:
    return {
        variant.name: (variant.work["commits"].value, variant.work["commits"].exact)
        for variant in result.variants
    }


def test_each_variant_commits_as_often_as_its_story_says() -> None:
    result = run(Plan(probe, SMALL, rounds=0))

    assert commits(result) == {
        "commit-each": (50, True),
        "commit-each-of-batch": (50, True),
        "commit-each-by-twice-as-many": (50, True),
        "commit-each-batch": (3, True),
        "commit-each-in-passing": (51, True),
    }
    assert {variant.work["commits"].witness for variant in result.variants} == {"relay"}
    assert result.answer == "54 rows"


def test_on_a_broker_of_yours_the_client_counts_the_same() -> None:
    log = Log(messages=9, partitions=1, batch=4)
    with kafka_broker.start(kafka_broker.find()) as own:
        location = Location(f"kafka://{kafka_broker.HERE}:{own.port}")
        result = run(Plan(probe, log, location, rounds=0))

    assert commits(result) == {
        "commit-each": (9, True),
        "commit-each-of-batch": (9, True),
        "commit-each-batch": (3, True),
        "commit-each-in-passing": (10, True),
    }
    assert {variant.work["commits"].witness for variant in result.variants} == {"librdkafka"}
    assert {one.name: one.why for one in result.not_run} == {
        "commit-each-by-twice-as-many": "1 of 2 consumers would have no partition"
    }


def test_more_consumers_than_partitions_have_nothing_to_do_and_lose_nothing() -> None:
    log = Log(messages=7, partitions=2, consumers=5)
    naive = probe.variant("commit-each")
    assert naive.prepare is not None
    assert probe.restore is not None
    with Kafka.serve(Location()) as service, Kafka.connect(service.address) as kafka:
        write(kafka, log)
        naive.prepare(kafka, log)
        probe.restore(kafka, log)
        answer: Any = probe.answer(naive.run(kafka, log))

    regions = ["north", "east", "south", "west"] * 2
    expected = [((number % 2, number // 2), (number, regions[number])) for number in range(7)]
    assert answer == [*sorted(expected), (0, 4), (1, 3)]


def test_a_consumer_whose_partitions_are_empty_has_nothing_to_commit() -> None:
    log = Log(messages=1, partitions=2, consumers=2)
    passing = probe.variant("commit-each-in-passing")
    assert passing.prepare is not None
    with Kafka.serve(Location()) as service, Kafka.connect(service.address) as kafka:
        write(kafka, log)
        passing.prepare(kafka, log)
        kafka.rewind()
        answer: Any = probe.answer(passing.run(kafka, log))

    assert answer == [((0, 0), (0, "north")), (0, 1), (1, 0)]


@pytest.mark.parametrize("given", ["consumers=0", "consumers=10000", "partitions=65", "batch=1"])
def test_parameters_out_of_bounds_are_refused(given: str) -> None:
    name, _, value = given.partition("=")

    with pytest.raises(UsageError, match=f"{name}={value} is refused"):
        read(Log, {name: value}, probe.name)


def test_a_log_of_more_than_a_gigabyte_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 1 GB"):
        Log(messages=20_000, message_size=50_001)
    with pytest.raises(UsageError, match="20000 messages of 60000 bytes"):
        read(Log, {"messages": "20000", "message_size": "60000 B"}, probe.name)


def test_a_fetch_never_waits_for_more_than_librdkafka_allows() -> None:
    large = Log(messages=1, partitions=1, batch=10_000, message_size=900_000)
    with Kafka.serve(Location()) as service, Kafka.connect(service.address) as kafka:
        open_greedy(kafka, large)


CONSUMER = """
import json, sys
order = json.loads(sys.argv[1])
sys.path[:] = order["path"]
from perfkit.backends.kafka import Address, Kafka
from perfkit.probes import kafka_consume
enrich = kafka_consume.enrich

def tell(message, results):
    enrich(message, results)
    place = message.partition(), message.offset()
    print(json.dumps([place, results[place]]), flush=True)
    # Whoever keeps the results says when to go on.
    sys.stdin.readline()

kafka_consume.enrich = tell
log = kafka_consume.Log(**order["log"])
with Kafka.connect(Address(**order["address"])) as kafka:
    kafka_consume.open_consumers(kafka, log)
    kafka_consume.commit_each_batch(kafka, log)
"""


Place = tuple[int, int]


def consume(service: KafkaService, log: dict[str, int], most: int) -> list[tuple[Place, Any]]:
    """Let a consumer process work on so many messages, and kill it before it can go on."""
    order = {"path": sys.path, "log": log, "address": asdict(service.address)}
    told: list[tuple[Place, Any]] = []
    with subprocess.Popen(
        [sys.executable, "-c", CONSUMER, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while len(told) < most:
            if told:
                process.stdin.write("\n")
                process.stdin.flush()
            place, result = json.loads(process.stdout.readline())
            told.append(((place[0], place[1]), result))
        process.kill()
    return told


@pytest.fixture
def service() -> Iterator[KafkaService]:
    with Kafka.serve(Location()) as running:
        yield running


def test_consumers_killed_within_a_batch_lose_nothing_and_repeat_only_what_was_not_committed(
    service: KafkaService,
) -> None:
    log = {"messages": 64, "partitions": 2, "batch": 8}
    sink: dict[Place, Any] = {}
    unsafe: set[Place] = set()
    committed = repeated = 0
    with Kafka.connect(service.address) as kafka:
        write(kafka, Log(**log))

    for most in (3, 8, 1, 15, 16, 9, 5, 12, 17, 4, 64):
        told = consume(service, log, min(most, 64 - committed))
        # It was killed before it could commit its last batch.
        safe = (len(told) - 1) // 8 * 8
        committed += safe
        again = [place for place, _ in told if place in sink]
        repeated += len(again)
        assert set(again) <= unsafe
        for place, result in told:
            # A second time changes nothing.
            assert sink.setdefault(place, result) == result
        unsafe |= {place for place, _ in told}
        unsafe -= {place for place, _ in told[:safe]}

    assert sorted(sink) == [(partition, offset) for partition in (0, 1) for offset in range(32)]
    assert repeated > 0
    places = [TopicPartition(service.address.name, partition) for partition in (0, 1)]
    with closing(
        Consumer({"group.id": service.address.name, **client(service.address.servers)})
    ) as one:
        assert sum(max(0, place.offset) for place in one.committed(places, 10)) == committed == 56


def blocks(heading: str) -> list[str]:
    """Return the Python code of a section of the recipe."""
    page = registry.recipe(probe.name)
    assert page is not None
    parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(parts[1::2], parts[2::2], strict=True))[heading]
    return re.findall(r"^ *```python\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)


def defined(*code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in code:
        exec(block, names)
    return names


@pytest.mark.parametrize("which", ["before", "after"])
def test_recipes_own_check_tells_the_fix_from_the_naive_code(which: str) -> None:
    before, after, *_ = blocks("Fix")
    names = defined(before if which == "before" else after, *blocks("Verify"))
    (check,) = [check for name, check in names.items() if name.startswith("test_")]
    with Kafka.serve(Location()) as service:
        with Kafka.connect(service.address) as kafka:
            write(kafka, Log(messages=120, partitions=1))
        settings = {
            "group.id": "recipe",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        with closing(Consumer(client(service.address.servers) | settings)) as consumer:
            consumer.assign([TopicPartition(service.address.name, 0)])
            if which == "after":
                check(consumer)
            else:
                with pytest.raises(AssertionError):
                    check(consumer)
            (end,) = consumer.committed([TopicPartition(service.address.name, 0)], 10)
    assert end.offset == 120


def test_recipes_sink_takes_a_message_twice_and_keeps_it_once() -> None:
    class Twice:
        def topic(self) -> str:
            return "events"

        def partition(self) -> int:
            return 3

        def offset(self) -> int:
            return 14

        def value(self) -> bytes:
            return b"value"

    store = defined(blocks("Fix")[2])["store"]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            "CREATE TABLE result (topic, part, place, value, PRIMARY KEY (topic, part, place))"
        )
        for _ in range(2):
            store(database, Twice())
        assert database.execute("SELECT * FROM result").fetchall() == [("events", 3, 14, b"value")]
