"""What the kernel says of a TCP connection: bytes, exact, whatever the protocol above."""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass

# struct tcp_info of include/uapi/linux/tcp.h: where these fields begin. Linux has all since 4.19.
_BYTES_RECEIVED = 128
_NOT_SENT = 144
_SEGMENTS_SENT = 156
_BYTES_SENT = 200
_BYTES_SENT_AGAIN = 208
_LENGTH = 216


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that were written, each once, and bytes received, since the connection began."""

    sent: int
    received: int


def traffic(descriptor: int) -> Traffic | None:
    """Read a connection's counters; None where the kernel has none (not Linux, not TCP)."""
    data = _information(descriptor)
    if data is None:
        return None
    # Not the bytes acknowledged: the acknowledgement of the last ones may be on its way.
    again, waiting = _field("Q", data, _BYTES_SENT_AGAIN), _field("I", data, _NOT_SENT)
    sent = _field("Q", data, _BYTES_SENT) - again + waiting
    return Traffic(sent, _field("Q", data, _BYTES_RECEIVED))


def segments_sent(descriptor: int) -> int | None:
    """Return the segments with data that a connection has sent; None as in `traffic`."""
    data = _information(descriptor)
    return None if data is None else _field("I", data, _SEGMENTS_SENT)


def _information(descriptor: int) -> bytes | None:
    if sys.platform != "linux":
        return None
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    return data if len(data) >= _LENGTH else None


def _field(code: str, data: bytes, begin: int) -> int:
    value: int = struct.unpack_from(f"={code}", data, begin)[0]
    return value
