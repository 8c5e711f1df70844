"""A Kafka broker as a probe's functions see it: consumers that share a log, and their requests.

| work              | our broker                 | a broker of yours                        |
|-------------------|----------------------------|------------------------------------------|
| requests          | the relay: all of them     | librdkafka's statistics: what it has sent |
| commits, fetches  | the relay: by their kind   | the same                                 |

Bringing a broker up, or reaching the user's, is `kafka_service`'s part: workers only connect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn, Self

from perfkit.backends import kafka_relay
from perfkit.errors import CannotRun
from perfkit.extras import require
from perfkit.model import Tally

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

    from perfkit.backends.kafka_service import KafkaService
    from perfkit.model import Location

WIRE, CLIENT = "relay", "librdkafka"
COUNTED = {"commits": "OffsetCommit", "fetches": "Fetch"}
"""Our counters, and what Kafka calls these requests."""
PATIENCE = 5.0
"""Seconds without any progress after which a broker that is near counts as lost.

The client itself waits for the answer to a commit for ever, also when nobody is left to send it.
"""
TRIPS = 20
"""Round trips that may pass besides: to connect and to find a group's place takes several."""
LOOK = 0.5
"""Seconds between two looks whether there is progress."""
AT_ONCE = 1_000
"""Messages that are written before we wait for the broker to have them."""
MOST = 1_000_000
"""Bytes of a message, by librdkafka's default and not only by the broker's."""
INTERVAL = 0.05
"""Seconds between two statistics of the client."""
IDLE = 0.02
"""Seconds that the broker holds a request for messages back when there are none."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a worker finds the broker, and what is ours there."""

    servers: str
    """Hosts with ports, as librdkafka's `bootstrap.servers` has them."""
    name: str
    """Of our topic, and of our group of consumers."""
    control: str
    """The Unix socket of the relay that counts; empty for a broker of the user's."""
    title: str
    """Product, version and measured distance."""
    patience: float = PATIENCE
    """Seconds without any progress after which it counts as lost."""


@dataclass(slots=True)
class Statistics:
    """What a client last said of itself, and how often it has."""

    text: str = "{}"
    told: int = 0

    def hear(self, text: str) -> None:
        """Keep it; reading it can wait until somebody asks."""
        self.text, self.told = text, self.told + 1


@dataclass(slots=True)
class Reader:
    """A consumer and the partitions that are its own."""

    consumer: Consumer
    places: list[TopicPartition]
    messages: int
    """How many are in them."""
    statistics: Statistics


