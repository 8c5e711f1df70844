from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from perfkit.backends.snmp_table import (
    ARP_ENTRY,
    ARP_TABLE,
    IF_ENTRY,
    IN_PACKETS,
    INTERFACES,
    Device,
    Oid,
    Row,
    rows,
)

# The types that IF-MIB (RFC 2863) gives the columns of ifTable; PhysAddress is an OCTET STRING.
COLUMNS = {
    **dict.fromkeys((1, 3, 4, 7, 8), "Integer32"),
    **dict.fromkeys((2, 6), "OctetString"),
    **dict.fromkeys((5, 21), "Gauge32"),
    9: "TimeTicks",
    **dict.fromkeys((*range(10, 16), *range(16, 21)), "Counter32"),
    22: "ObjectIdentifier",
}
NEIGHBOURS = ("10.0.0.10", "10.0.0.9", "9.255.0.1")


def held(device: Device) -> dict[Oid, Row]:
    return {row.oid: row for row in rows(device)}


@pytest.mark.parametrize("interfaces", [0, 1, 49, 2_000])
def test_rows_are_sorted_and_no_oid_is_twice(interfaces: int) -> None:
    oids = [row.oid for row in rows(Device("a", interfaces, neighbours=NEIGHBOURS))]
    assert oids == sorted(set(oids))


def test_the_interface_table_has_22_columns_of_the_types_of_if_mib() -> None:
    table = [row for row in rows(Device("a", 3)) if row.oid[: len(IF_ENTRY)] == IF_ENTRY]
    assert [
        ((*IF_ENTRY, column, row), kind)
        for column, kind in sorted(COLUMNS.items())
        for row in (1, 2, 3)
    ] == [(row.oid, row.kind) for row in table]
    assert held(Device("a", 3))[*INTERFACES, 1, 0].value == 3


def test_values_fit_their_types() -> None:
    types = {"OctetString": bytes, "ObjectIdentifier": str, "IpAddress": str}
    for row in rows(Device("a", 500, neighbours=NEIGHBOURS)):
        assert isinstance(row.value, types.get(row.kind, int))
        if row.kind in {"Counter32", "Gauge32", "TimeTicks"}:
            assert isinstance(row.value, int)
            assert 0 <= row.value < 2**32


def test_interfaces_look_like_those_of_a_switch() -> None:
    table = held(Device("a", 49))
    assert table[*IF_ENTRY, 2, 3].value == b"GigabitEthernet0/3"
    assert table[*IF_ENTRY, 2, 49].value == b"GigabitEthernet1/1"
    addresses = {table[*IF_ENTRY, 6, row].value for row in range(1, 50)}
    assert len(addresses) == 49
    assert {len(address) for address in addresses if isinstance(address, bytes)} == {6}
    is_up = [table[*IF_ENTRY, 8, row].value == 1 for row in range(1, 50)]
    counts = [table[*IF_ENTRY, 10, row].value != 0 for row in range(1, 50)]
    assert is_up == counts
    assert 30 < sum(is_up) < 49


def test_values_never_change() -> None:
    """A run of today and one of next year read the same device, wherever they run."""
    table = held(Device("core-1", 3))
    assert [table[*IF_ENTRY, column, 3].value for column in (6, 9, 10, 11, 16)] == [
        b"\x02v\xa2*\xaa\x9c",
        24922098,
        389424926,
        304476,
        2214817282,
    ]


def test_two_devices_hold_different_values() -> None:
    one, other = held(Device("a")), held(Device("b"))
    assert one.keys() == other.keys()
    assert one[*IF_ENTRY, 10, 1] != other[*IF_ENTRY, 10, 1]


def test_a_row_does_not_depend_on_how_many_there_are() -> None:
    few, many = held(Device("a", 2)), held(Device("a", 70))
    assert few[*IF_ENTRY, 10, 2] == many[*IF_ENTRY, 10, 2]


def test_the_arp_table_names_every_neighbour() -> None:
    table = [
        row
        for row in rows(Device("a", neighbours=NEIGHBOURS))
        if row.oid[: len(ARP_TABLE)] == ARP_TABLE
    ]
    assert [row.value for row in table if row.oid[len(ARP_ENTRY)] == 3] == [
        "9.255.0.1",
        "10.0.0.9",
        "10.0.0.10",
    ]
    assert table[0].oid == (*ARP_ENTRY, 1, 1, 9, 255, 0, 1)
    assert [row.kind for row in table] == [
        kind for kind in ("Integer32", "OctetString", "IpAddress", "Integer32") for _ in NEIGHBOURS
    ]


def test_something_follows_the_tables() -> None:
    oids = [row.oid for row in rows(Device("a", neighbours=NEIGHBOURS))]
    assert IN_PACKETS in oids
    assert oids[-1] > IN_PACKETS > ARP_TABLE > IF_ENTRY


def test_a_device_survives_json() -> None:
    device = Device("a", 3, version="1", max_bytes=484, neighbours=NEIGHBOURS)
    assert rows(Device(**json.loads(json.dumps(asdict(device))))) == rows(device)
