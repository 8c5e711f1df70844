"""SNMP in bulk: what each variant asks for, of our agents, of snmpd and of a device of yours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from snmp_agents import SECRETS, agents

from perfkit.backends import snmp_daemon, snmp_service
from perfkit.backends.snmp import Snmp
from perfkit.backends.snmp_table import Device
from perfkit.errors import NotApplicable, VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.snmp_bulk import TOO_SOON, Poll, get_impatiently, probe
from perfkit.result import Bound, Result
from perfkit.run.orchestrator import run
from perfkit.snmp.target import Target, read

pytestmark = pytest.mark.usefixtures("without_variables")

needs_daemon = pytest.mark.skipif(
    shutil.which("snmpd", path=f"{os.environ['PATH']}:{snmp_daemon.PLACES}") is None,
    reason="needs snmpd: apt-get install snmpd",
)
QUICK: dict[str, Any] = {"per_request": 0.0, "per_oid": 0.0, "columns": 3}
ALONE = "there is one device"
NO_BULK = "SNMPv1 has no GETBULK"
OLD = "the device speaks SNMPv1, which has no GETBULK"
ONE_AT_A_TIME = "a device of yours gets one request at a time, unless -s in_flight=4 allows more"


def counted(poll: Poll, url: str = "") -> Result:
    return run(Plan(probe, poll, Location(url), rounds=0))


def requests(result: Result) -> dict[str, int]:
    return {variant.name: variant.work["requests"].value for variant in result.variants}


def reasons(result: Result) -> dict[str, str]:
    return {variant.name: variant.why for variant in result.not_run}


def kinds(result: Result, variant: str) -> tuple[int, int, int]:
    work = next(one.work for one in result.variants if one.name == variant)
    return work["get"].value, work["getnext"].value, work["getbulk"].value


def asked(single: int, **others: int) -> dict[str, int]:
    """Return the requests by variant: the naive code and its levers ask for each value."""
    singly = ("get-each", "get-in-threads", "get-compiled", "get-impatiently")
    names = {name.replace("_", "-"): number for name, number in others.items()}
    return dict.fromkeys(singly, single) | names


@pytest.fixture
def yours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a device that is not perfkit's; silence of it is noticed soon."""

    def hasty(url: str) -> tuple[Target, ...]:
        return tuple(replace(target, timeout=0.5, retries=0) for target in read(url))

    monkeypatch.setattr(snmp_service, "read", hasty)
    with agents(Device("yours", interfaces=9, version=request.param)) as running:
        yield f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"


CASES: Mapping[str, tuple[Poll, dict[str, int], dict[str, str]]] = {
    "one device": (
        Poll(interfaces=7, at_once=6, **QUICK),
        asked(21, walk_in_bulk=4, get_many=4, walk_by_row=7),
        {"walk-all-at-once": ALONE},
    ),
    "two devices": (
        Poll(devices=2, interfaces=4, at_once=12, **QUICK),
        asked(24, walk_all_at_once=2, walk_in_bulk=2, get_many=2, walk_by_row=8),
        {},
    ),
    "SNMPv1": (
        Poll(devices=2, interfaces=3, at_once=6, version="1", **QUICK),
        asked(18, get_many=4, walk_by_row=6),
        {"walk-all-at-once": NO_BULK, "walk-in-bulk": NO_BULK},
    ),
    "SNMPv3": (
        Poll(interfaces=4, at_once=6, version="3", **QUICK),
        asked(12, walk_in_bulk=2, get_many=2, walk_by_row=4),
        {"walk-all-at-once": ALONE},
    ),
}


@pytest.mark.parametrize(
    ("case", "url"),
    [*((case, "") for case in CASES), pytest.param("SNMPv1", "snmpd", marks=needs_daemon)],
)
def test_each_variant_asks_as_often_as_its_story_says(case: str, url: str) -> None:
    poll, expected, left_out = CASES[case]

    result = counted(poll, url)

    assert requests(result) == expected
    assert reasons(result) == left_out
    for variant in result.variants:
        work = variant.work["requests"]
        assert (work.exact, work.others) == (True, {"snmpInPkts": work.value})
        assert variant.work["lost"].value == 0


