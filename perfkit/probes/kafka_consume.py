"""A commit per message: the consumer waits for the broker each time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from perfkit import Probe, count, size, workers
from perfkit.backends.kafka import Consumed, Kafka, checked
from perfkit.errors import UsageError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    Results = dict[tuple[int, int], Any]

LARGEST = 1_000_000_000
"""Bytes of a log."""
MOST_FETCHED = 100_000_000
"""Bytes that a fetch may wait for."""


@dataclass(frozen=True)
class Log:
    """A log of events that consumers read, enrich and store."""

    messages: Annotated[int, count("messages", at_most=20_000)] = 1_000
    partitions: Annotated[int, count("partitions", at_most=64)] = 8
    consumers: Annotated[
        int, workers("consumers of the group", at_most=16)
    ] = 1
    batch: Annotated[
        int, count("messages a batch", at_least=2, at_most=10_000)
    ] = 100
    message_size: Annotated[
        int, size("a message", at_least=64, at_most=900_000)
    ] = 256

    def __post_init__(self) -> None:
        """Refuse a log that the memory may not hold."""
        if self.messages * self.message_size > LARGEST:
            raise UsageError(
                f"{self.messages} messages of {self.message_size} bytes"
                " are more than 1 GB",
                why="our broker, and its clients, hold them in memory",
                fix="fewer messages, or smaller ones",
            )


def delivered(consumed: Consumed) -> object:
    """Compare the results, and where the next consumer begins."""
    return [*sorted(consumed.results.items()), *consumed.committed()]


probe = Probe(
    name="kafka-consume",
    title="A commit per message: the consumer waits each time",
    backend=Kafka,
    params=Log,
    work={
        "commits": "commits",
        "fetches": "fetches",
        "requests": "requests",
    },
    cause="commits",
    answer=delivered,
)

REGIONS: Mapping[int, str] = dict(
    enumerate(("north", "east", "south", "west"))
)


@probe.setup
def write(kafka: Kafka, log: Log) -> None:
    """Write the log, its partitions in turn."""
    events = [
        json.dumps({"event": number, "region": number % len(REGIONS)})
        for number in range(log.messages)
    ]
    kafka.fill(
        [event.ljust(log.message_size).encode() for event in events],
        log.partitions,
    )


@probe.reset
def rewind(kafka: Kafka, log: Log) -> None:
    """Commit the first offsets again."""
    kafka.rewind()


def open_consumers(kafka: Kafka, log: Log) -> None:
    """Open the consumers before the clock starts."""
    kafka.open(log.consumers, log.partitions, log.messages)


def poll(consumer: "Consumer") -> "Message":
    """Take the next message; `share` knows when none will come."""
    (message,) = checked([consumer.poll()])
    return message


def take(consumer: "Consumer", most: int) -> "list[Message]":
    """Take a batch of the next messages."""
    return checked(consumer.consume(most))


def enrich(message: "Message", results: "Results") -> None:
    """Put the result in its place: a second time changes nothing."""
    event = json.loads(message.value() or b"")
    place = message.partition() or 0, message.offset() or 0
    results[place] = event["event"], REGIONS[event["region"]]


@probe.naive("commit per message", prepare=open_consumers)
def commit_each(kafka: Kafka, log: Log) -> object:
    """Take a message, enrich it, commit it, and wait for that."""

    def work(
        consumer: "Consumer", left: int, results: "Results"
    ) -> None:
        for _ in range(left):
            message = poll(consumer)
            enrich(message, results)
            consumer.commit(message=message, asynchronous=False)

    return kafka.share(work)


def open_greedy(kafka: Kafka, log: Log) -> None:
    """Open consumers whose fetches wait for more."""
    kafka.open(
        log.consumers,
        log.partitions,
        log.messages,
        fetch_min_bytes=min(log.batch * log.message_size, MOST_FETCHED),
    )


@probe.wrong_lever(
    "bigger fetch",
    prepare=open_greedy,
    why="Messages came in large fetches all along: each commit is"
    " still waited for.",
)
def commit_each_of_batch(kafka: Kafka, log: Log) -> object:
    """Take a batch, and still commit its messages one by one."""

    def work(
        consumer: "Consumer", left: int, results: "Results"
    ) -> None:
        while left:
            for message in take(consumer, min(log.batch, left)):
                enrich(message, results)
                consumer.commit(message=message, asynchronous=False)
                left -= 1

    return kafka.share(work)


def crowded(log: Log) -> str:
    """Give each partition to one consumer at a time."""
    twice = 2 * log.consumers
    idle = max(0, twice - log.partitions)
    if not idle:
        return ""
    return f"{idle} of {twice} consumers would have no partition"


def open_twice_as_many(kafka: Kafka, log: Log) -> None:
    """Open twice as many consumers before the clock starts."""
    kafka.open(2 * log.consumers, log.partitions, log.messages)


@probe.wrong_lever(
    "more consumers",
    prepare=open_twice_as_many,
    unless=crowded,
    why="Twice as many consumers let the waiting overlap; the broker"
    " still serves a commit for every message.",
)
def commit_each_by_twice_as_many(kafka: Kafka, log: Log) -> object:
    """Let twice as many consumers do the same."""
    return commit_each(kafka, log)


@probe.fixed("commit per batch", prepare=open_consumers)
def commit_each_batch(kafka: Kafka, log: Log) -> object:
    """Take a batch, enrich it, and commit where it ends."""

    def work(
        consumer: "Consumer", left: int, results: "Results"
    ) -> None:
        while left:
            batch = take(consumer, min(log.batch, left))
            for message in batch:
                enrich(message, results)
            consumer.commit(asynchronous=False)
            left -= len(batch)

    return kafka.share(work)


@probe.fixed(
    "commit, no wait",
    prepare=open_consumers,
    partial=True,
    why="Nobody waits for the single commit, but the client sends and"
    " the broker serves every one of them.",
)
def commit_each_in_passing(kafka: Kafka, log: Log) -> object:
    """Send a commit for each message, and wait only for the last."""

    def work(
        consumer: "Consumer", left: int, results: "Results"
    ) -> None:
        for _ in range(left):
            message = poll(consumer)
            enrich(message, results)
            consumer.commit(message=message, asynchronous=True)
        if left:
            consumer.commit(asynchronous=False)

    return kafka.share(work)
