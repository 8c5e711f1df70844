"""Distance: a process between client and server that holds every byte back for a while.

Run as a script it is the relay; `relay()` starts it. It knows nothing of what it carries, so
any TCP protocol will do. It ends when its stdin closes, which the kernel does when we die.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from perfkit.errors import CannotRun

HIGH_WATER = 4 * 2**20
"""Bytes on the way after which the sender is held back."""


@contextmanager
def relay(
    target: tuple[str, int] | str, rtt: float, *, script: str = __file__, **words: str
) -> Iterator[int]:
    """Relay connections to a (host, port) or a Unix socket's path; yield the loopback port.

    `rtt` is the round-trip time to add, in seconds, half of it each way. Another `script` may do
    it, and is told further words.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A connection that breaks is the client's to report.
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    try:
        with suppress(BrokenPipeError):
            wish = {"target": target, "delay": rtt / 2, **words}
            process.stdin.write(json.dumps(wish) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise CannotRun("cannot start the relay", why=f"it ended with {process.wait()}")
        yield int(line)
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class End(asyncio.Protocol):
    """One end of a relayed connection: what it reads leaves by the other end, after the delay.

    An empty piece stands for the end of the stream, None for the end of the connection.
    """

    other: End

    def __init__(self, delay: float, loop: asyncio.AbstractEventLoop) -> None:
        self._delay = delay
        self._loop = loop
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.full = False
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Deliver what came before we were there."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self.transport = transport
        self.other.schedule()

    def data_received(self, data: bytes) -> None:
        """Send what came on its way."""
        self._carry(data)

    def eof_received(self) -> bool:
        """Pass the end of the stream on, and stay open for what comes back."""
        self.ended = True
        self._carry(b"")
        return True

    def connection_lost(self, *_error: object) -> None:
        """Close the other end after the same delay."""
        self.transport = None
        self._carry(None)

    def pause_writing(self) -> None:
        """Hold the other end back: this one does not take more."""
        self.full = True
        self.other.pace()

    def resume_writing(self) -> None:
        """Let the other end go on."""
        self.full = False
        self.other.pace()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def _carry(self, data: bytes | None) -> None:
        self._waiting.append((self._loop.time() + self._delay, data))
        self._held += len(data or b"")
        self.pace()
        self.schedule()

    def pace(self) -> None:
        """Read only while the other end takes it and not too much is on its way."""
        if self.transport is None or self.ended:
            return
        if self._held > HIGH_WATER or self.other.full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def schedule(self) -> None:
        """Wake up when the first piece is due, if there is an end to deliver it to."""
        if self._waiting and self._timer is None and self.other.transport is not None:
            self._timer = self._loop.call_at(self._waiting[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        way_out = self.other.transport
        if way_out is None:
            return
        while self._waiting and self._waiting[0][0] <= self._loop.time():
            _, data = self._waiting.popleft()
            self._held -= len(data or b"")
            if data:
                way_out.write(data)
            elif data is None or self.other.ended:
                way_out.close()
            else:
                with suppress(OSError):
                    way_out.write_eof()
        self.pace()
        self.schedule()


async def serve(target: list[str | int] | str, delay: float, near_end: type[End] = End) -> None:
    """Print the port we listen on, and relay until cancelled; clients get a `near_end` each."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[object]] = set()

    async def dial(near: End, far: End) -> None:
        try:
            if isinstance(target, str):
                await loop.create_unix_connection(lambda: far, target)
            else:
                await loop.create_connection(lambda: far, str(target[0]), int(target[1]))
        except OSError:
            near.abort()

    def accept() -> End:
        near, far = near_end(delay, loop), End(delay, loop)
        near.other, far.other = far, near
        task: asyncio.Task[object] = loop.create_task(dial(near, far))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def open_loop() -> asyncio.SelectorEventLoop:
    """Return a loop that keeps microseconds, and ends the process when stdin closes."""
    # select() keeps microseconds; epoll, the default, rounds every delay up to milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    # Nothing more is ever sent to us, so a readable stdin is a closed one.
    loop.add_reader(0, os._exit, 0)
    return loop


def main() -> None:
    """Relay until stdin closes."""
    wish = json.loads(sys.stdin.readline())
    open_loop().run_until_complete(serve(wish["target"], wish["delay"]))


if __name__ == "__main__":
    main()
