"""One by one: consumers of a log wait twice for each message."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from perfkit import Probe, count, workers
from perfkit.backends.valkey import Valkey


@dataclass(frozen=True)
class Log:
    """Orders that wait to be read."""

    messages: Annotated[
        int, count("messages in the log", at_most=100_000)
    ] = 800
    batch: Annotated[
        int, count("messages in a batch", at_most=1_000)
    ] = 100
    consumers: Annotated[
        int, workers("consumer threads", at_most=64)
    ] = 4


def delivered(queue: Valkey) -> list[str]:
    """Read what came out, and how much was read but not finished."""
    pending = queue.client.xpending(queue.key(ORDERS), GROUP)["pending"]
    written = queue.client.lrange(queue.key(RESULTS), 0, -1)
    return [*sorted(written), *["pending"] * pending]


probe = Probe(
    name="queue-consume",
    title="One by one: consumers wait twice for each message",
    backend=Valkey,
    params=Log,
    work={
        "round_trips": "round trips",
        "commands": "commands",
        "bytes_out": "bytes sent",
        "bytes_in": "bytes received",
    },
    cause="round_trips",
    answer=delivered,
)

ORDERS, RESULTS, GROUP = "orders", "results", "enrichers"
REGIONS = ("north", "east", "south", "west")
PIECE = 1_000
"""Messages that are sent together to fill the log."""
Entry: TypeAlias = tuple[str, dict[str, str]]
"""A message's number in the log, and its fields."""


@probe.setup
def fill(queue: Valkey, log: Log) -> None:
    """Write the orders, as some shops would."""
    for first in range(0, log.messages, PIECE):
        with queue.client.pipeline(transaction=False) as pipe:
            for order in range(first, min(first + PIECE, log.messages)):
                send(pipe, queue, order)
            pipe.execute()


def send(client: Any, queue: Valkey, order: int) -> None:
    """Append an order; our own numbers are as long in every run."""
    body = {
        "id": order,
        "shop": order % 37,
        "cents": order * 7919 % 9973,
    }
    fields = {"order": json.dumps(body)}
    client.xadd(queue.key(ORDERS), fields, id=f"{order + 1}-0")


@probe.reset
def rewind(queue: Valkey, log: Log) -> None:
    """Forget who has read what, and what came out."""
    with queue.client.pipeline() as pipe:
        pipe.xgroup_destroy(queue.key(ORDERS), GROUP)
        pipe.xgroup_create(queue.key(ORDERS), GROUP, id=0)
        pipe.delete(queue.key(RESULTS))
        pipe.execute()


def enrich(entry: Entry) -> str:
    """Parse an order and look up what it does not say."""
    _, fields = entry
    order = json.loads(fields["order"])
    region = REGIONS[order["shop"] % len(REGIONS)]
    return f"{order['id']:06} {region} {order['cents']}"


def read(
    queue: Valkey, client: Any, name: str, at_most: int
) -> list[Entry]:
    """Take the next messages that no consumer has had, if any."""
    found = client.xreadgroup(
        GROUP, name, {queue.key(ORDERS): ">"}, count=at_most
    )
    return found[0][1] if found else []


def finish(
    queue: Valkey, client: Any, entries: Sequence[Entry]
) -> None:
    """Write the results and acknowledge: both, or neither."""
    with client.pipeline(transaction=True) as both:
        both.rpush(queue.key(RESULTS), *map(enrich, entries))
        numbers = [number for number, _ in entries]
        both.xack(queue.key(ORDERS), GROUP, *numbers)
        both.execute()


def take_over(
    queue: Valkey, client: Any, name: str, at_most: int, idle: int
) -> Iterator[list[Entry]]:
    """Take what consumers that are gone have read but not finished.

    Who has not finished within `idle` milliseconds counts as gone.
    """
    start = "0-0"
    while True:
        start, entries, *_ = client.xautoclaim(
            queue.key(ORDERS), GROUP, name, idle, start, count=at_most
        )
        if entries:
            yield entries
        if start == "0-0":
            return


def consume(
    queue: Valkey, consumers: int, work: Callable[[Any, str], None]
) -> Valkey:
    """Run consumers, a thread and a connection each, to the end."""
    names = [f"consumer-{number:03}" for number in range(consumers)]
    with ThreadPoolExecutor(consumers) as threads:
        for _ in threads.map(work, queue.clients(consumers), names):
            pass
    return queue


def open_clients(queue: Valkey, log: Log) -> None:
    """Connect the consumers before the clock starts."""
    queue.clients(log.consumers)


@probe.naive("one by one", prepare=open_clients)
def take_one(queue: Valkey, log: Log) -> Valkey:
    """Read a message, write its result, read the next."""

    def work(client: Any, name: str) -> None:
        while entries := read(queue, client, name, 1):
            finish(queue, client, entries)

    return consume(queue, log.consumers, work)


@probe.wrong_lever(
    "bigger fetch",
    prepare=open_clients,
    why="Reading was half of the waiting: each result, with its"
    " acknowledgement, still costs a round trip.",
)
def fetch_more(queue: Valkey, log: Log) -> Valkey:
    """Read a batch, but finish the messages one by one."""

    def work(client: Any, name: str) -> None:
        while entries := read(queue, client, name, log.batch):
            for entry in entries:
                finish(queue, client, [entry])

    return consume(queue, log.consumers, work)


def open_twice_as_many(queue: Valkey, log: Log) -> None:
    """Connect twice the consumers before the clock starts."""
    queue.clients(2 * log.consumers)


@probe.wrong_lever(
    "more consumers",
    prepare=open_twice_as_many,
    why="They share the same messages, and each message still costs"
    " two round trips.",
)
def add_consumers(queue: Valkey, log: Log) -> Valkey:
    """Do the same with twice as many consumers."""

    def work(client: Any, name: str) -> None:
        while entries := read(queue, client, name, 1):
            finish(queue, client, entries)

    return consume(queue, 2 * log.consumers, work)


@probe.fixed("whole batches", prepare=open_clients)
def take_batch(queue: Valkey, log: Log) -> Valkey:
    """Read a batch, and finish all of it at once."""

    def work(client: Any, name: str) -> None:
        while entries := read(queue, client, name, log.batch):
            finish(queue, client, entries)

    return consume(queue, log.consumers, work)


@probe.fixed(
    "piped one by one",
    prepare=open_clients,
    partial=True,
    why="It waits once a batch, but the server still runs two commands"
    " for each message.",
)
def take_batch_in_pipe(queue: Valkey, log: Log) -> Valkey:
    """Read a batch; send each result and acknowledgement by itself."""

    def work(client: Any, name: str) -> None:
        while entries := read(queue, client, name, log.batch):
            with client.pipeline(transaction=True) as pipe:
                for entry in entries:
                    pipe.rpush(queue.key(RESULTS), enrich(entry))
                    pipe.xack(queue.key(ORDERS), GROUP, entry[0])
                pipe.execute()

    return consume(queue, log.consumers, work)