_lost: list[Reader] = []
"""Readers that wait for a broker in vain: neither closing nor freeing them would ever end."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """What came of a log: the results, and where the broker says that the next consumer begins."""

    results: Mapping[tuple[int, int], object]
    """By partition and offset, so that a message that comes twice counts once."""
    committed: Callable[[], list[tuple[int, int]]]


Work = Callable[["Consumer", int, dict[tuple[int, int], Any]], None]
"""Consumes so many messages, and puts a result for each in its place."""


class Kafka:
    """A broker as a probe's functions see it.

    `fill` writes a log, `open` opens consumers that share its partitions, and `share` lets each
    work on its own ones, in a thread. They are given their partitions by us (`assign`): a group
    that has to agree on them first takes seconds.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._patience = address.patience
        self._readers: list[Reader] = []

    def __str__(self) -> str:
        """Name the product, the version and the round-trip time really measured."""
        return self._address.title

    @classmethod
    def serve(cls, location: Location) -> AbstractContextManager[KafkaService]:
        """Start the embedded broker, or reach the user's.

        The user's is `location.url` (kafka://host:port,host:port) or the variable PERFKIT_KAFKA.
        Raises UsageError (the URL cannot be read, a distance to a broker of the user's), CannotRun
        (unreachable, no Kafka, not allowed) and MissingExtra.
        """
        from perfkit.backends.kafka_service import serve

        return serve(location)

    @classmethod
    @contextmanager
    def connect(cls, address: Address) -> Iterator[Self]:
        """Prepare a worker; its consumers close with the block."""
        require("confluent_kafka", "kafka")
        kafka = cls(address)
        try:
            yield kafka
        finally:
            kafka._close()

    def fill(self, messages: Sequence[bytes], partitions: int) -> None:
        """Write a log, the partitions in turn; raises CannotRun for what the broker refuses."""
        from confluent_kafka import KafkaException, Producer

        create_topic(self._address.servers, self._address.name, partitions, self._patience)
        refused: list[tuple[int, KafkaError]] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                refused.append((len(message), error))

        waiting = {"linger.ms": 5, "message.timeout.ms": int(1000 * self._patience)}
        producer = Producer(client(self._address.servers, self._patience) | waiting)
        for number, message in enumerate(messages):
            try:
                producer.produce(
                    self._address.name,
                    message,
                    partition=number % partitions,
                    on_delivery=delivered,
                )
            except KafkaException as error:
                refused.append((len(message), error.args[0]))
            last = number == len(messages) - 1
            # The client's queue has an end.
            if last or number % AT_ONCE == AT_ONCE - 1:
                producer.flush(2 * self._patience)
            if refused:
                _refuse(*refused[0])
        if len(producer):
            raise CannotRun(f"the broker has not taken a message for {self._patience:g} s")

    def open(self, consumers: int, partitions: int, messages: int, **settings: int) -> None:
        """Open consumers of one group, which divide the partitions of a log among them.

        `settings` are librdkafka's, with underscores for its dots.
        """
        from confluent_kafka import Consumer, TopicPartition

        named = {name.replace("_", "."): value for name, value in settings.items()}
        for number in range(consumers):
            own = range(number, partitions, consumers)
            if not own:
                # A partition is for one consumer; this one has nothing to do.
                break
            said = Statistics()
            reader = Reader(
                Consumer(
                    client(self._address.servers, self._patience)
                    | {
                        "group.id": self._address.name,
                        "enable.auto.commit": False,
                        "auto.offset.reset": "earliest",
                        # The default, half a second, would be waited for between two calls.
                        "fetch.wait.max.ms": int(1000 * IDLE),
                    }
                    | self._reporting(said)
                    | named
                ),
                [TopicPartition(self._address.name, partition) for partition in own],
                # As we filled them: Tansu counts batches when it is asked where a partition ends.
                sum(len(range(partition, messages, partitions)) for partition in own),
                said,
            )
            self._readers.append(reader)

    def _reporting(self, said: Statistics) -> dict[str, Any]:
        """Return what makes a client tell its statistics, where no relay counts."""
        if self._address.control:
            return {}
        return {"statistics.interval.ms": int(1000 * INTERVAL), "stats_cb": said.hear}

    def rewind(self) -> None:
        """Have every consumer begin anew: at the first message, with nothing on its way."""
        done: list[int] = []

        def begin_anew(reader: Reader) -> None:
            from confluent_kafka import TopicPartition

            reader.consumer.unassign()
            first = [TopicPartition(place.topic, place.partition, 0) for place in reader.places]
            reader.consumer.commit(offsets=first, asynchronous=False)
            for place in reader.places:
                # By the connection that messages come by: the last request for some is then over.
                reader.consumer.get_watermark_offsets(place, self._patience, cached=False)
                done.append(place.partition)

        self._each(begin_anew, done)

    def share(self, work: Work) -> Consumed:
        """Let each consumer take its partitions, go on where its group was, and work.

        Raises what one of them raises, and CannotRun when the broker falls silent.
        """
        results: dict[tuple[int, int], Any] = {}

        def consume(reader: Reader) -> None:
            reader.consumer.assign(reader.places)
            work(reader.consumer, reader.messages, results)

        self._each(consume, results)
        return Consumed(results, self._committed)

    def _committed(self) -> list[tuple[int, int]]:
        """Ask the broker where each partition would be read on."""
        return sorted(
            (place.partition, place.offset)
            for reader in self._readers
            for place in reader.consumer.committed(reader.places, self._patience)
        )

    def _each(self, step: Callable[[Reader], None], progress: Sized) -> None:
        """Do something with all readers at once, for as long as there is progress.

        Raises what the first of them raises, when all have ended; and CannotRun.
        """
        ended: SimpleQueue[BaseException | None] = SimpleQueue()

        def run(reader: Reader) -> None:
            try:
                step(reader)
            # Raised again where somebody waits for it.
            except BaseException as error:  # noqa: BLE001
                ended.put(error)
            else:
                ended.put(None)

        for reader in self._readers:
            Thread(target=run, args=(reader,), daemon=True).start()
        errors = [self._await(ended, progress) for _ in self._readers]
        for error in filter(None, errors):
            raise error

    def _await(
        self, ended: SimpleQueue[BaseException | None], progress: Sized
    ) -> BaseException | None:
        """Return how the next reader ended; raises CannotRun when there is no progress."""
        before, silent = -1, 0.0
        while silent < self._patience:
            try:
                return ended.get(timeout=LOOK)
            except Empty:
                silent = silent + LOOK if len(progress) == before else 0.0
                before = len(progress)
        _lost.extend(self._readers)
        self._readers = []
        raise CannotRun(f"nothing has come from the broker for {self._patience:g} s")

    def _close(self) -> None:
        with suppress(CannotRun):
            self._each(lambda reader: reader.consumer.close(), ())

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count the requests inside the block, and which of them commit or fetch."""
        work: dict[str, Tally] = {}
        control = self._address.control
        with kafka_relay.counting(control) if control else self._told() as requests:
            yield work
        witness = WIRE if control else CLIENT
        work["requests"] = Tally(sum(requests.values()), witness)
        for name, kind in COUNTED.items():
            work[name] = Tally(requests.get(kind, 0), witness)

    @contextmanager
    def _told(self) -> Iterator[dict[str, int]]:
        """Count what the clients say that they have sent."""
        counted: dict[str, int] = {}
        before = self._sent()
        yield counted
        after = self._sent()
        counted.update({kind: after[kind] - before.get(kind, 0) for kind in after})

    def _sent(self) -> dict[str, int]:
        """Return how many requests of each kind the clients have sent until now."""
        total: dict[str, int] = {}
        for reader in self._readers:
            _hear(reader)
            for broker in json.loads(reader.statistics.text)["brokers"].values():
                for kind, number in broker["req"].items():
                    total[kind] = total.get(kind, 0) + number
        return total


def _hear(reader: Reader) -> None:
    """Wait until a client has told what it has done up to now; raises CannotRun."""
    said, told = reader.statistics, -1
    while said.told != told:
        # What it said before, and nobody heard.
        told = said.told
        reader.consumer.poll(0)
    deadline = time.monotonic() + PATIENCE
    # The first may have been on its way.
    while said.told < told + 2:
        if time.monotonic() > deadline:
            raise CannotRun("the client does not tell its statistics")
        reader.consumer.poll(INTERVAL)


def checked(messages: Sequence[Message | None]) -> list[Message]:
    """Return messages that really are some; raises CannotRun where none came, or an error did."""
    found = [message for message in messages if message is not None]
    if not found:
        raise CannotRun("the broker gives no messages")
    for message in found:
        error = message.error()
        if error is not None:
            raise CannotRun("the broker gives no messages", why=error.str())
    return found


def patience(distance: float) -> float:
    """Return the seconds without progress after which a broker counts as lost."""
    return PATIENCE + TRIPS * distance


def client(servers: str, patience: float = PATIENCE) -> dict[str, Any]:
    """Return what every client of librdkafka is told."""
    waiting = int(1000 * patience)
    return {
        "bootstrap.servers": servers,
        "client.id": "perfkit",
        # What goes wrong is raised; nothing else belongs on our stderr.
        "log_level": 0,
        # The user's broker did not ask for figures about us.
        "enable.metrics.push": False,
        "socket.timeout.ms": waiting,
        "socket.connection.setup.timeout.ms": waiting,
        "api.version.request.timeout.ms": waiting,
    }


def create_topic(servers: str, name: str, partitions: int, patience: float = PATIENCE) -> None:
    """Create a topic of ours; raises CannotRun with the broker's word."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    # Held until the answer is there: who drops a client drops its questions.
    admin = AdminClient(client(servers, patience))
    asked = admin.create_topics([NewTopic(name, partitions)], request_timeout=patience)
    try:
        asked[name].result(2 * patience)
    except (KafkaException, TimeoutError) as error:
        raise CannotRun(
            "the broker does not let us create a topic",
            why=_word(error),
            fix=f"let us create, write and delete topics and groups called {name[:8]}*",
        ) from error


def _word(error: Exception) -> str:
    """Return what librdkafka says, without the numbers it has for it."""
    cause: Any = error.args[0] if error.args else error
    return cause.str() if hasattr(cause, "str") else str(cause) or "it does not answer"


def _refuse(size: int, error: KafkaError) -> NoReturn:
    from confluent_kafka import KafkaError as Errors

    if error.code() == Errors.MSG_SIZE_TOO_LARGE:
        raise CannotRun(
            f"a message of {size:,} bytes is larger than may be sent",
            why=error.str(),
            fix=f"take smaller messages; librdkafka sends none above {MOST:,} bytes",
        )
    raise CannotRun("the broker does not take our messages", why=error.str())
