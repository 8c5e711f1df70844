"""What a run on Kafka says when the broker fails in the middle of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import psutil
import pytest
from leftovers import alive, descendants, folders, processes, until

pytest.importorskip("confluent_kafka", reason="needs the extra kafka")

from perfkit.backends import kafka, kafka_broker
from perfkit.backends.kafka import Kafka
from perfkit.backends.kafka_service import KafkaService
from perfkit.errors import ComponentLost
from perfkit.model import Location, Plan
from perfkit.probes.kafka_consume import Log, probe, write
from perfkit.run.course import Counting, Progress
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

SMALL = Log(messages=20, partitions=2, batch=10)
CONSUMER = """
import json, sys
order = json.loads(sys.argv[1])
sys.path[:] = order["path"]
from perfkit.backends import kafka
from perfkit.errors import CannotRun
from perfkit.leave import leave
from perfkit.probes import kafka_consume
enrich = kafka_consume.enrich

def tell(message, results):
    enrich(message, results)
    if len(results) == 5:
        print("in the middle", flush=True)
        sys.stdin.readline()
        # Not before: a busy machine may take longer to connect.
        broker._patience = 1.0

kafka_consume.enrich = tell
log = kafka_consume.Log(**order["log"])
variant = kafka_consume.probe.variant(order["variant"])
try:
    with kafka.Kafka.connect(kafka.Address(**order["address"])) as broker:
        variant.prepare(broker, log)
        broker.rewind()
        variant.run(broker, log)
except CannotRun as error:
    print(error.what, flush=True)
leave(0)
"""


@contextmanager
def consuming(service: KafkaService, variant: str) -> Iterator[tuple[IO[str], IO[str], IO[str]]]:
    """Run a consumer in a process of its own, up to the middle of its messages."""
    address = asdict(service.address)
    order = {"path": sys.path, "log": asdict(SMALL), "address": address, "variant": variant}
    with subprocess.Popen(
        [sys.executable, "-c", CONSUMER, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "in the middle\n"
            yield process.stdin, process.stdout, process.stderr
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("variant", "how"),
    [
        ("commit-each", signal.SIGKILL),
        ("commit-each-in-passing", signal.SIGKILL),
        ("commit-each-batch", signal.SIGSTOP),
    ],
)
def test_a_consumer_does_not_wait_for_ever_for_a_broker_that_is_gone(
    variant: str, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_broker, "SOON", 0.2)
    with Kafka.serve(Location()) as service:
        assert service.broker is not None
        with Kafka.connect(service.address) as kafka:
            write(kafka, SMALL)
        with consuming(service, variant) as (words, told, complained):
            psutil.Process(service.broker.process).send_signal(how)
            words.write("\n")
            words.flush()

            assert told.readline() == "nothing has come from the broker for 1 s\n"
            with pytest.raises(ComponentLost, match="went away in the middle of the run"):
                service.check()
            assert complained.read() == ""


def at(step: int, strike: Callable[[], None]) -> Callable[[Progress], None]:
    """Return what listens to a run, and strikes when a variant's counting begins."""

    def tell(progress: Progress) -> None:
        if isinstance(progress, Counting) and progress.step == step:
            strike()

    return tell


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers give a broker up sooner."""
    monkeypatch.setattr(kafka, "PATIENCE", 2.5)


def kill(program: str) -> None:
    """Kill a process of the run, and see it gone."""
    (found,) = (process for process, command in descendants().items() if program in command)
    found.kill()
    until(lambda: not alive(found.pid), "it ends")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("program", ["tansu broker", "kafka_relay.py"])
def test_a_broker_or_a_relay_that_is_killed_ends_the_run(program: str, place: Path) -> None:
    with pytest.raises(ComponentLost, match=r"Tansu.*went away in the middle"):
        run(Plan(probe, SMALL, rounds=0), at(2, lambda: kill(program)))

    assert processes(place) == []
    assert folders(place) == []


@pytest.mark.usefixtures("impatient")
def test_a_broker_of_yours_that_is_killed_ends_the_run(place: Path) -> None:
    with kafka_broker.start(kafka_broker.find()) as own:
        location = Location(f"kafka://{kafka_broker.HERE}:{own.port}")
        with pytest.raises(ComponentLost, match="Kafka broker went away"):
            run(Plan(probe, SMALL, location, rounds=0), at(2, lambda: kill("tansu broker")))

    assert processes(place) == []
    assert folders(place) == []
