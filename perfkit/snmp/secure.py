"""SNMPv3: questions through an engine of pysnmp, which knows the keys and the devices' clocks."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pysnmp.carrier.asyncio.dgram.udp import UdpTransportAddress
from pysnmp.carrier.asyncio.dgram.udp6 import Udp6TransportAddress
from pysnmp.carrier.base import AbstractTransport, AbstractTransportDispatcher
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto.error import StatusInformation

from perfkit.errors import UsageError
from perfkit.extras import require
from perfkit.snmp.datagrams import Datagrams, Peer
from perfkit.snmp.message import Pdu
from perfkit.snmp.session import Lost, Reply, Reported
from perfkit.snmp.target import Target
from perfkit.snmp.values import varbind

AUTH = {
    "MD5": hlapi.USM_AUTH_HMAC96_MD5,
    "SHA": hlapi.USM_AUTH_HMAC96_SHA,
    "SHA224": hlapi.USM_AUTH_HMAC128_SHA224,
    "SHA256": hlapi.USM_AUTH_HMAC192_SHA256,
    "SHA384": hlapi.USM_AUTH_HMAC256_SHA384,
    "SHA512": hlapi.USM_AUTH_HMAC384_SHA512,
}
PRIVACY = {
    "DES": hlapi.USM_PRIV_CBC56_DES,
    "AES": hlapi.USM_PRIV_CFB128_AES,
    "AES192": hlapi.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES256": hlapi.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
TICK = 1.0
"""Seconds of the engine's clock. It forgets a question after 600 ticks, whatever its timeout."""
LINGER = 2 * TICK
"""Seconds that the engine waits longer than we do, so that its coarse clock never decides."""


class Dispatcher(AbstractTransportDispatcher):  # type: ignore[misc]  # pysnmp has no types
    """The engine's clock, as a timer that is gone once it is cancelled; pysnmp's own is a task."""

    def __init__(self) -> None:
        super().__init__()
        self.set_timer_resolution(TICK)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(TICK, self._tick)

    def close_dispatcher(self) -> None:
        """Stop the clock and close the sockets."""
        self._timer.cancel()
        super().close_dispatcher()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick)
        self.handle_timer_tick(time.time())


class Transport(AbstractTransport):  # type: ignore[misc]
    """The engine's socket; what upsets its decoder is dropped, and no noise on stderr."""

    PROTO_TRANSPORT_DISPATCHER = Dispatcher
    ADDRESS_TYPE = UdpTransportAddress
    FAMILY = socket.AF_INET

    def open_client_mode(self, iface: object = None) -> Transport:
        """Open the socket, on any interface."""
        del iface
        self._datagrams = Datagrams(self.FAMILY, self._receive)
        return self

    def send_message(self, outgoing: bytes, address: Any) -> None:
        """Send."""
        self._datagrams.send(outgoing, (address[0], address[1]))

    def close_transport(self) -> None:
        """Close the socket."""
        self._datagrams.close()
        super().close_transport()

    def _receive(self, datagram: bytes, peer: Peer) -> None:
        # A foreign datagram finds every way to upset a decoder.
        with suppress(Exception):
            self._callback_function(self, self.ADDRESS_TYPE(peer[:2]), datagram)


class Transport6(Transport):
    """The same, over IPv6."""

    ADDRESS_TYPE = Udp6TransportAddress
    FAMILY = socket.AF_INET6


class Place(hlapi.UdpTransportTarget):  # type: ignore[misc]
    """Where a device is; its name has been looked up."""

    PROTO_TRANSPORT = Transport

    async def _resolve_address(self, address: tuple[str, int]) -> tuple[str, int]:
        return address


class Place6(hlapi.Udp6TransportTarget):  # type: ignore[misc]
    """The same, over IPv6."""

    PROTO_TRANSPORT = Transport6

    async def _resolve_address(self, address: tuple[str, int]) -> tuple[str, int]:
        return address


class Engine:
    """An engine of pysnmp with one user's keys; it knows the clock of every device it has met."""

    def __init__(self, target: Target) -> None:
        if target.privacy != "none":
            require("cryptography", "snmp")
        self.engine = hlapi.SnmpEngine()
        self.user = hlapi.UsmUserData(
            target.user,
            target.auth_password,
            target.privacy_password if target.privacy != "none" else None,
            authProtocol=look_up(AUTH, target.auth),
            privProtocol=(
                look_up(PRIVACY, target.privacy)
                if target.privacy != "none"
                else hlapi.USM_PRIV_NONE
            ),
        )

    def has_met(self, domain: object, address: object) -> bool:
        """Return whether a device has told its engine ID."""
        versions = self.engine.message_processing_subsystems
        return versions[3].get_peer_engine_info(domain, address)[0] is not None

    def close(self) -> None:
        """Close the sockets."""
        self.engine.close_dispatcher()


class Secure:
    """Ask one device through an engine, and ask again where no answer comes."""

    def __init__(self, target: Target, engine: Engine, family: int, peer: Peer) -> None:
        self._target = target
        self._engine = engine
        self._place = Place if family == socket.AF_INET else Place6
        self._peer = peer[:2]
        self._answered = False

    def close(self) -> None:
        """Leave the engine to the client, which closes it."""

    async def ask(self, pdu: Pdu, names: Sequence[tuple[int, ...]], repetitions: int) -> Reply:
        """Return the answer; raises Lost and Reported."""
        place = await self._place.create(
            self._peer, timeout=self._target.timeout + LINGER, retries=0
        )
        for _ in range(1 + self._target.retries):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._target.timeout):
                    reply = await self._ask(place, pdu, names, repetitions)
                    self._answered = True
                    return reply
        raise Lost(greeted=not self._answered and self._engine.has_met(*place.get_transport_info()))

    async def _ask(
        self, place: object, pdu: Pdu, names: Sequence[tuple[int, ...]], repetitions: int
    ) -> Reply:
        engine, user, context = self._engine.engine, self._engine.user, hlapi.ContextData()
        asked = [hlapi.ObjectType(hlapi.ObjectIdentity(name)) for name in names]
        to = engine, user, place, context
        if pdu is Pdu.GET_BULK:
            answer = hlapi.bulk_cmd(*to, 0, repetitions, *asked, lookupMib=False)
        else:
            command = hlapi.get_cmd if pdu is Pdu.GET else hlapi.next_cmd
            answer = command(*to, *asked, lookupMib=False)
        try:
            report, status, index, found = await answer
        except StatusInformation as refused:
            # The engine does not send it: it is longer than a message may be.
            raise Reported(type(refused["errorIndication"]).__name__) from refused
        if report is not None:
            # One of pysnmp's reports is a plain string.
            raise Reported(report if isinstance(report, str) else type(report).__name__)
        return Reply(int(status), int(index), [varbind(*one) for one in found])


def look_up(known: dict[str, Any], name: str) -> Any:
    """Return what pysnmp calls a protocol; raises UsageError."""
    try:
        return known[name]
    except KeyError:
        raise UsageError(
            f"SNMPv3 has no protocol '{name}' here", fix=f"one of: {', '.join(known)}"
        ) from None
