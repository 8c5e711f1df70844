"""Bring a Kafka broker up: one of our own behind a relay that counts, or a topic on the user's."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfkit.backends import kafka_broker
from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.kafka import PATIENCE, Address, client, patience
from perfkit.backends.kafka_broker import greet
from perfkit.errors import CannotRun, ComponentLost, UsageError
from perfkit.extras import require
from perfkit.loopback import is_here
from perfkit.model import Location
from perfkit.result import Component

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from perfkit.backends.kafka_broker import Broker

SERVERS = "PERFKIT_KAFKA"
"""The variable that names brokers where the command line does not."""
OURS = "perfkit-"
"""What the names of our topics and groups begin with."""
GREETINGS = 101
"""Round trips whose median is the distance."""
PROGRAMS = {"topic": "kafka-topics.sh", "group": "kafka-consumer-groups.sh"}
"""What deletes what is ours, by hand."""
PORT = 9092
"""Where brokers listen by default."""


@dataclass(frozen=True, slots=True)
class KafkaService:
    """A broker that is up, ours or the user's."""

    address: Address
    component: Component
    broker: Broker | None

    def check(self) -> None:
        """Raise ComponentLost when no broker answers any more."""
        try:
            _reach(_places(self.address.servers), distance=self.component.rtt_asked)
        except CannotRun as error:
            log = self.broker.guarded.log() if self.broker is not None else ""
            raise ComponentLost(
                f"{self.component.product} went away in the middle of the run",
                why="\n".join(filter(None, (error.what, error.why, log))),
                fix="run it again; if it happens again, look at the broker's memory and disk",
            ) from error


@contextmanager
def serve(location: Location) -> Iterator[KafkaService]:
    """Yield a broker that is up; raises UsageError, CannotRun and MissingExtra, as `Kafka` says."""
    confluent_kafka = require("confluent_kafka", "kafka")
    url = location.url or os.environ.get(SERVERS, "")
    name = OURS + secrets.token_hex(6)
    settings = {"librdkafka": str(confluent_kafka.libversion()[0])}
    with ExitStack() as stack:
        if url in {"", "embedded"}:
            broker = stack.enter_context(kafka_broker.start(kafka_broker.find(), location.rtt))
            servers, control = f"{kafka_broker.HERE}:{broker.port}", broker.control
            product, version, place = "Tansu", broker.version, "embedded, Kafka's protocol"
        else:
            broker, control = None, ""
            servers = _read_url(url)
            product, version, place = "Kafka broker", "", "your server"
            if location.rtt:
                raise UsageError(
                    "there is no --rtt to a Kafka broker of yours",
                    why="it tells its clients where to connect, past any relay of ours",
                    fix="leave --rtt out, or --backend",
                )
            _refuse_remote(servers, allowed=location.allow_remote)
            _reach(_places(servers))
            _refuse_remote(_advertised(servers), allowed=location.allow_remote)
            stack.enter_context(_deleted_at_the_end(servers, name))
        places = _places(servers)
        component = Component(
            product=product,
            version=version,
            place=place,
            rtt=median(_reach(places, GREETINGS, location.rtt)),
            rtt_asked=location.rtt,
            settings=settings,
        )
        waiting = patience(component.rtt or 0.0)
        address = Address(servers, name, control, str(component), waiting)
        yield KafkaService(address, component, broker)


def _read_url(url: str) -> str:
    """Return the brokers of kafka://host:port,host:port, or of such a list alone."""
    listed = url.removeprefix("kafka://").rstrip("/")
    try:
        return ",".join(_server(server.strip()) for server in listed.split(","))
    except ValueError:
        # Not repeated: there may be a password in it, though there is no place for one.
        raise UsageError(
            "the Kafka brokers cannot be read",
            why="they are hosts with ports, and there is no login and no TLS",
            fix="--backend kafka://localhost:9092,localhost:9093",
        ) from None


def _server(text: str) -> str:
    """Return a host with its port; raises ValueError."""
    parts = urlsplit(f"kafka://{text}")
    if not parts.hostname or parts.netloc != text or parts.username is not None:
        raise ValueError(text)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or PORT}"


def _places(servers: str) -> list[tuple[str, int]]:
    split = [server.rpartition(":") for server in servers.split(",")]
    return [(host.strip("[]"), int(port)) for host, _, port in split]


def _refuse_remote(servers: str, *, allowed: bool) -> None:
    far = [] if allowed else [host for host, _ in _places(servers) if not is_here(host)]
    if far:
        raise CannotRun(
            f"the Kafka broker at {far[0]} is not on this machine",
            why="a probe sends it thousands of requests on purpose",
            fix="use a broker that may be loaded, and say so with --allow-remote",
        )


def _reach(places: list[tuple[str, int]], times: int = 1, distance: float = 0.0) -> list[float]:
    """Greet the first broker that answers; raises CannotRun with what the last one said."""
    for place in places[:-1]:
        with suppress(CannotRun):
            return greet(*place, times, distance)
    return greet(*places[-1], times, distance)


def _advertised(servers: str) -> str:
    """Return where the brokers say that they are: clients go there."""
    found = _ask(servers).brokers.values()
    return ",".join(f"{broker.host}:{broker.port}" for broker in found)


def _ask(servers: str) -> Any:
    """Ask for the brokers and topics that there are; raises CannotRun."""
    with _explained():
        return _admin(servers).list_topics(timeout=PATIENCE)


@contextmanager
def _explained() -> Iterator[None]:
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise CannotRun(
            "the Kafka broker does not tell what it has", why=error.args[0].str()
        ) from error


def _admin(servers: str) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    return AdminClient(client(servers))


@contextmanager
def _deleted_at_the_end(servers: str, name: str) -> Iterator[None]:
    """Have a guard delete our topic and group, so that they are gone even when we are killed."""
    with Guarded("topic") as guarded:
        guarded.start(Order(finally_=(f"{__name__}:delete", {"servers": servers, "name": name})))
        yield
    deadline = time.monotonic() + PATIENCE
    # A broker may hear a moment late of what another one has done.
    while left := _left(servers, name):
        if time.monotonic() > deadline:
            raise CannotRun(
                f"the {' and the '.join(left)} {name} could not be deleted",
                fix="\n".join(
                    f"{program} --bootstrap-server {servers} --delete --{kind} {name}"
                    for kind, program in PROGRAMS.items()
                    if kind in left
                ),
            )
        time.sleep(0.1)


def _left(servers: str, name: str) -> list[str]:
    """Return which of our topic and our group are still there."""
    admin = _admin(servers)
    with _explained():
        groups = admin.list_consumer_groups(request_timeout=PATIENCE).result()
    there = {
        "topic": _ask(servers).topics,
        "group": [group.group_id for group in groups.valid],
    }
    return [kind for kind in PROGRAMS if name in there[kind]]


def delete(order: Mapping[str, str]) -> None:
    """Delete a topic and a group of ours: the guard's last act."""
    from confluent_kafka import KafkaException

    # Nobody there is quickly seen; the client would go on trying.
    _reach(_places(order["servers"]))
    admin, name = _admin(order["servers"]), order["name"]
    patience = {"operation_timeout": PATIENCE, "request_timeout": PATIENCE}
    for asked in (
        admin.delete_consumer_groups([name], request_timeout=PATIENCE),
        admin.delete_topics([name], **patience),
    ):
        # A run that ended early has none.
        with suppress(KafkaException, TimeoutError):
            asked[name].result(2 * PATIENCE)
