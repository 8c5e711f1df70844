"""What a simulated SNMP device holds: its system group, its interfaces and its ARP table.

Every value is a fixed function of the device's name, the row and the column, so that each
program which serves a device serves the same. Nothing here speaks SNMP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal, NamedTuple, TypeAlias

Oid: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Literal[
    "Integer32",
    "OctetString",
    "ObjectIdentifier",
    "IpAddress",
    "Counter32",
    "Gauge32",
    "TimeTicks",
]
"""The type of a value. Object identifiers and addresses are held as text."""

SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
INTERFACES: Oid = (1, 3, 6, 1, 2, 1, 2)
IF_ENTRY: Oid = (*INTERFACES, 2, 1)
"""The interface table, ifTable: an OID in it is this, the column, the row."""
ARP_TABLE: Oid = (1, 3, 6, 1, 2, 1, 4, 22)
"""ipNetToMediaTable: which neighbours the device has talked to."""
ARP_ENTRY: Oid = (*ARP_TABLE, 1)
IN_PACKETS: Oid = (1, 3, 6, 1, 2, 1, 11, 1, 0)
"""snmpInPkts: how many messages the device was sent. The only value that a server counts."""
AUTHENTICATION_TRAPS: Oid = (1, 3, 6, 1, 2, 1, 11, 30, 0)

UP_TIME = 123_456_789
"""Hundredths of a second since the device was started: two weeks, and it stands still."""
PORTS = 48
"""Interfaces in one slot of a device."""


class Row(NamedTuple):
    """One value that a device holds."""

    oid: Oid
    kind: Kind
    value: int | str | bytes


@dataclass(frozen=True)
class Device:
    """A simulated device: what it holds, and what it can do."""

    name: str
    interfaces: int = 10
    version: str = "2c"
    """The highest it speaks: "1" only SNMPv1, "2c" SNMPv1 and v2c, "3" only v3."""
    max_bytes: int = 65_507
    """The longest answer it sends; what would be longer becomes the error tooBig."""
    neighbours: tuple[str, ...] = ()
    """The IPv4 addresses in its ARP table."""
    per_request: float = 0.0
    """Seconds that it takes for each request; charged on the way to it, not by its server."""
    per_oid: float = 0.0
    """Seconds that it takes for each value it returns; charged on the way, too."""


def rows(device: Device) -> list[Row]:
    """Return all that the device holds, sorted by OID."""
    return [
        *system(device),
        *interfaces(device),
        *neighbours(device),
        Row(IN_PACKETS, "Counter32", 0),
        Row(AUTHENTICATION_TRAPS, "Integer32", 2),
    ]


def system(device: Device) -> Iterator[Row]:
    """Yield who the device is."""
    description = f"perfkit simulated switch {device.name}, {device.interfaces} interfaces"
    yield Row((*SYSTEM, 1, 0), "OctetString", description.encode())
    # 32473 is the enterprise number for documentation (RFC 5612).
    yield Row((*SYSTEM, 2, 0), "ObjectIdentifier", "1.3.6.1.4.1.32473.1.1")
    yield Row((*SYSTEM, 3, 0), "TimeTicks", UP_TIME)
    yield Row((*SYSTEM, 5, 0), "OctetString", device.name.encode())


def interfaces(device: Device) -> Iterator[Row]:
    """Yield the number of interfaces and, column by column, their table."""
    yield Row((*INTERFACES, 1, 0), "Integer32", device.interfaces)
    table = [interface(device.name, row) for row in range(1, device.interfaces + 1)]
    for column in range(22):
        for row, values in enumerate(table, 1):
            yield Row((*IF_ENTRY, column + 1, row), *values[column])


def interface(name: str, row: int) -> tuple[tuple[Kind, int | str | bytes], ...]:
    """Return the 22 columns of one interface."""
    chance = hashlib.blake2b(f"{name}/{row}".encode(), digest_size=32).digest()
    slot, port = divmod(row - 1, PORTS)
    is_used = chance[0] % 8 != 0
    bytes_in = int.from_bytes(chance[1:5]) if is_used else 0
    bytes_out = int.from_bytes(chance[5:9]) if is_used else 0
    # An average packet has from 64 to 1343 bytes.
    packets_in = bytes_in // (64 + 5 * chance[9])
    packets_out = bytes_out // (64 + 5 * chance[10])
    return (
        ("Integer32", row),
        ("OctetString", f"GigabitEthernet{slot}/{port + 1}".encode()),
        ("Integer32", 6),  # ethernetCsmacd
        ("Integer32", 1500),
        ("Gauge32", 1_000_000_000),
        # The 2 says that the address was given locally: it is no maker's.
        ("OctetString", b"\x02" + chance[11:16]),
        ("Integer32", 1),  # it shall be up
        ("Integer32", 1 if is_used else 2),
        ("TimeTicks", int.from_bytes(chance[16:20]) % UP_TIME),
        ("Counter32", bytes_in),
        ("Counter32", packets_in),
        ("Counter32", packets_in // 50),  # to more than one receiver
        ("Counter32", packets_in // 10_000),  # discarded
        ("Counter32", chance[20] if is_used else 0),  # errors
        ("Counter32", chance[21] if is_used else 0),  # of an unknown protocol
        ("Counter32", bytes_out),
        ("Counter32", packets_out),
        ("Counter32", packets_out // 50),
        ("Counter32", packets_out // 10_000),
        ("Counter32", chance[22] if is_used else 0),
        ("Gauge32", 0),  # packets that wait
        ("ObjectIdentifier", "0.0"),  # nothing more is known
    )


def neighbours(device: Device) -> Iterator[Row]:
    """Yield the ARP table, column by column; all neighbours are behind the first interface."""
    table = [
        arp_entry(device.name, address) for address in sorted(map(IPv4Address, device.neighbours))
    ]
    for column in range(4):
        for address, values in table:
            yield Row((*ARP_ENTRY, column + 1, 1, *address.packed), *values[column])


def arp_entry(
    name: str, address: IPv4Address
) -> tuple[IPv4Address, tuple[tuple[Kind, int | str | bytes], ...]]:
    """Return a neighbour's address and its 4 columns."""
    chance = hashlib.blake2b(f"{name}/{address}".encode(), digest_size=5).digest()
    return address, (
        ("Integer32", 1),
        ("OctetString", b"\x02" + chance),
        ("IpAddress", str(address)),
        ("Integer32", 3),  # learnt, not set by hand
    )
