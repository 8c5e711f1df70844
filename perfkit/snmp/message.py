"""Read the envelope of an SNMP datagram: what is asked or answered, without decoding the values.

For counting on the wire (RFC 1157, 3412, 3416): a relay does this for every packet, so nothing is
made of a varbind but its place in the count.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Malformed(ValueError):
    """A datagram is cut short, or is not SNMP."""


class Pdu(StrEnum):
    """What an SNMP message asks or answers."""

    GET = "GET"
    GET_NEXT = "GETNEXT"
    RESPONSE = "RESPONSE"
    SET = "SET"
    TRAP = "TRAP"
    GET_BULK = "GETBULK"
    INFORM = "INFORM"
    TRAP2 = "TRAP2"
    REPORT = "REPORT"
    ENCRYPTED = "ENCRYPTED"


class Message(NamedTuple):
    """What the envelope of an SNMP datagram says."""

    version: str
    """ "1", "2c" or "3"."""
    pdu: Pdu
    request: int
    """The request-id; the msgID of an encrypted message; 0 for a trap of SNMPv1."""
    varbinds: int
    """How many; 0 where they are encrypted and for a trap of SNMPv1."""
    error: int
    """The error-status; 0 for a GETBULK, which says something else in its place."""
    repetitions: int
    """The max-repetitions of a GETBULK, else 0."""


INTEGER, STRING, OID, SEQUENCE, ADDRESS, TICKS = 0x02, 0x04, 0x06, 0x30, 0x40, 0x43
VERSIONS = {0: "1", 1: "2c", 3: "3"}
PDUS = {
    0xA0: Pdu.GET,
    0xA1: Pdu.GET_NEXT,
    0xA2: Pdu.RESPONSE,
    0xA3: Pdu.SET,
    0xA4: Pdu.TRAP,
    0xA5: Pdu.GET_BULK,
    0xA6: Pdu.INFORM,
    0xA7: Pdu.TRAP2,
    0xA8: Pdu.REPORT,
}
TRAP_FIELDS = (OID, ADDRESS, INTEGER, INTEGER, TICKS, SEQUENCE)
PRIVATE = 0x02
"""The bit of the msgFlags of SNMPv3 that says: encrypted."""
LONG = 0x80
"""The bit of a length that says: the others count the bytes of the length that follow."""
LENGTH_BYTES = 4
"""Bytes of the longest length."""
INTEGER_BYTES = 5
"""Bytes of the longest integer: 32 bits, and a byte of signs before them that pysnmp may write."""


def read(datagram: bytes) -> Message:
    """Read the envelope of one datagram; raises Malformed, and nothing else, for a foreign one."""
    at, end = _open(datagram, 0, len(datagram), SEQUENCE)
    if end != len(datagram):
        raise Malformed("bytes follow the message")
    number, at = _integer(datagram, at, end)
    version = VERSIONS.get(number)
    if version is None:
        raise Malformed("no version of SNMP")
    if version == "3":
        return _read_v3(datagram, at, end)
    _, at = _open(datagram, at, end, STRING)
    return _read_pdu(datagram, at, end, version)


def _read_v3(datagram: bytes, at: int, end: int) -> Message:
    at, header = _open(datagram, at, end, SEQUENCE)
    message, at = _integer(datagram, at, header)
    _, at = _integer(datagram, at, header)
    flags, at = _open(datagram, at, header, STRING)
    if at != flags + 1:
        raise Malformed("the flags are not one byte")
    _, at = _integer(datagram, at, header)
    if at != header:
        raise Malformed("bytes follow the header")
    _, at = _open(datagram, at, end, STRING)
    if datagram[flags] & PRIVATE:
        _, at = _open(datagram, at, end, STRING)
        if at != end:
            raise Malformed("bytes follow the encrypted PDU")
        return Message("3", Pdu.ENCRYPTED, message, 0, 0, 0)
    at, scoped = _open(datagram, at, end, SEQUENCE)
    if scoped != end:
        raise Malformed("bytes follow the PDU")
    _, at = _open(datagram, at, end, STRING)
    _, at = _open(datagram, at, end, STRING)
    return _read_pdu(datagram, at, end, "3")


def _read_pdu(datagram: bytes, at: int, end: int, version: str) -> Message:
    # Any PDU in any version: some devices answer a GETBULK of SNMPv1, and it is to be counted.
    pdu = PDUS.get(datagram[at]) if at < end else None
    if pdu is None:
        raise Malformed("no PDU of SNMP")
    at, stop = _open(datagram, at, end, datagram[at])
    if stop != end:
        raise Malformed("bytes follow the PDU")
    if pdu is Pdu.TRAP:
        for tag in TRAP_FIELDS:
            _, at = _open(datagram, at, end, tag)
        if at != end:
            raise Malformed("bytes follow the varbinds")
        return Message(version, pdu, 0, 0, 0, 0)
    request, at = _integer(datagram, at, end)
    error, at = _integer(datagram, at, end)
    index, at = _integer(datagram, at, end)
    at, stop = _open(datagram, at, end, SEQUENCE)
    if stop != end:
        raise Malformed("bytes follow the varbinds")
    varbinds = 0
    while at < end:
        _, at = _open(datagram, at, end, SEQUENCE)
        varbinds += 1
    if pdu is Pdu.GET_BULK:
        return Message(version, pdu, request, varbinds, 0, index)
    return Message(version, pdu, request, varbinds, error, 0)


def _open(datagram: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return where the contents of the element at `at` begin and end, all of it before `end`."""
    begin = at + 2
    if begin > end or datagram[at] != tag:
        raise Malformed("an element is missing")
    length = datagram[at + 1]
    if length >= LONG:
        octets = length - LONG
        if not 1 <= octets <= LENGTH_BYTES:
            raise Malformed("a length of no or too many bytes")
        length = int.from_bytes(datagram[begin : begin + octets])
        begin += octets
    stop = begin + length
    if stop > end:
        raise Malformed("an element is cut short")
    return begin, stop


def _integer(datagram: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the integer at `at` and where it ends."""
    begin, stop = _open(datagram, at, end, INTEGER)
    if not 1 <= stop - begin <= INTEGER_BYTES:
        raise Malformed("an integer of no or too many bytes")
    return int.from_bytes(datagram[begin:stop], signed=True), stop
