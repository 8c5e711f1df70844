"""Consumers of a log: what each variant asks the server for, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from valkey_servers import PASSWORD, OwnValkey

from perfkit.backends.valkey import Valkey
from perfkit.backends.valkey_service import ValkeyService
from perfkit.errors import UsageError
from perfkit.model import Location, Plan, Tally
from perfkit.parameters import read
from perfkit.probes import queue_consume
from perfkit.probes.queue_consume import (
    Log,
    consume,
    delivered,
    enrich,
    fill,
    finish,
    probe,
    rewind,
)
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")


@pytest.fixture(scope="module")
def service() -> Iterator[ValkeyService]:
    with Valkey.serve(Location()) as running:
        yield running


@pytest.fixture
def queue(service: ValkeyService) -> Iterator[Valkey]:
    """A log of ten messages that nobody has read."""
    with Valkey.connect(service.address) as connected:
        connected.client.flushall()
        fill(connected, Log(messages=10))
        rewind(connected, Log())
        yield connected


def counted(queue: Valkey, name: str, log: Log) -> dict[str, Tally]:
    """Count a variant's work as a worker does."""
    variant = probe.variant(name)
    assert variant.prepare is not None
    variant.prepare(queue, log)
    rewind(queue, log)
    with queue.counting() as work:
        variant.run(queue, log)
    return work


# Each batch is a read and a transaction of four commands; then every consumer finds nothing more.
@pytest.mark.parametrize(
    ("variant", "consumers", "trips", "commands"),
    [
        ("take-one", 1, 10 + 10 + 1, 10 + 4 * 10 + 1),
        ("take-one", 3, 10 + 10 + 3, 10 + 4 * 10 + 3),
        ("fetch-more", 3, 3 + 10 + 3, 3 + 4 * 10 + 3),
        ("add-consumers", 3, 10 + 10 + 6, 10 + 4 * 10 + 6),
        ("take-batch", 1, 3 + 3 + 1, 3 + 4 * 3 + 1),
        ("take-batch", 3, 3 + 3 + 3, 3 + 4 * 3 + 3),
        ("take-batch-in-pipe", 3, 3 + 3 + 3, 3 + (2 + 2) * 3 + 2 * 7 + 3),
    ],
)
def test_what_each_variant_asks_for(
    queue: Valkey, variant: str, consumers: int, trips: int, commands: int
) -> None:
    work = counted(queue, variant, Log(messages=10, batch=4, consumers=consumers))

    assert work["round_trips"] == Tally(
        trips, "INFO stats", {"valkey-py": trips, "TCP_INFO": trips}
    )
    assert work["commands"] == Tally(commands, "CLIENT LIST", {"INFO stats": commands})
    for name in ("bytes_in", "bytes_out"):
        assert work[name].others == {"TCP_INFO": work[name].value}


def test_a_whole_batch_of_the_default_size_is_one_read_for_the_server(queue: Valkey) -> None:
    log = Log(consumers=1)
    queue.client.flushall()
    fill(queue, log)

    work = counted(queue, "take-batch", log)

    assert work["round_trips"].value == 8 + 8 + 1


@pytest.mark.parametrize("variant", [variant.name for variant in probe.variants])
def test_every_variant_finishes_each_message_once(queue: Valkey, variant: str) -> None:
    log = Log(messages=10, batch=4, consumers=3)

    probe.variant(variant).run(queue, log)

    assert [line.split()[0] for line in delivered(queue)] == [f"{n:06}" for n in range(10)]


def test_the_answer_tells_what_was_read_but_not_finished(queue: Valkey) -> None:
    entries = queue_consume.read(queue, queue.client, "one", 4)
    finish(queue, queue.client, entries[:3])

    assert delivered(queue) == [*sorted(map(enrich, entries[:3])), "pending"]


def test_reading_again_begins_at_the_start(queue: Valkey) -> None:
    before = queue_consume.read(queue, queue.client, "one", 4)
    finish(queue, queue.client, before)

    rewind(queue, Log())

    assert delivered(queue) == []
    assert queue_consume.read(queue, queue.client, "one", 4) == before


def test_who_takes_over_gets_what_others_did_not_finish(queue: Valkey) -> None:
    theirs = queue_consume.read(queue, queue.client, "gone", 5)
    finish(queue, queue.client, theirs[:1])

    def taken(idle: int) -> list[str]:
        found = queue_consume.take_over(queue, queue.client, "successor", 2, idle)
        return [number for entries in found for number, _ in entries]

    assert taken(idle=60_000) == []
    assert taken(idle=0) == [number for number, _ in theirs[1:]]


@pytest.mark.parametrize("fault", ["lost", "twice"])
def test_a_variant_that_loses_or_repeats_a_message_is_caught(fault: str, queue: Valkey) -> None:
    def careless(queue: Valkey, log: Log) -> Valkey:
        """Write the first result of a batch twice, or not at all."""
        while entries := queue_consume.read(queue, queue.client, "careless", log.batch):
            finish(queue, queue.client, entries)
            if fault == "twice":
                queue.client.rpush(queue.key(queue_consume.RESULTS), enrich(entries[0]))
            else:
                queue.client.lpop(queue.key(queue_consume.RESULTS))
        return queue

    log = Log(messages=10, batch=10, consumers=1)
    answers = []
    for variant in (probe.variant("take-one").run, careless):
        rewind(queue, log)
        answers.append(delivered(queue) if variant(queue, log) is queue else [])

    assert len(answers[0]) == 10
    assert len(answers[1]) == (9 if fault == "lost" else 11)


def test_on_a_server_of_yours_nothing_is_left_and_no_secret_is_stored(
    own_valkey: OwnValkey,
) -> None:
    before = own_valkey.everything()

    log = Log(messages=20, batch=10, consumers=2)
    result = run(Plan(probe, log, Location(own_valkey.url()), rounds=0))

    assert own_valkey.everything() == before
    assert PASSWORD not in msgspec.json.encode(result).decode()
    assert result.answer == "20 rows"
    trips = {variant.name: variant.work["round_trips"] for variant in result.variants}
    assert (trips["take-one"].value, trips["take-one"].witness) == (42, "valkey-py")
    assert (trips["take-batch"].value, trips["take-batch"].exact) == (6, True)


@pytest.mark.parametrize("consumers", ["0", "10k", "10000", "-1", "many"])
def test_too_few_or_too_many_consumers_are_refused(consumers: str) -> None:
    with pytest.raises(UsageError):
        read(Log, {"consumers": consumers}, "queue-consume")


def test_more_consumers_than_messages_is_no_fault(queue: Valkey) -> None:
    log = Log(messages=10, batch=10, consumers=64)

    probe.variant("take-batch").run(queue, log)

    assert len(delivered(queue)) == 10


def test_a_consumer_that_fails_ends_the_run_with_its_error(queue: Valkey) -> None:
    def work(client: Any, name: str) -> None:
        if name == "consumer-001":
            raise ValueError(name)
        while entries := queue_consume.read(queue, client, name, 1):
            finish(queue, client, entries)

    with pytest.raises(ValueError, match="consumer-001"):
        consume(queue, 3, work)
