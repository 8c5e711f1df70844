"""Give net-snmp's snmpd the tables of a simulated device: run as a script, by snmpd itself.

snmpd starts it at the first request for such a value and keeps it (`pass_persist`): a command
and an OID on a line each, an answer of three lines, or NONE. It ends when snmpd does, which
closes its stdin.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.backends.snmp_table import Device, Oid, Row

KINDS = {
    "Integer32": "integer",
    # In hexadecimal digits, so that it may hold any byte.
    "OctetString": "octet",
    "ObjectIdentifier": "objectid",
    "IpAddress": "ipaddress",
    "Counter32": "counter",
    "Gauge32": "gauge",
    "TimeTicks": "timeticks",
}
NONE = "NONE\n"


class Tables:
    """The interface table and the ARP table of a device, as snmpd wants to read them."""

    def __init__(self, device: Device) -> None:
        from perfkit.backends.snmp_table import ARP_TABLE, INTERFACES, rows

        held = [
            row
            for row in rows(device)
            if row.oid[: len(INTERFACES)] == INTERFACES or row.oid[: len(ARP_TABLE)] == ARP_TABLE
        ]
        self._oids = [row.oid for row in held]
        self._answers = {row.oid: answer(row) for row in held}

    def reply(self, command: str, oid: Oid) -> str:
        """Return the answer to get or getnext."""
        if command == "get":
            return self._answers.get(oid, NONE)
        place = bisect_right(self._oids, oid)
        return self._answers[self._oids[place]] if place < len(self._oids) else NONE


def answer(row: Row) -> str:
    """Return one value in the words of the protocol."""
    value = row.value.hex(" ") if isinstance(row.value, bytes) else row.value
    return f".{'.'.join(map(str, row.oid))}\n{KINDS[row.kind]}\n{value}\n"


def main() -> None:
    """Answer snmpd until it ends."""
    order = json.loads(Path(os.environ["PERFKIT_SNMP_ORDER"]).read_text())
    sys.path[:] = order["path"]
    from perfkit.backends.snmp_table import Device

    tables = Tables(Device(**order["device"]))
    while command := sys.stdin.readline().strip():
        if command == "PING":
            sys.stdout.write("PONG\n")
        else:
            oid = sys.stdin.readline().strip().strip(".")
            sys.stdout.write(tables.reply(command, tuple(map(int, oid.split(".")))))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
