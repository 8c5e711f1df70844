"""What a run with consumers says when something fails in the middle, and that it never hangs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import psutil
import pytest
from leftovers import alive, descendants, folders, processes, until
from servers import PASSWORD, OwnServer

from perfkit.errors import ComponentLost, VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.lock_contention import Load, probe
from perfkit.run.course import Counting, Progress
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

LONG = Load(consumers=4, messages=3000, regions=8)
"""More work than anybody waits for."""


class Striking:
    """Listens to a run, and strikes from the side once the consumers of a variant are at work."""

    def __init__(self, working: Callable[[], bool], strike: Callable[[], object]) -> None:
        self._working, self._strike = working, strike
        self._threads: list[Thread] = []

    def __call__(self, progress: Progress) -> None:
        if isinstance(progress, Counting) and progress.step == 1:
            self._threads.append(Thread(target=self._wait_and_strike))
            self._threads[0].start()

    def _wait_and_strike(self) -> None:
        until(self._working, "the consumers are at work")
        self._strike()

    def end(self) -> None:
        for thread in self._threads:
            thread.join()


def sessions() -> list[psutil.Process]:
    """Return the processes of a server of this run that serve connections from here."""
    return [process for process, command in descendants().items() if " 127.0.0.1(" in command]


def at_work() -> bool:
    """Say whether consumers have written: their sessions are there beside two others."""
    return len(sessions()) >= LONG.consumers + 2


def test_a_server_that_is_killed_ends_the_run(place: Path) -> None:
    def kill() -> None:
        server = sessions()[0].parent()
        assert server is not None
        server.kill()
        until(lambda: not alive(server.pid), "the server ends")

    striking = Striking(at_work, kill)
    with pytest.raises(ComponentLost, match="went away in the middle of the run"):
        run(Plan(probe, LONG, rounds=0), striking)

    striking.end()
    assert processes(place) == []
    assert folders(place) == []


def test_a_server_of_yours_that_ends_the_sessions_is_named(
    own_server: OwnServer, place: Path
) -> None:
    """As it does when it is restarted: our own connection is among those that end."""
    of_consumers = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name ~ '^perfkit_' AND query ~ '^INSERT INTO (sale|report)'"
    )

    def writing() -> bool:
        with own_server.admin() as admin:
            return len(admin.execute(of_consumers).fetchall()) == LONG.consumers

    def end_them() -> None:
        with own_server.admin() as admin:
            admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({of_consumers}) AS one")

    striking = Striking(writing, end_them)
    with pytest.raises(VariantFailed) as caught:
        run(Plan(probe, LONG, Location(own_server.url()), rounds=0), striking)

    striking.end()
    error = caught.value
    assert error.what == (
        "'lock-everything': the server closed the connection in the middle of the work"
    )
    # Whether its last word still arrives depends on what was being sent.
    assert re.search("terminating connection due to|server closed the connection", error.why)
    assert "restarts the server" in error.fix
    assert PASSWORD not in f"{error.what}{error.why}{error.fix}"
    assert processes(place) == []
    assert own_server.schemas() == []


def test_ctrl_c_while_consumers_work_leaves_nothing(place: Path) -> None:
    striking = Striking(at_work, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(Plan(probe, LONG, rounds=0), striking)

    striking.end()
    assert processes(place) == []
    assert folders(place) == []
