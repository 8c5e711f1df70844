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

pytestmark = pytest.mark.usefixtures("without_variables")

RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.model import Location, Plan
from perfkit.run.orchestrator import Course, run, run_sides
from perfkit.probes import missing_number
from sample_probes import rows
url, rtt, what = sys.argv[2:]
if what == "rows":
    run(Plan(rows.probe, rows.Rows(), Location(url, rtt=float(rtt)), rounds=1))
else:
    # These write files: of runs, and of halves.
    writing = Course(counted=frozenset({"sort-externally", "split-at-pivots"}))
    numbers = missing_number.Numbers(200_000, missing=3, promised=0, memory=2**20)
    run_sides(Plan(missing_number.probe, numbers, rounds=0), writing)
"""
MOMENTS = {"files": 5}
"""Kills of each kind of run, spread over its whole length; 10 by default."""
RUNS = {
    "embedded": ("", "0", "rows"),
    "embedded, far": ("", "0.001", "rows"),
    "the user's own": ("own", "0", "rows"),
    "files": ("", "0", "numbers"),
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
    draw, kills = random.Random(kind), MOMENTS.get(kind, 10)
    return [(number + draw.random()) / kills for number in range(kills)]


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
    url = own_server.url() if url else ""
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
