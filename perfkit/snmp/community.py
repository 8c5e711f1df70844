"""SNMPv1 and SNMPv2c: questions with a community on a socket of their own.

pysnmp encodes and decodes; its engine, which SNMPv3 needs, would add half as much again to the
processor's time of a request, and takes a fresh request-id for each attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import count

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c

from perfkit.snmp import message
from perfkit.snmp.datagrams import Datagrams, Peer
from perfkit.snmp.message import Malformed, Pdu
from perfkit.snmp.session import Lost, Reply, Unreadable
from perfkit.snmp.target import Target
from perfkit.snmp.values import varbind

NUMBERS = {"1": 0, "2c": 1}
PDUS = {
    Pdu.GET: v2c.GetRequestPDU,
    Pdu.GET_NEXT: v2c.GetNextRequestPDU,
    Pdu.GET_BULK: v2c.GetBulkRequestPDU,
}
IDS = 2**30
"""Request-ids begin below it, so that the next 2**30 still are positive 32 bits."""
# What differs in SNMPv1 is a part of this: one form reads both.
FORM = v2c.Message()


class Community:
    """Ask one device, and ask again where no answer comes.

    All attempts of a request have one request-id, so that an answer to an earlier attempt, which
    a slow device sends late, is an answer.
    """

    def __init__(self, target: Target, family: int, peer: Peer) -> None:
        self._target = target
        self._ids = count(random.randrange(1, IDS))  # noqa: S311, no secret
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._strays = 0
        self._datagrams = Datagrams(family, self._receive, peer)

    def close(self) -> None:
        """Close the socket; who still waits is cancelled."""
        self._datagrams.close()
        for answered in self._waiting.values():
            answered.cancel()

    async def ask(self, pdu: Pdu, names: Sequence[tuple[int, ...]], repetitions: int) -> Reply:
        """Return the answer; raises Lost and Unreadable."""
        request = next(self._ids)
        datagram = self._encode(pdu, request, names, repetitions)
        strays = self._strays
        answered = asyncio.get_running_loop().create_future()
        self._waiting[request] = answered
        try:
            for _ in range(1 + self._target.retries):
                self._datagrams.send(datagram)
                await asyncio.wait((answered,), timeout=self._target.timeout)
                if answered.done():
                    return decode(answered.result())
        finally:
            del self._waiting[request]
        raise Lost(self._datagrams.trouble, self._strays - strays)

    def _encode(
        self, pdu: Pdu, request: int, names: Sequence[tuple[int, ...]], repetitions: int
    ) -> bytes:
        body = PDUS[pdu]()
        body[0], body[1], body[2] = request, 0, repetitions
        v2c.apiPDU.set_varbinds(body, [(name, v2c.null) for name in names])
        whole = v2c.Message()
        whole[0], whole[1] = NUMBERS[self._target.version], self._target.community.encode()
        v2c.apiMessage.set_pdu(whole, body)
        encoded: bytes = encoder.encode(whole)
        return encoded

    def _receive(self, datagram: bytes, _: Peer) -> None:
        # The envelope first: what answers nothing is not worth decoding, nor may it disturb.
        # The community is not compared: who can see the request-id can see that, too.
        try:
            envelope = message.read(datagram)
        except Malformed:
            self._strays += 1
            return
        answered = self._waiting.get(envelope.request)
        if (
            answered is None
            or answered.done()
            or envelope.pdu is not Pdu.RESPONSE
            or envelope.version != self._target.version
        ):
            self._strays += 1
        else:
            answered.set_result(datagram)


def decode(datagram: bytes) -> Reply:
    """Decode an answer; raises Unreadable."""
    try:
        whole, _ = decoder.decode(datagram, asn1Spec=FORM)
        body = v2c.apiMessage.get_pdu(whole)
        varbinds = [varbind(*found) for found in v2c.apiPDU.get_varbinds(body)]
        return Reply(int(body[1]), int(body[2]), varbinds)
    except Exception as error:  # a foreign datagram finds every way to upset a decoder
        raise Unreadable from error
