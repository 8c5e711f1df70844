"""A UDP socket on the running loop, without a task or a transport that outlives it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeAlias

Peer: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
LONGEST = 65_535


class Datagrams:
    """Send datagrams, and hand on what comes in; with a `peer`, only to it and from it.

    `trouble` is what the operating system last said about the way there, such as "Connection
    refused"; it is no end: a device that starts again refuses for a moment.
    """

    def __init__(
        self, family: int, receive: Callable[[bytes, Peer], None], peer: Peer | None = None
    ) -> None:
        self.trouble = ""
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003
        self._unconnected = peer
        self._loop.add_reader(self._socket, self._read)

    def send(self, datagram: bytes, peer: Peer | None = None) -> None:
        """Send; what cannot be sent now is lost, as it may be on the way."""
        try:
            if peer is not None:
                self._socket.sendto(datagram, peer)
                return
            if self._unconnected is not None:
                # Here, because without a route now there may be one at the next attempt.
                self._socket.connect(self._unconnected)
                self._unconnected = None
            self._socket.send(datagram)
        except OSError as error:
            self.trouble = error.strerror or ""

    def close(self) -> None:
        """Close the socket."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        try:
            datagram, peer = self._socket.recvfrom(LONGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self.trouble = error.strerror or ""
            return
        self._receive(datagram, peer)
