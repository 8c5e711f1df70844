"""Lock contention: the report is written with the lock held."""

import json
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock, RLock
from typing import Annotated

from perfkit import Bound, NotApplicable, Probe, count, workers
from perfkit.backends.consumers import Consumer, Consumers, too_few
from perfkit.errors import CannotRun


@dataclass(frozen=True)
class Load:
    """A log of sales, and who consumes it."""

    consumers: Annotated[
        int, workers("consumer threads", at_most=16)
    ] = 4
    messages: Annotated[
        int, count("messages in the log", at_most=10_000)
    ] = 32
    regions: Annotated[
        int, count("regions in the report", at_most=100)
    ] = 8
    connections: Annotated[
        int,
        count(
            "connections; 0: one for each consumer",
            at_least=0,
            at_most=64,
        ),
    ] = 0

    def __post_init__(self) -> None:
        """Refuse consumers that would never get a connection."""
        if 0 < self.connections < self.consumers:
            raise too_few(self.consumers, self.connections)


Totals = dict[str, int]
Outcome = tuple[Consumers, Totals]
SHOPS = 200
SALE = "INSERT INTO sale VALUES (%s, %s, %s)"
REPORT = "INSERT INTO report VALUES (%s, %s)"


def stored(outcome: Outcome) -> object:
    """Read what is there when all have ended."""
    db, totals = outcome
    ask = db.connection.execute
    sales = ask("SELECT id, region, cents FROM sale ORDER BY id")
    published = ask(
        "SELECT region, max(cents), count(*) FROM report"
        " GROUP BY region ORDER BY region"
    )
    return [*totals.items(), *sales.fetchall(), *published.fetchall()]


probe = Probe(
    name="lock-contention",
    title="Lock contention: the report is written with the lock held",
    backend=Consumers,
    params=Load,
    work={
        "held_trips": "round trips under the lock",
        "waiting": "% of the time waiting",
        "round_trips": "round trips",
        "rows_written": "rows written",
        "acquisitions": "times locked",
        "contended": "times waited",
        "waited": "ms waited",
    },
    cause="held_trips",
    answer=stored,
)


@probe.setup
def make_tables(db: Consumers, load: Load) -> None:
    """Make room for the sales and for the reports."""
    for statement in (
        "CREATE TABLE sale (id int, region text, cents int)",
        "CREATE TABLE report (region text, cents int)",
    ):
        db.connection.execute(statement)


@probe.reset
def empty(db: Consumers, load: Load) -> None:
    """Take back what the consumers wrote."""
    db.connection.execute("TRUNCATE sale, report")


def open_pool(db: Consumers, load: Load) -> None:
    """Open the connections before the clock starts."""
    db.pool(load.connections or load.consumers)


def log(load: Load) -> list[str]:
    """Return the messages: what was sold in which shop."""
    return [
        json.dumps({"id": i, "shop": i % SHOPS, "cents": 100 + i})
        for i in range(load.messages)
    ]


@cache
def regions(load: Load) -> dict[int, str]:
    """Return the reference data: the region of each shop."""
    return {i: f"region {i % load.regions:02}" for i in range(SHOPS)}


def nothing_yet(load: Load) -> Totals:
    """Begin the statistics; the keys never change again."""
    return dict.fromkeys(sorted(set(regions(load).values())), 0)


def write(consumer: Consumer, load: Load, text: str) -> tuple[str, int]:
    """Enrich a message and write its row."""
    sale = json.loads(text)
    region, cents = regions(load)[sale["shop"]], sale["cents"]
    consumer.connection.execute(SALE, (sale["id"], region, cents))
    return region, cents


def publish(consumer: Consumer, totals: Totals) -> None:
    """Write the report: a row for each region."""
    for row in totals.items():
        consumer.connection.execute(REPORT, row)


@probe.naive("one global lock", prepare=open_pool)
def lock_everything(db: Consumers, load: Load) -> Outcome:
    """Count and publish under one lock, so that the report is right."""
    lock, totals = db.watched(RLock()), nothing_yet(load)

    def work(consumer: Consumer) -> None:
        for text in consumer.messages:
            region, cents = write(consumer, load, text)
            with lock:
                totals[region] += cents
                publish(consumer, totals)

    db.consume(log(load), work, load.consumers)
    return db, totals


def refuse_twice(load: Load) -> str:
    """Say why there cannot be twice as many consumers."""
    needed, given = 2 * load.consumers, load.connections
    if 0 < given < needed:
        return str(too_few(needed, given))
    return ""


def open_twice(db: Consumers, load: Load) -> None:
    """Open twice the connections, where the server gives them."""
    try:
        db.pool(load.connections or 2 * load.consumers)
    except CannotRun as refused:
        raise NotApplicable(refused.what) from refused


def at_best(db: Consumers, load: Load) -> Bound:
    """Predict what is left to gain where the reports queue."""
    n = load.regions
    return Bound(
        1 + 1 / n, f"1 + 1 write beside the lock / {n} with it held"
    )


@probe.wrong_lever(
    "twice the threads",
    prepare=open_twice,
    unless=refuse_twice,
    bound=at_best,
    why="They queue for the same lock: what is done with it held is"
    " done one after the other, however many wait.",
)
def add_consumers(db: Consumers, load: Load) -> object:
    """Start twice as many consumers on the same messages."""
    more = replace(load, consumers=2 * load.consumers)
    return lock_everything(db, more)


@probe.wrong_lever(
    "Lock, not RLock",
    prepare=open_pool,
    why="To take a lock costs next to nothing; to wait for the one who"
    " holds it, and itself waits for the database, costs all the time.",
)
def lock_faster(db: Consumers, load: Load) -> Outcome:
    """Take the simpler lock, which need not know its owner."""
    lock, totals = db.watched(Lock()), nothing_yet(load)

    def work(consumer: Consumer) -> None:
        for text in consumer.messages:
            region, cents = write(consumer, load, text)
            with lock:
                totals[region] += cents
                publish(consumer, totals)

    db.consume(log(load), work, load.consumers)
    return db, totals


@probe.fixed("counters apart", prepare=open_pool)
def count_apart(db: Consumers, load: Load) -> Outcome:
    """Count in each thread for itself, and add up to publish."""
    counters: list[Totals] = []

    def added() -> Totals:
        return {
            region: sum(each[region] for each in counters)
            for region in nothing_yet(load)
        }

    def work(consumer: Consumer) -> None:
        mine = nothing_yet(load)
        counters.append(mine)
        for text in consumer.messages:
            region, cents = write(consumer, load, text)
            mine[region] += cents
            publish(consumer, added())

    db.consume(log(load), work, load.consumers)
    return db, added()


@probe.fixed("lock for the copy", prepare=open_pool)
def copy_and_release(db: Consumers, load: Load) -> Outcome:
    """Hold the lock to count and copy, and publish the copy."""
    lock, totals = db.watched(RLock()), nothing_yet(load)

    def work(consumer: Consumer) -> None:
        for text in consumer.messages:
            region, cents = write(consumer, load, text)
            with lock:
                totals[region] += cents
                copy = totals.copy()
            publish(consumer, copy)

    db.consume(log(load), work, load.consumers)
    return db, totals