def test_each_variant_asks_in_its_own_way_and_what_threads_can_gain_is_predicted() -> None:
    poll = Poll(devices=2, interfaces=4, at_once=6, threads=2, columns=3, per_request=0.002)

    result = counted(poll)

    assert kinds(result, "get-each") == kinds(result, "get-in-threads") == (24, 0, 0)
    assert kinds(result, "walk-all-at-once") == kinds(result, "walk-in-bulk") == (0, 0, 4)
    assert kinds(result, "get-many") == (4, 0, 0)
    assert kinds(result, "walk-by-row") == (0, 8, 0)
    bounds = {one.name: one.bound for one in result.variants if one.bound is not None}
    assert bounds == {"get-in-threads": Bound(2, "2 threads")}


@pytest.mark.parametrize("yours", ["2c"], indirect=True)
def test_a_device_of_yours_gets_one_request_at_a_time(yours: str) -> None:
    result = counted(Poll(interfaces=5, at_once=6, **QUICK), yours)

    expected = asked(15, walk_in_bulk=3, get_many=3, walk_by_row=5)
    del expected["get-in-threads"]
    assert requests(result) == expected
    assert reasons(result) == {"get-in-threads": ONE_AT_A_TIME, "walk-all-at-once": ALONE}


@pytest.mark.parametrize("yours", ["2c"], indirect=True)
def test_more_requests_at_once_to_a_device_of_yours_are_allowed_by_you(yours: str) -> None:
    result = counted(Poll(interfaces=5, in_flight=4, at_once=6, **QUICK), yours)

    assert requests(result)["get-in-threads"] == 15
    assert reasons(result) == {"walk-all-at-once": ALONE}
    assert [one.bound for one in result.variants if one.bound is not None] == []


@pytest.mark.parametrize("yours", ["1"], indirect=True)
def test_an_old_device_of_yours_is_found_to_have_no_bulk(yours: str) -> None:
    result = counted(Poll(interfaces=5, at_once=6, **QUICK), yours)

    assert "SNMPv1" in result.component.version
    assert reasons(result) == {
        "get-in-threads": ONE_AT_A_TIME,
        "walk-all-at-once": ALONE,
        "walk-in-bulk": OLD,
    }
    assert result.fix is not None
    assert (result.fix.name, requests(result)["get-many"]) == ("get-many", 3)


@pytest.mark.parametrize("yours", ["1"], indirect=True)
def test_old_devices_of_yours_are_not_walked_at_once(yours: str) -> None:
    host = yours.removeprefix(f"snmp://{SECRETS['community']}@")

    result = counted(Poll(devices=2, interfaces=2, **QUICK), f"{yours},{host}")

    assert reasons(result) == {
        "get-in-threads": ONE_AT_A_TIME,
        "walk-all-at-once": OLD,
        "walk-in-bulk": OLD,
    }


@pytest.mark.parametrize("yours", ["2c"], indirect=True)
def test_columns_that_never_stand_still_are_refused_on_a_device_of_yours(yours: str) -> None:
    with pytest.raises(VariantFailed, match="columns=9 would compare what changes") as caught:
        counted(Poll(columns=9), yours)

    assert caught.value.fix == "-s columns=8"


def test_a_device_of_yours_without_interfaces_is_refused() -> None:
    with agents(Device("yours", interfaces=0)) as running:
        place = f"127.0.0.1:{running.ports[0]}"
        with pytest.raises(VariantFailed, match=f"{place} has no interfaces") as caught:
            counted(Poll(**QUICK), f"snmp://{SECRETS['community']}@{place}")

    assert "1.3.6.1.2.1.2.2.1" in caught.value.fix


def test_a_short_timeout_does_not_apply_where_every_answer_is_late() -> None:
    assert probe.obstacles(Poll(per_request=0.25))["get-impatiently"] == TOO_SOON
    assert "get-impatiently" not in probe.obstacles(Poll(per_request=0.1))
    with Snmp.serve(Location(rtt=1.0)) as service, Snmp.connect(service.address) as network:
        network.install([Device("far")])
        network.found = {network.devices[0]: ["1.3.6.1.2.1.2.2.1.1.1"]}
        with pytest.raises(NotApplicable, match=TOO_SOON):
            get_impatiently(network, Poll())


def test_threads_are_left_out_where_there_are_not_enough_sockets() -> None:
    crowd = Poll(devices=250, threads=4)

    assert probe.obstacles(crowd)["get-in-threads"] == "1000 sessions would be too many sockets"
    assert "get-in-threads" not in probe.obstacles(replace(crowd, devices=100))


def test_a_bulk_of_one_row_is_none() -> None:
    poll = Poll(**QUICK, interfaces=2, at_once=5)

    assert probe.obstacles(poll)["walk-in-bulk"] == "5 values have no room for two rows"
    assert "walk-in-bulk" not in probe.obstacles(replace(poll, at_once=6))
