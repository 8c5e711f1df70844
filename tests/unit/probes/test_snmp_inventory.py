"""The inventory of what a router names: each variant asks as often as its story says."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from snmp_agents import SECRETS, Manager, agents

from perfkit.backends import snmp_daemon
from perfkit.backends.snmp import Snmp
from perfkit.backends.snmp_table import IN_PACKETS, Device, interface
from perfkit.errors import VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.snmp_inventory import Fleet, follow, install, probe
from perfkit.result import Result
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

needs_daemon = pytest.mark.skipif(
    shutil.which("snmpd", path=f"{os.environ['PATH']}:{snmp_daemon.PLACES}") is None,
    reason="needs snmpd: apt-get install snmpd",
)
KINDS = ["", pytest.param("snmpd", marks=needs_daemon)]
QUICK: dict[str, Any] = {"per_request": 0.0, "per_oid": 0.0}
NO_BULK = "SNMPv1 has no GETBULK"


def counted(fleet: Fleet, url: str = "") -> Result:
    return run(Plan(probe, fleet, Location(url), rounds=0))


def kinds(result: Result, variant: str) -> tuple[int, int, int]:
    work = next(one.work for one in result.variants if one.name == variant)
    return work["get"].value, work["getnext"].value, work["getbulk"].value


@pytest.mark.parametrize("url", KINDS)
def test_the_inventory_holds_what_each_device_has(url: str) -> None:
    fleet = Fleet(neighbours=2, interfaces=2, **QUICK)
    with Snmp.serve(Location(url)) as service, Snmp.connect(service.address) as network:
        install(network, fleet)
        found = follow(network, fleet)

    columns = (1, 5, 7)
    assert found == [
        [name.encode(), 2]
        + [interface(name, row)[column][1] for column in columns for row in (1, 2)]
        for name in ("router", "switch-1", "switch-2")
    ]


@pytest.mark.parametrize("url", KINDS)
def test_each_variant_asks_in_its_own_way(url: str) -> None:
    result = counted(Fleet(neighbours=2, interfaces=4, at_once=6, **QUICK), url)

    # The router's table, then, for each of three: name, number, and three columns with their end.
    router, each = 2 + 1, 2 + 3 * (4 + 1)
    assert kinds(result, "follow") == (0, router + 3 * each, 0)
    assert kinds(result, "follow-compiled") == (0, router + 3 * each, 0)
    assert kinds(result, "follow-at-once") == (0, router + 3 * each, 0)
    assert kinds(result, "follow-remembered") == (0, 3 * each, 0)
    assert kinds(result, "walk-at-once") == (0, 3, 1 + 3 * 2)
    assert kinds(result, "walk-in-turn") == (0, 3, 1 + 3 * 2)
    assert kinds(result, "walk-rows-at-once") == (0, router + 3 * (1 + 4), 0)
    assert result.not_run == ()
    for variant in result.variants:
        work = variant.work["requests"]
        assert (work.exact, work.others) == (True, {"snmpInPkts": work.value})
        assert (variant.work["lost"].value, variant.work["retries"].value) == (0, 0)


@pytest.mark.parametrize(
    ("version", "expected", "left_out"),
    [
        ("1", [18, 16, 18, 18, 6], {"walk-at-once": NO_BULK, "walk-in-turn": NO_BULK}),
        ("3", [18, 16, 18, 18, 5, 5, 6], {}),
    ],
)
def test_every_version_is_spoken(
    version: Any, expected: list[int], left_out: dict[str, str]
) -> None:
    fleet = Fleet(neighbours=1, interfaces=1, version=version, **QUICK)
    obstacles = probe.obstacles(fleet)
    requests: list[int] = []
    answers: list[Any] = []

    with Snmp.serve(Location()) as service, Snmp.connect(service.address) as network:
        install(network, fleet)
        for variant in probe.variants:
            if variant.name not in obstacles:
                if variant.prepare is not None:
                    variant.prepare(network, fleet)
                # The first question to each device may cost more, under SNMPv3.
                variant.run(network, fleet)
                with network.counting() as work:
                    answers.append(variant.run(network, fleet))
                requests.append(work["requests"].value)

    assert requests == expected
    assert obstacles == left_out
    assert answers == answers[:1] * len(answers)
    assert len(answers[0]) == 2


def test_what_all_devices_at_once_can_gain_follows_from_the_requests() -> None:
    bounds = [variant.bound for variant in probe.variants if variant.bound is not None]
    assert len(bounds) == 1

    with Snmp.serve(Location()) as service, Snmp.connect(service.address) as network:
        predicted = bounds[0](network, Fleet(neighbours=5, interfaces=4))

    assert predicted == (108 / 23, "108 requests, 23 of them in turn")


def test_the_neighbours_of_your_router_are_not_asked() -> None:
    with agents(Device("switch"), Device("router", neighbours=("127.0.0.1",))) as running:
        switch, router = running.ports
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{router}"

        with pytest.raises(VariantFailed, match="your router's neighbours are not asked") as caught:
            counted(Fleet(), url)

        with Manager(switch) as manager:
            assert manager.ask("Get", IN_PACKETS).varbinds == [(IN_PACKETS, 1)]
    assert "snmp-bulk" in caught.value.fix
