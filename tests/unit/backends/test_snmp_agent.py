from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pysnmp.hlapi.v3arch.asyncio as hlapi
import pytest
from gufo.snmp import Aes128Key, Sha1Key, SnmpVersion, User
from gufo.snmp.sync import SnmpSession
from pysnmp.proto import rfc1902
from pysnmp.proto.api import v1, v2c
from snmp_agents import (
    HERE,
    SECRETS,
    UP_TIME,
    Manager,
    Running,
    agents,
    discovery,
    read,
    request,
    walk,
)

from perfkit.backends.snmp_agent import MOST_VARBINDS
from perfkit.backends.snmp_table import IF_ENTRY, IN_PACKETS, Device, Oid, rows

DEVICES = {
    "plain": Device("plain", 20, neighbours=("10.0.0.2", "10.0.0.3")),
    "old": Device("old", version="1"),
    "secure": Device("secure", version="3"),
    "small": Device("small", 50, max_bytes=500),
    "small-secure": Device("small-secure", 50, version="3", max_bytes=500),
    "large": Device("large", 200),
}
LAST: Oid = rows(DEVICES["plain"])[-1].oid
BEYOND: Oid = (1, 3, 6, 1, 2, 1, 99)
NOWHERE: Oid = (*IF_ENTRY, 2, 999)
NO_ERROR, TOO_BIG, NO_SUCH_NAME = 0, 1, 2

Varbinds = list[tuple[Oid, object]]


def description(row: int) -> Oid:
    return (*IF_ENTRY, 2, row)


def descriptions(number: int) -> list[Oid]:
    return [description(row) for row in range(1, number + 1)]


@pytest.fixture(scope="module")
def fleet() -> Iterator[dict[str, int]]:
    """Serve devices of every sort; return their ports by name."""
    with agents(*DEVICES.values()) as running:
        yield dict(zip(DEVICES, running.ports, strict=True))


@pytest.fixture
def plain(fleet: dict[str, int]) -> Iterator[Manager]:
    with Manager(fleet["plain"]) as manager:
        yield manager


@pytest.fixture
def old(fleet: dict[str, int]) -> Iterator[Manager]:
    with Manager(fleet["old"]) as manager:
        yield manager


@pytest.fixture
def small(fleet: dict[str, int]) -> Iterator[Manager]:
    with Manager(fleet["small"]) as manager:
        yield manager


def login(version: str, **changed: str) -> Any:
    secrets = SECRETS | changed
    if version != "3":
        return hlapi.CommunityData(secrets["community"], mpModel=0 if version == "1" else 1)
    return hlapi.UsmUserData(
        secrets["user"],
        secrets["auth_password"],
        secrets["privacy_password"],
        authProtocol=hlapi.USM_AUTH_HMAC96_SHA,
        privProtocol=hlapi.USM_PRIV_CFB128_AES,
    )


def ask(
    port: int, credentials: Any, *oids: Oid, largest: int = 65_507
) -> tuple[str, int, Varbinds]:
    """GET by pysnmp's own manager; return its complaint, the error status and the values."""

    async def get() -> tuple[str, int, Varbinds]:
        engine = hlapi.SnmpEngine(maxMessageSize=largest)
        target = await hlapi.UdpTransportTarget.create((HERE, port), timeout=30, retries=0)
        wanted = [hlapi.ObjectType(hlapi.ObjectIdentity(oid)) for oid in oids]
        complaint, status, _, varbinds = await hlapi.get_cmd(
            engine, credentials, target, hlapi.ContextData(), *wanted, lookupMib=False
        )
        engine.close_dispatcher()
        values = [(tuple(oid), value) for oid, value in varbinds]
        return str(complaint or ""), int(status), values

    return asyncio.run(get())


# Who it speaks to


@pytest.mark.parametrize(
    ("device", "version"), [("plain", "1"), ("plain", "2c"), ("old", "1"), ("secure", "3")]
)
def test_pysnmp_reads_a_device(fleet: dict[str, int], device: str, version: str) -> None:
    complaint, status, values = ask(fleet[device], login(version), description(3), UP_TIME)
    assert (complaint, status) == ("", NO_ERROR)
    assert values == [(description(3), b"GigabitEthernet0/3"), (UP_TIME, 123_456_789)]


