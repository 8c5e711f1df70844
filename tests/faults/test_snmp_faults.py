"""What a run on SNMP devices says when they fail in the middle of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from leftovers import alive, descendants, folders, processes, until
from snmp_agents import SECRETS, Running, agents

from perfkit.backends import snmp_service
from perfkit.backends.snmp_table import Device
from perfkit.errors import ComponentLost, NoAnswer, VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.snmp_bulk import Poll, probe
from perfkit.run.course import Counting, Progress
from perfkit.run.orchestrator import run
from perfkit.snmp.target import Target, read

SMALL = Poll(interfaces=2, columns=2, per_request=0, per_oid=0)


def at(step: int, strike: Callable[[], None]) -> Callable[[Progress], None]:
    """Return what listens to a run, and strikes when a variant's counting begins."""

    def tell(progress: Progress) -> None:
        if isinstance(progress, Counting) and progress.step == step:
            strike()

    return tell


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be content with a quarter of a second for a device that says nothing."""
    own_login = snmp_service._own_login

    def hasty_read(url: str) -> tuple[Target, ...]:
        return tuple(replace(target, timeout=0.25, retries=0) for target in read(url))

    monkeypatch.setattr(snmp_service, "read", hasty_read)
    monkeypatch.setattr(
        snmp_service, "_own_login", lambda: replace(own_login(), timeout=0.25, retries=0)
    )


def kill(program: str) -> None:
    """Kill a process of the run, and see it gone."""
    (found,) = (process for process, command in descendants().items() if program in command)
    found.kill()
    until(lambda: not alive(found.pid), "it ends")


def stop(running: Running) -> None:
    """Let the devices fall silent."""
    running.process.send_signal(signal.SIGSTOP)
    until(
        lambda: psutil.Process(running.process.pid).status() == psutil.STATUS_STOPPED,
        "the agent stops",
    )


@pytest.mark.parametrize("program", ["snmp_agent.py", "snmp_network.py"])
def test_an_agent_that_is_killed_ends_the_run(program: str, place: Path) -> None:
    with pytest.raises(ComponentLost, match="went away in the middle of the run"):
        run(Plan(probe, SMALL, rounds=0), at(2, lambda: kill(program)))

    assert processes(place) == []
    assert folders(place) == []


def test_a_device_of_yours_that_falls_silent_is_named(place: Path) -> None:
    with agents(Device("yours", interfaces=2)) as running:
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"
        location = Location(url)
        with pytest.raises(VariantFailed) as caught:
            run(Plan(probe, SMALL, location, rounds=0), at(2, lambda: stop(running)))
        running.process.send_signal(signal.SIGCONT)
    said = f"{caught.value.what} {caught.value.why}"

    assert f"no answer from 127.0.0.1:{running.ports[0]}" in said
    assert SECRETS["community"] not in said
    assert processes(place) == []
    assert folders(place) == []


def test_a_device_of_yours_that_is_not_there_is_named(place: Path) -> None:
    with agents(Device("yours")) as running:
        port = running.ports[0]
    location = Location(f"snmp://nobody@127.0.0.1:{port}")
    with pytest.raises(NoAnswer, match=f"127.0.0.1:{port}"):
        run(Plan(probe, SMALL, location, rounds=0))

    assert processes(place) == []
