"""Whatever the moment at which perfkit is killed, nothing of it stays."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from leftovers import folders, processes, until
from servers import OwnServer

from perfkit.backends import snmp_daemon
from perfkit.errors import CannotRun

pytestmark = pytest.mark.usefixtures("without_variables")

RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.model import Location, Plan
from perfkit.run.course import Course
from perfkit.run.orchestrator import run, run_sides
from perfkit.probes import missing_number, snmp_bulk
from sample_probes import rows
url, rtt, what = sys.argv[2:]
location = Location(url, rtt=float(rtt))
if what == "rows":
    run(Plan(rows.probe, rows.Rows(), location, rounds=1))
elif what == "devices":
    # Threads, a task a device: these hold most sockets.
    open_ = Course(counted=frozenset({"get-in-threads", "walk-all-at-once"}))
    polled = snmp_bulk.Poll(devices=2, interfaces=2, columns=3)
    run_sides(Plan(snmp_bulk.probe, polled, location, rounds=1), open_)
else:
    # These write files: of runs, and of halves.
    writing = Course(counted=frozenset({"sort-externally", "split-at-pivots"}))
    numbers = missing_number.Numbers(200_000, missing=3, promised=0, memory=2**20)
    run_sides(Plan(missing_number.probe, numbers, rounds=0), writing)
"""
KILLS = 5
"""Of each kind of run, spread over its whole length."""
RUNS = {
    "embedded": ("", "0", "rows"),
    "embedded, far": ("", "0.001", "rows"),
    "the user's own": ("own", "0", "rows"),
    "files": ("", "0", "numbers"),
    "snmp": ("", "0.001", "devices"),
    "snmpd": ("snmpd", "0.001", "devices"),
}


def start(url: str, rtt: str, what: str, place: Path) -> subprocess.Popen[bytes]:
    """Start a short run with a temporary folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(sys.path), url, rtt, what],
        env=os.environ | {"TMPDIR": str(place)},
    )


@pytest.fixture
def own_place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@cache
def length(url: str, rtt: str, what: str) -> float:
    """Return how many seconds a run takes that nobody kills."""
    place = Path(tempfile.mkdtemp(prefix="tests-"))
    place.chmod(0o755)
    try:
        begun = time.perf_counter()
        with start(url, rtt, what, place) as run:
            assert run.wait() == 0
        took = time.perf_counter() - begun
        assert processes(place) == []
        assert folders(place) == []
    finally:
        shutil.rmtree(place)
    return took


def moments(kind: str) -> list[float]:
    """Draw one moment from each stretch of the run's length, as shares of it."""
    draw = random.Random(kind)
    return [(number + draw.random()) / KILLS for number in range(KILLS)]


def need_snmpd() -> None:
    """Skip where there is none."""
    try:
        snmp_daemon.find()
    except CannotRun as missing:
        pytest.skip(f"{missing.what}: {missing.fix}")


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        pytest.param(kind, share, id=f"{kind} at {share:.0%}")
        for kind in RUNS
        for share in moments(kind)
    ],
)
def test_nothing_stays_after_a_kill(
    kind: str, share: float, own_server: OwnServer, own_place: Path
) -> None:
    url, rtt, what = RUNS[kind]
    if url == "own":
        url = own_server.url()
    elif url == "snmpd":
        need_snmpd()
    before = own_server.everything()
    with start(url, rtt, what, own_place) as run:
        try:
            run.wait(share * length(url, rtt, what))
        except subprocess.TimeoutExpired:
            run.kill()
    until(lambda: processes(own_place) == [], "every process ends")
    assert folders(own_place) == []
    until(lambda: own_server.schemas() == [], "the schema is dropped")
    assert own_server.everything() == before


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("snmp", ("guard.py", "snmp_network.py", "snmp_agent.py", "worker.py")),
        ("snmpd", ("guard.py", "snmp_network.py", "snmpd -C", "snmp_pass.py", "worker.py")),
    ],
)
def test_nothing_stays_of_all_that_a_network_of_devices_is(
    kind: str, parts: tuple[str, ...], own_place: Path
) -> None:
    url, rtt, what = RUNS[kind]
    if url:
        need_snmpd()

    def seen() -> bool:
        lines = processes(own_place)
        return all(any(part in line for line in lines) for part in parts)

    with start(url, rtt, what, own_place) as run:
        try:
            until(seen, "every part runs")
        finally:
            run.kill()
    until(lambda: processes(own_place) == [], "every process ends")
    assert folders(own_place) == []