@pytest.mark.parametrize(("device", "version"), [("plain", "2c"), ("old", "1"), ("secure", "3")])
def test_gufo_reads_a_device(fleet: dict[str, int], device: str, version: str) -> None:
    how: dict[str, Any] = {
        "community": SECRETS["community"],
        "version": SnmpVersion.v1 if version == "1" else SnmpVersion.v2c,
    }
    if version == "3":
        how = {
            "version": SnmpVersion.v3,
            "user": User(
                SECRETS["user"],
                auth_key=Sha1Key(SECRETS["auth_password"].encode()),
                priv_key=Aes128Key(SECRETS["privacy_password"].encode()),
            ),
        }
    with SnmpSession(HERE, port=fleet[device], timeout=30, **how) as session:
        column = ".".join(map(str, (*IF_ENTRY, 2)))
        assert session.get(f"{column}.3") == b"GigabitEthernet0/3"
        assert [value for _, value in session.fetch(column)] == [
            f"GigabitEthernet0/{row}".encode() for row in range(1, DEVICES[device].interfaces + 1)
        ]


@pytest.mark.parametrize(
    ("program", "device", "version"),
    [
        ("snmpbulkwalk", "plain", "2c"),
        ("snmpwalk", "old", "1"),
        ("snmpbulkwalk", "secure", "3"),
    ],
)
def test_net_snmp_walks_all_that_a_device_holds(
    fleet: dict[str, int], program: str, device: str, version: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip("needs net-snmp's commands: apt-get install snmp")
    how = ["-c", SECRETS["community"]]
    if version == "3":
        how = [
            *("-u", SECRETS["user"], "-l", "authPriv", "-a", "SHA", "-A", SECRETS["auth_password"]),
            *("-x", "AES", "-X", SECRETS["privacy_password"]),
        ]
    walked = subprocess.run(
        [program, f"-v{version}", *how, "-t30", "-Onq", f"{HERE}:{fleet[device]}", "1"],
        check=False,
        capture_output=True,
        text=True,
        env={"MIBS": "", "PATH": "/usr/bin:/bin"},
    )
    lines = [line for line in walked.stdout.splitlines() if "No more variables" not in line]
    assert [line.split()[0] for line in lines if line.startswith(".")] == [
        "." + ".".join(map(str, row.oid)) for row in rows(DEVICES[device])
    ]


@pytest.mark.parametrize(("device", "version"), [("old", "2c"), ("secure", "1"), ("secure", "2c")])
def test_a_device_is_silent_in_a_version_that_it_does_not_speak(
    fleet: dict[str, int], device: str, version: str
) -> None:
    with Manager(fleet[device]) as manager:
        datagram = request("Get", [UP_TIME], version=version)
        assert manager.is_silent(datagram, DEVICES[device].version)


@pytest.mark.parametrize("device", ["plain", "old"])
def test_a_device_without_v3_does_not_even_say_who_it_is(
    fleet: dict[str, int], device: str
) -> None:
    with Manager(fleet[device]) as manager:
        assert manager.is_silent(discovery(1), DEVICES[device].version)
    with Manager(fleet["secure"]) as manager:
        assert not manager.is_silent(discovery(1), "3")


def test_a_wrong_community_is_met_with_silence(plain: Manager) -> None:
    assert plain.is_silent(request("Get", [UP_TIME], community="public", number=99))
    assert not plain.is_silent(request("Get", [UP_TIME], number=99))


def test_getbulk_in_v1_is_met_with_silence(plain: Manager) -> None:
    assert plain.is_silent(request("GetBulk", [UP_TIME], version="1", bulk=(0, 5), number=99))


def test_a_wrong_key_is_reported_and_reads_nothing(fleet: dict[str, int]) -> None:
    wrong = login("3", auth_password="another-password")
    complaint, _, values = ask(fleet["secure"], wrong, UP_TIME)
    assert (complaint, values) == ("Wrong SNMP PDU digest", [])


def test_an_unknown_user_is_reported_and_reads_nothing(fleet: dict[str, int]) -> None:
    complaint, _, values = ask(fleet["secure"], login("3", user="nobody"), UP_TIME)
    assert (complaint, values) == ("Unknown USM user", [])


def test_a_user_without_encryption_reads_nothing(fleet: dict[str, int]) -> None:
    bare = hlapi.UsmUserData(
        SECRETS["user"], SECRETS["auth_password"], authProtocol=hlapi.USM_AUTH_HMAC96_SHA
    )
    complaint, _, values = ask(fleet["secure"], bare, UP_TIME)
    assert (complaint, values) == ("Unsupported SNMP security level", [])


# What it answers


@pytest.mark.parametrize("repetitions", [1, 7, 500])
def test_every_value_arrives_with_its_type(plain: Manager, repetitions: int) -> None:
    expected = [
        (row.oid, getattr(rfc1902, row.kind)(row.value))
        for row in rows(DEVICES["plain"])
        if row.oid != IN_PACKETS
    ]
    walked = [(oid, value) for oid, value in walk(plain, (1, 3), repetitions) if oid != IN_PACKETS]
    assert expected == walked
    assert [value.tagSet for _, value in expected] == [
        getattr(value, "tagSet", None) for _, value in walked
    ]


@pytest.mark.parametrize("version", ["1", "2c"])
def test_getnext_returns_the_next_of_each(plain: Manager, version: str) -> None:
    answer = plain.ask("GetNext", (*IF_ENTRY, 2), description(20), (1, 3), version=version)
    assert [oid for oid, _ in answer.varbinds] == [
        description(1),
        (*IF_ENTRY, 3, 1),
        (1, 3, 6, 1, 2, 1, 1, 1, 0),
    ]


def test_a_missing_value_in_v2c_is_named_in_its_place(plain: Manager) -> None:
    answer = plain.ask("Get", description(1), NOWHERE, description(2))
    assert (answer.status, answer.position) == (NO_ERROR, 0)
    assert [oid for oid, _ in answer.varbinds] == [description(1), NOWHERE, description(2)]
    assert [type(value) for _, value in answer.varbinds] == [
        rfc1902.OctetString,
        v2c.NoSuchInstance,
        rfc1902.OctetString,
    ]


@pytest.mark.parametrize("kind", ["Get", "GetNext"])
def test_one_missing_value_in_v1_fails_the_request(plain: Manager, kind: str) -> None:
    asked = [description(1), BEYOND, description(2), BEYOND]
    answer = plain.ask(kind, *asked, version="1")
    assert (answer.status, answer.position) == (NO_SUCH_NAME, 2)
    assert answer.varbinds == [(oid, v1.null) for oid in asked]


def test_getnext_past_the_end_says_so(plain: Manager) -> None:
    answer = plain.ask("GetNext", LAST, BEYOND, description(1))
    assert answer.status == NO_ERROR
    assert [oid for oid, _ in answer.varbinds] == [LAST, BEYOND, description(2)]
    assert [isinstance(value, v2c.EndOfMibView) for _, value in answer.varbinds] == [
        True,
        True,
        False,
    ]


def test_getbulk_past_the_end_says_so_once(plain: Manager) -> None:
    answer = plain.ask("GetBulk", IN_PACKETS, bulk=(0, 50))
    assert [oid for oid, _ in answer.varbinds] == [LAST, LAST]
    assert [isinstance(value, v2c.EndOfMibView) for _, value in answer.varbinds] == [False, True]
    answer = plain.ask("GetBulk", BEYOND, bulk=(0, 50))
    assert [oid for oid, _ in answer.varbinds] == [BEYOND]
    assert isinstance(answer.varbinds[0][1], v2c.EndOfMibView)


def test_getbulk_returns_some_once_and_others_in_turn(plain: Manager) -> None:
    answer = plain.ask("GetBulk", UP_TIME, description(1), (*IF_ENTRY, 10, 1), bulk=(1, 3))
    assert [oid for oid, _ in answer.varbinds] == [
        (1, 3, 6, 1, 2, 1, 1, 5, 0),
        *((*IF_ENTRY, column, row) for row in (2, 3, 4) for column in (2, 10)),
    ]


def test_getbulk_goes_on_while_one_column_does(plain: Manager) -> None:
    answer = plain.ask("GetBulk", LAST, description(18), bulk=(0, 3))
    assert [oid for oid, _ in answer.varbinds] == [
        *(LAST, description(19), LAST, description(20), LAST, (*IF_ENTRY, 3, 1))
    ]


@pytest.mark.parametrize(("wanted", "once"), [(0, 0), (0, 1), (0, 7)])
def test_getbulk_without_repetitions_returns_what_is_wanted_once(
    plain: Manager, wanted: int, once: int
) -> None:
    answer = plain.ask("GetBulk", description(1), bulk=(once, wanted))
    assert answer.status == NO_ERROR
    assert [oid for oid, _ in answer.varbinds] == [description(2)][:once]


def test_getbulk_has_a_most(fleet: dict[str, int]) -> None:
    with Manager(fleet["large"]) as manager:
        for columns in (1, 3):
            asked = [(*IF_ENTRY, column) for column in range(1, columns + 1)]
            answer = manager.ask("GetBulk", *asked, bulk=(0, 2_000_000_000))
            assert len(answer.varbinds) == MOST_VARBINDS // columns * columns


def test_a_request_for_nothing_is_answered_with_nothing(plain: Manager) -> None:
    for kind in ("Get", "GetNext"):
        answer = plain.ask(kind)
        assert (answer.status, answer.varbinds) == (NO_ERROR, [])
    assert plain.ask("GetBulk", bulk=(0, 10)).varbinds == []


def test_a_device_does_not_answer_for_another(fleet: dict[str, int]) -> None:
    for name in ("plain", "small", "large"):
        with Manager(fleet[name]) as manager:
            answer = manager.ask("Get", (1, 3, 6, 1, 2, 1, 1, 5, 0))
            assert answer.varbinds == [((1, 3, 6, 1, 2, 1, 1, 5, 0), name.encode())]


# What is too long for it


def test_a_get_too_big_is_refused_in_v2c_without_values(small: Manager) -> None:
    answer = small.ask("Get", *descriptions(30))
    assert (answer.status, answer.position, answer.varbinds) == (TOO_BIG, 0, [])
    assert small.ask("Get", *descriptions(5)).status == NO_ERROR


def test_a_get_too_big_is_refused_in_v1_with_the_request(small: Manager) -> None:
    answer = small.ask("Get", *descriptions(30), version="1")
    assert (answer.status, answer.position) == (TOO_BIG, 0)
    assert answer.varbinds == [(oid, v1.null) for oid in descriptions(30)]


def test_a_getbulk_too_big_is_refused(small: Manager) -> None:
    answer = small.ask("GetBulk", (*IF_ENTRY, 2), bulk=(0, 30))
    assert (answer.status, answer.varbinds) == (TOO_BIG, [])
    assert len(small.ask("GetBulk", (*IF_ENTRY, 2), bulk=(0, 10)).varbinds) == 10


def test_a_get_too_big_is_refused_in_v3(fleet: dict[str, int]) -> None:
    port = fleet["small-secure"]
    assert ask(port, login("3"), *descriptions(30)) == ("", TOO_BIG, [])
    assert ask(port, login("3"), *descriptions(5))[1] == NO_ERROR


def test_what_is_too_big_for_the_client_is_refused_in_v3(fleet: dict[str, int]) -> None:
    """It says so in its request."""
    asked = [*descriptions(10), *((*IF_ENTRY, 6, row) for row in range(1, 11))]
    assert ask(fleet["secure"], login("3"), *asked, largest=600) == ("", TOO_BIG, [])
    assert ask(fleet["secure"], login("3"), *asked, largest=2_000)[1] == NO_ERROR


def test_the_limit_is_met_to_the_byte() -> None:
    asked = request("Get", descriptions(10))
    with agents(Device("edge")) as running, Manager(running.ports[0]) as manager:
        manager.send(asked)
        whole = manager.receive()
    devices = [Device("edge", max_bytes=len(whole) - less) for less in (0, 1)]
    with agents(*devices) as running:
        for port, status in zip(running.ports, (NO_ERROR, TOO_BIG), strict=True):
            with Manager(port) as manager:
                manager.send(asked)
                answer = manager.receive()
                assert read(answer).status == status
                assert (answer == whole) == (status == NO_ERROR)


def test_what_no_datagram_can_hold_is_too_big(fleet: dict[str, int]) -> None:
    with Manager(fleet["large"]) as manager:
        answer = manager.ask("Get", *[description(101)] * 2_000)
        assert answer.status == TOO_BIG


# How it lives


def test_every_message_is_counted_for_its_device() -> None:
    with (
        agents(Device("a"), Device("b")) as running,
        Manager(running.ports[0]) as manager,
        Manager(running.ports[1]) as other,
    ):
        manager.send(b"garbage")
        manager.send(request("Get", [UP_TIME], community="public"))
        manager.send(request("GetBulk", [UP_TIME], version="1", bulk=(0, 5)))
        for _ in range(3):
            manager.ask("Get", UP_TIME)
        assert manager.ask("Get", IN_PACKETS).varbinds == [(IN_PACKETS, 7)]
        assert manager.ask("GetNext", IN_PACKETS[:-1]).varbinds == [(IN_PACKETS, 8)]
        assert other.ask("GetBulk", IN_PACKETS[:-1], bulk=(0, 1)).varbinds == [(IN_PACKETS, 1)]


def mangled(number: int) -> Iterator[bytes]:
    """Yield noise, pieces of messages, and messages with a few wrong bytes, of every version."""
    chance = random.Random(number)
    messages = [
        request("Get", descriptions(3)),
        request("GetBulk", descriptions(3), bulk=(1, 5)),
        request("GetNext", descriptions(3), version="1"),
        discovery(1),
    ]
    for _ in range(number):
        message = chance.choice(messages)
        match chance.randrange(4):
            case 0:
                yield chance.randbytes(chance.randrange(200))
            case 1:
                yield message[: chance.randrange(len(message))]
            case 2:
                changed = bytearray(message)
                for _ in range(chance.randrange(1, 4)):
                    changed[chance.randrange(len(changed))] = chance.randrange(256)
                yield bytes(changed)
            case _:
                # One inside the other, deeper than any message is.
                yield b"\x30\x80" * chance.randrange(1, 30_000)


@pytest.mark.parametrize("device", ["plain", "old", "secure"])
def test_it_survives_what_is_no_message(fleet: dict[str, int], device: str) -> None:
    version = DEVICES[device].version
    silent = 0
    with Manager(fleet[device]) as manager:
        for datagram in mangled(500):
            if manager.is_silent(datagram, version):
                silent += 1
            else:
                # What came was the answer to a message that was still one.
                manager.receive()
    assert 400 < silent < 500
    values = ask(fleet[device], login(version), description(3))[2]
    assert values == [(description(3), b"GigabitEthernet0/3")]


@pytest.mark.parametrize("repetitions", [b"\x04\x01\x05", b"\x02\x01\xff"])
def test_it_is_silent_where_the_repetitions_are_no_number(
    plain: Manager, repetitions: bytes
) -> None:
    """The rest of the message is as it should be; it is a text, or negative."""
    good = request("GetBulk", [UP_TIME], bulk=(0, 5), number=99)
    assert good.count(b"\x02\x01\x05") == 1
    assert plain.is_silent(good.replace(b"\x02\x01\x05", repetitions))


def flood(running: Running, begun: threading.Event) -> None:
    datagram = request("GetBulk", [IF_ENTRY], bulk=(0, MOST_VARBINDS))
    with Manager(running.ports[0]) as manager, suppress(ConnectionRefusedError):
        manager.send(datagram)
        manager.receive()
        begun.set()
        while running.process.poll() is None:
            manager.send(datagram)


def test_it_ends_when_its_stdin_closes_even_when_busy() -> None:
    """The helper waits for its end; the flood ends only then."""
    begun = threading.Event()
    with agents(DEVICES["large"]) as running:
        flooding = threading.Thread(target=flood, args=(running, begun))
        flooding.start()
        assert begun.wait(30)
    flooding.join()
    assert running.process.returncode == 0


def test_importing_it_does_not_import_the_library() -> None:
    code = "import sys, perfkit.backends.snmp_agent; sys.exit('pysnmp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
