"""A device made of a script: what comes in is recorded, what goes out is up to the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c

from perfkit.snmp.message import Message, Pdu, read


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    datagram: bytes
    oids: tuple[str, ...]
    message: Message
    attempt: int
    """1 for the first datagram with its request-id, 2 for the next ..."""

    def answer(
        self,
        *values: tuple[str, Any],
        request: int | None = None,
        status: int = 0,
        index: int = 0,
        version: int | None = None,
        pdu: Any = v2c.ResponsePDU,
    ) -> bytes:
        """Write an answer: OIDs with values of pysnmp's types, or plain numbers."""
        body = pdu()
        body[0] = self.message.request if request is None else request
        body[1], body[2] = status, index
        v2c.apiPDU.set_varbinds(
            body, [(oid, v2c.Integer32(to) if isinstance(to, int) else to) for oid, to in values]
        )
        whole = v2c.Message()
        whole[0] = {"1": 0, "2c": 1}[self.message.version] if version is None else version
        whole[1] = b"s3cret-community"
        v2c.apiMessage.set_pdu(whole, body)
        encoded: bytes = encoder.encode(whole)
        return encoded


Answer: TypeAlias = Callable[[Asked], Iterable[bytes]]


@dataclass
class Responder:
    """A device made of a script."""

    port: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def kinds(self) -> list[Pdu]:
        """What was asked on the wire, in turn."""
        return [asked.message.pdu for asked in self.asked]


@contextmanager
def responder(
    answer: Answer, *, family: socket.AddressFamily = socket.AF_INET, port: int = 0
) -> Iterator[Responder]:
    """Serve on a loopback port; `answer` is called for each request, in a thread of its own."""
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        device = Responder(wire.getsockname()[1])
        failures: list[BaseException] = []

        def serve() -> None:
            attempts: dict[int, int] = {}
            while True:
                datagram, sender = wire.recvfrom(65_535)
                if datagram == b"end":
                    return
                try:
                    message = read(datagram)
                    attempts[message.request] = attempts.get(message.request, 0) + 1
                    asked = Asked(datagram, oids(datagram), message, attempts[message.request])
                    device.asked.append(asked)
                    for reply in answer(asked):
                        wire.sendto(reply, sender)
                except BaseException as error:  # noqa: BLE001, the test shall see it
                    failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield device
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", wire.getsockname()[:2])
            thread.join()
        assert failures == []


def oids(datagram: bytes) -> tuple[str, ...]:
    """Return the OIDs in a request of SNMPv1 or SNMPv2c."""
    if read(datagram).version == "3":
        return ()
    whole, _ = decoder.decode(datagram, asn1Spec=v2c.Message())
    found = v2c.apiPDU.get_varbinds(v2c.apiMessage.get_pdu(whole))
    return tuple(str(oid) for oid, _ in found)
