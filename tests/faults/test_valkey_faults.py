"""Whatever is killed, full or gone: no message is lost or written twice, and nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import queue_kills
from leftovers import folders, processes, until
from valkey.exceptions import OutOfMemoryError
from valkey_servers import OwnValkey

from perfkit.backends import valkey_server
from perfkit.backends.valkey import Valkey
from perfkit.backends.valkey_service import ValkeyService
from perfkit.errors import CannotRun, ComponentLost, VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.queue_consume import Log, fill, finish, probe, read, rewind
from perfkit.run.course import Counting, Progress
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.model import Location, Plan
from perfkit.probes.queue_consume import Log, probe
from perfkit.run.orchestrator import run
plan = Plan(probe, Log(messages=100), Location(sys.argv[2], rtt=0.001), rounds=1)
run(plan, lambda progress: print(progress, flush=True))
"""


@pytest.fixture(scope="module")
def service() -> Iterator[ValkeyService]:
    with Valkey.serve(Location()) as running:
        yield running


class TestConsumersThatAreKilled:
    def test_50_kills_in_the_middle_of_a_batch_lose_and_repeat_nothing(
        self, service: ValkeyService
    ) -> None:
        outcome = queue_kills.run(service.address, 50)

        assert (outcome.kills, outcome.lost, outcome.twice) == (50, 0, 0)
        assert outcome.unfinished >= 50
        assert outcome.messages >= 50 * queue_kills.SUPPLY

    def test_writing_and_acknowledging_apart_repeats_a_batch_a_kill(
        self, service: ValkeyService
    ) -> None:
        outcome = queue_kills.run(service.address, 3, "write-then-acknowledge", between=True)

        assert (outcome.lost, outcome.twice) == (0, 3 * queue_kills.BATCH)

    def test_acknowledging_before_writing_loses_a_batch_a_kill(
        self, service: ValkeyService
    ) -> None:
        outcome = queue_kills.run(service.address, 3, "acknowledge-then-write", between=True)

        assert (outcome.lost, outcome.twice) == (3 * queue_kills.BATCH, 0)

    def test_the_two_together_have_no_between(self, service: ValkeyService) -> None:
        outcome = queue_kills.run(service.address, 3, between=True)

        assert (outcome.unfinished, outcome.lost, outcome.twice) == (3 * queue_kills.BATCH, 0, 0)


@pytest.mark.parametrize("where", ["embedded", "own"])
@pytest.mark.parametrize("lines", [1, 4])
def test_nothing_stays_after_a_kill(
    where: str, lines: int, place: Path, own_valkey: OwnValkey
) -> None:
    """After so many words of progress: at the start, at the second count."""
    url = own_valkey.url() if where == "own" else ""
    before = own_valkey.everything()
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(sys.path), url],
        env=os.environ | {"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
    ) as started:
        assert started.stdout is not None
        for _ in range(lines):
            assert started.stdout.readline()
        started.kill()
    until(lambda: processes(place) == [], "every process ends")
    assert folders(place) == []
    assert own_valkey.everything() == before


def server_of(place: Path) -> psutil.Process:
    (line,) = [line for line in processes(place) if "valkey-server" in line]
    return psutil.Process(int(line.split()[0]))


def test_a_server_that_is_killed_is_named_and_nothing_is_left(place: Path) -> None:
    def tell(progress: Progress) -> None:
        if isinstance(progress, Counting) and progress.step == 2:
            server_of(place).kill()

    plan = Plan(probe, Log(messages=20, batch=10, consumers=2), rounds=1)
    with pytest.raises(ComponentLost, match="Valkey went away in the middle of the run") as caught:
        run(plan, tell)

    assert "Connection refused" in caught.value.why
    # The last words of its log.
    assert "Ready to accept connections" in caught.value.why
    assert folders(place) == []
    assert processes(place) == []


def test_a_full_queue_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(valkey_server.SETTINGS, "maxmemory", "2mb")

    with pytest.raises(VariantFailed) as caught:
        run(Plan(probe, Log(messages=50_000), rounds=0))

    assert caught.value.what == "the setup: the queue is full"
    assert "maxmemory" in caught.value.why
    assert "valkey-cli config set maxmemory" in caught.value.fix


def test_a_queue_that_gets_full_in_a_transaction_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(valkey_server.SETTINGS, "maxmemory", "2mb")

    def grow(queue: Valkey) -> None:
        while True:
            with queue.client.pipeline() as both:
                both.rpush(queue.key("results"), "secret of the user" * 1000)
                both.execute()

    with (
        Valkey.serve(Location()) as service,
        pytest.raises(CannotRun, match="the queue is full") as caught,
        Valkey.connect(service.address) as queue,
    ):
        grow(queue)
    assert "secret" not in str(caught.value) + caught.value.why


def test_what_finds_the_queue_full_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(valkey_server.SETTINGS, "maxmemory", "3mb")

    def grow(client: Any) -> None:
        while True:
            client.append("ballast", "x" * 100_000)

    with Valkey.serve(Location()) as service, Valkey.connect(service.address) as queue:
        fill(queue, Log(messages=10))
        rewind(queue, Log())
        entries = read(queue, queue.client, "one", 10)
        with pytest.raises(OutOfMemoryError):
            grow(queue.client)

        with pytest.raises(OutOfMemoryError):
            finish(queue, queue.client, entries)

        assert queue_kills.unfinished(queue) == 10


def test_a_server_that_gives_fewer_connections_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(valkey_server.SETTINGS, "maxclients", "5")

    with pytest.raises(VariantFailed) as caught:
        run(Plan(probe, Log(messages=20, consumers=8), rounds=0))

    assert "cannot connect to Valkey or Redis" in caught.value.what
    assert "max number of clients" in caught.value.why
