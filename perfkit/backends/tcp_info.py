"""What the kernel says of a TCP connection: bytes, exact, whatever the protocol above."""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass

# struct tcp_info of include/uapi/linux/tcp.h: 8 bytes and 24 32-bit fields, then 64-bit ones;
# the third and fourth of those are tcpi_bytes_acked and tcpi_bytes_received.
_BYTES_ACKED = 120
_LENGTH = 136


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that the other side acknowledged, and bytes received, since the connection began."""

    sent: int
    received: int


def traffic(descriptor: int) -> Traffic | None:
    """Read a connection's counters; None where the kernel has none (not Linux, not TCP)."""
    if sys.platform != "linux":
        return None
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(data) < _LENGTH:
        return None
    return Traffic(*struct.unpack_from("<QQ", data, _BYTES_ACKED))
