"""Be many SNMP devices at once, each on a UDP port of its own: run as a script.

It reads one JSON line: `path` (for sys.path), `devices` (see `Device` in `snmp_table.py`),
`community`, `user`, `auth_password` and `privacy_password`. It prints one, `{"ports": [...]}`,
when it can answer. It ends when its stdin closes, which the kernel does when we die.

One pysnmp engine reads and writes the messages of all devices. What a device holds does not go
through the library's MIB tree, which would make the agent the slowest part of a measurement:
it is a sorted list, whose values are encoded once.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfkit.backends.snmp_table import Device, Oid

VERSIONS = {"1": (0,), "2c": (0, 1), "3": (3,)}
"""The versions that a device speaks, as numbered in messages."""
MOST_VARBINDS = 1_000
"""What an answer to GETBULK has at most, whatever was asked for."""
NO_ERROR, TOO_BIG, NO_SUCH_NAME = 0, 1, 2


class Holding:
    """What one device holds, encoded as it is sent."""

    def __init__(self, device: Device) -> None:
        from perfkit.backends.snmp_table import IN_PACKETS, rows

        self.versions = VERSIONS[device.version]
        self.max_bytes = device.max_bytes
        self.packets = 0
        self._rows = {row.oid: row for row in rows(device)}
        self._oids = list(self._rows)
        self._encoded: dict[Oid, bytes] = {}
        self._alive = IN_PACKETS

    def get(self, oid: Oid) -> bytes | None:
        """Return the encoded value at this OID; None where there is none."""
        known = self._encoded.get(oid)
        if known is not None:
            return known
        row = self._rows.get(oid)
        if row is None:
            return None
        if oid == self._alive:
            return encode(oid, row.kind, self.packets)
        # Not all at the start: a device with thousands of interfaces would start slowly.
        self._encoded[oid] = encode(oid, row.kind, row.value)
        return self._encoded[oid]

    def place(self, oid: Oid) -> int:
        """Return the place of the first value after this OID."""
        return bisect_right(self._oids, oid)

    def at(self, place: int) -> bytes | None:
        """Return the encoded value at this place; None after the last."""
        return self.get(self._oids[place]) if place < len(self._oids) else None

    def end(self, oid: Oid) -> Oid:
        """Return the OID under which to say that nothing follows: the last one, or a later one."""
        return max(oid, self._oids[-1])


def encode(oid: Oid, kind: str, value: int | str | bytes | None) -> bytes:
    """Return a varbind as it is sent; without a value it says of which kind there is none."""
    from pyasn1.codec.ber import encoder
    from pysnmp.proto import rfc1902, rfc1905
    from pysnmp.proto.api import v2c

    varbind = v2c.VarBind()
    typed = getattr(rfc1905, kind) if value is None else getattr(rfc1902, kind)(value)
    v2c.apiVarBind.set_oid_value(varbind, (v2c.ObjectIdentifier(oid), typed))
    encoded: bytes = encoder.encode(varbind)
    return encoded


class Agent:
    """Answer messages for many devices; which one is meant is told by the socket it came to.

    To the engine it is the transport, and the application that answers requests.
    """

    def __init__(self, devices: Iterable[Device], secrets: dict[str, str]) -> None:
        from pysnmp.carrier.asyncio.dgram import udp
        from pysnmp.entity import config
        from pysnmp.entity.engine import SnmpEngine
        from pysnmp.proto import rfc1905

        self._holdings = [Holding(device) for device in devices]
        self._domain = udp.DOMAIN_NAME
        self._engine = SnmpEngine()
        self._engine.transport_dispatcher = self
        config.add_v1_system(self._engine, "reader", secrets["community"])
        config.add_v3_user(
            self._engine,
            secrets["user"],
            config.USM_AUTH_HMAC96_SHA,
            secrets["auth_password"],
            config.USM_PRIV_CFB128_AES,
            secrets["privacy_password"],
        )
        self._bulk = rfc1905.GetBulkRequestPDU.tagSet
        self._next = rfc1905.GetNextRequestPDU.tagSet
        self._engine.message_dispatcher.register_context_engine_id(
            b"", (rfc1905.GetRequestPDU.tagSet, self._next, self._bulk), self.respond
        )

    def answer(self, number: int, datagram: bytes, sender: tuple[str, int]) -> bytes | None:
        """Return the answer of one device; None where it keeps silent."""
        self._holding = self._holdings[number]
        self._holding.packets += 1
        if version(datagram) not in self._holding.versions:
            return None
        self._is_too_big = False
        answer = self._process(number, datagram, sender)
        if self._is_too_big:
            # Only the engine knows how long an encrypted message becomes. So it makes the whole
            # answer first, and where that is too long, is asked again.
            answer = self._process(number, datagram, sender)
        return answer

    def _process(self, number: int, datagram: bytes, sender: tuple[str, int]) -> bytes | None:
        self._answer: bytes | None = None
        # Whatever somebody sends us: the other devices live on.
        with suppress(Exception):
            self._engine.message_dispatcher.receive_message(
                self._engine, (*self._domain, number), sender, datagram
            )
        return self._answer

    def send_message(self, message: bytes, *_to: object) -> None:
        """Take what the engine wants to send."""
        if len(message) > self._holding.max_bytes and not self._is_too_big:
            self._is_too_big = True
        else:
            self._answer = message

    def get_timer_resolution(self) -> float:
        """Return the seconds between two ticks, which the engine wants to know and never gets."""
        return 1.0

    def respond(self, engine: Any, model: int, *arguments: Any) -> None:
        """Answer a request that the engine has read and found to be from a reader."""
        from pysnmp.proto import error
        from pysnmp.proto.api import v1, v2c

        *scope, request, room, state = arguments
        api = v2c.apiPDU if model else v1.apiPDU
        response = api.get_response(request)
        asked = [tuple(oid) for oid, _ in api.get_varbinds(request)]
        status, index, values = self._look_up(request, asked, version_1=not model)
        api.set_error_status(response, status)
        if values is None:
            api.set_varbinds(response, api.get_varbinds(request))
        else:
            fill(response, values)
        api.set_error_index(response, index)
        try:
            engine.message_dispatcher.return_response_pdu(
                engine, model, *scope, response, room, state, {}
            )
        except error.StatusInformation:
            # Longer than the engine allows, or than the sender of an encrypted request does.
            self._is_too_big = True

    def _look_up(
        self, request: Any, asked: list[Oid], *, version_1: bool
    ) -> tuple[int, int, list[bytes] | None]:
        """Return error status and index, and the values; None to repeat the request's."""
        if self._is_too_big:
            # A GETBULK could be answered in part (RFC 3416, 4.2.3). Small and old devices send
            # tooBig or nothing, and that is what clients have to survive.
            return TOO_BIG, 0, None if version_1 else []
        holding = self._holding
        if request.tagSet == self._bulk:
            first, repetitions = int(request[1]), int(request[2])
            return NO_ERROR, 0, self._repeat(asked[:first], asked[first:], repetitions)
        if request.tagSet == self._next:
            found = [holding.at(holding.place(oid)) for oid in asked]
            missing = "endOfMibView"
        else:
            found = [holding.get(oid) for oid in asked]
            missing = "noSuchInstance"
        if version_1 and None in found:
            return NO_SUCH_NAME, found.index(None) + 1, None
        values = [
            encode(oid, missing, None) if value is None else value
            for oid, value in zip(asked, found, strict=True)
        ]
        return NO_ERROR, 0, values

    def _repeat(self, once: list[Oid], again: list[Oid], repetitions: int) -> list[bytes]:
        """Return what GETBULK returns: one value after each of `once`, many after `again`."""
        holding = self._holding

        def after(oid: Oid, place: int) -> bytes:
            return holding.at(place) or encode(holding.end(oid), "endOfMibView", None)

        values = [after(oid, holding.place(oid)) for oid in once]
        starts = [(oid, holding.place(oid)) for oid in again]
        for step in range(min(repetitions, MOST_VARBINDS // max(1, len(again)))):
            values += [after(oid, start + step) for oid, start in starts]
            if all(holding.at(start + step) is None for _, start in starts):
                break
        return values


def fill(response: Any, values: list[bytes]) -> None:
    """Put encoded varbinds into a response: as one piece, which costs the library one step."""
    from pyasn1.type import univ

    varbinds = response.setComponentByPosition(3).getComponentByPosition(3)
    varbinds.clear()
    varbinds.setComponentByPosition(
        0,
        univ.Any(b"".join(values)),
        verifyConstraints=False,
        matchTags=False,
        matchConstraints=False,
    )


def version(datagram: bytes) -> int:
    """Return the version that a message says it has; -1 where it is none."""
    with suppress(IndexError):
        # The length of the whole takes one byte, or as many more as the first byte says.
        start = 2 + (datagram[1] & 0x7F if datagram[1] & 0x80 else 0)
        if datagram[start : start + 2] == b"\x02\x01":
            return datagram[start + 2]
    return -1


def serve(agent: Agent, sockets: list[socket.socket]) -> None:
    """Answer what comes, for ever."""
    selector = selectors.DefaultSelector()
    for number, door in enumerate(sockets):
        door.settimeout(0)
        selector.register(door, selectors.EVENT_READ, number)
    while True:
        for key, _ in selector.select():
            # A client may be gone before its answer comes, or its message be broken.
            with suppress(OSError):
                datagram, sender = sockets[key.data].recvfrom(65_536)
                answer = agent.answer(key.data, datagram, sender)
                if answer is not None:
                    sockets[key.data].sendto(answer, sender)


def end_with_stdin() -> None:
    """End the process when stdin closes; nothing more is ever sent to us."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve devices until stdin closes."""
    order = json.loads(sys.stdin.readline())
    sys.path[:] = order["path"]
    from perfkit.backends.snmp_table import Device

    # A thread of its own, because we end at once, also in the middle of a long answer.
    threading.Thread(target=end_with_stdin, daemon=True).start()
    sockets = []
    for _ in order["devices"]:
        door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        door.bind(("127.0.0.1", 0))
        sockets.append(door)
    agent = Agent([Device(**device) for device in order["devices"]], order)
    sys.stdout.write(json.dumps({"ports": [door.getsockname()[1] for door in sockets]}) + "\n")
    sys.stdout.flush()
    serve(agent, sockets)


if __name__ == "__main__":
    main()
