from __future__ import annotations

import json
import random
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leftovers import alive, until

from perfkit.backends.relay import HIGH_WATER, relay
from perfkit.errors import CannotRun

HERE = "127.0.0.1"
DEADLINE = 30.0

HOLD = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
import psutil
from perfkit.backends.relay import relay
with relay(("127.0.0.1", int(sys.argv[2])), 0.002) as port:
    (child,) = psutil.Process().children()
    print(json.dumps([port, child.pid]), flush=True)
    sys.stdin.read()
"""

Conversation = Callable[[socket.socket], None]


@contextmanager
def listening(conversation: Conversation, at: str | None = None) -> Iterator[socket.socket]:
    """Accept connections, and have each conversation in a thread of its own."""
    family = socket.AF_INET if at is None else socket.AF_UNIX
    server = socket.socket(family)
    server.bind((HERE, 0) if at is None else at)
    server.listen(32)
    threads = []

    def talk(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(DEADLINE)
            conversation(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threads.append(threading.Thread(target=talk, args=(connection,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield server
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()
        for thread in threads:
            thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection((HERE, port), timeout=DEADLINE)


def everything(connection: socket.socket) -> bytes:
    """Read until the other side ends its stream."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def echo(connection: socket.socket) -> None:
    while piece := connection.recv(65536):
        connection.sendall(piece)


def reply_at_the_end(connection: socket.socket) -> None:
    """Answer only once the client has ended its stream: its bytes reversed."""
    connection.sendall(everything(connection)[::-1])


@pytest.fixture(scope="module")
def echoing() -> Iterator[int]:
    """Offer the port of a relay to an echo."""
    with listening(echo) as server, relay(server.getsockname(), 0.001) as port:
        assert port != server.getsockname()[1]
        yield port


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(st.binary(min_size=1, max_size=70_000), max_size=8))
def test_bytes_arrive_unchanged_and_in_order(echoing: int, pieces: list[bytes]) -> None:
    with connected(echoing) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"".join(pieces)


def test_megabytes_arrive_both_ways_at_once(echoing: int) -> None:
    data = random.Random(1).randbytes(12 * HIGH_WATER // 4)

    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    with connected(echoing) as client:
        sending = threading.Thread(target=send)
        sending.start()
        assert everything(client) == data
        sending.join()


def test_connections_do_not_mix(echoing: int) -> None:
    draw = random.Random(2)
    sent = [draw.randbytes(300_000) for _ in range(8)]
    received: dict[int, bytes] = {}

    def talk(number: int) -> None:
        with connected(echoing) as client:
            client.sendall(sent[number])
            client.shutdown(socket.SHUT_WR)
            received[number] = everything(client)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert received == dict(enumerate(sent))


def test_an_answer_after_the_clients_end_of_stream_still_arrives() -> None:
    data = random.Random(3).randbytes(500_000)
    with (
        listening(reply_at_the_end) as server,
        relay(server.getsockname(), 0.002) as port,
        connected(port) as client,
    ):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == data[::-1]


def test_a_request_after_the_servers_end_of_stream_still_arrives() -> None:
    heard = []

    def end_first(connection: socket.socket) -> None:
        connection.sendall(b"greeting")
        connection.shutdown(socket.SHUT_WR)
        heard.append(everything(connection))

    with listening(end_first) as server, relay(server.getsockname(), 0.002) as port:
        with connected(port) as client:
            assert everything(client) == b"greeting"
            client.sendall(b"request")
        until(lambda: heard, "the server hears the request")
    assert heard == [b"request"]


def test_a_client_that_goes_is_seen_by_the_server() -> None:
    ended = threading.Event()

    def notice(connection: socket.socket) -> None:
        with suppress(OSError):
            everything(connection)
        ended.set()

    with listening(notice) as server, relay(server.getsockname(), 0.002) as port:
        client = connected(port)
        client.sendall(b"hello")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert ended.wait(DEADLINE)


def test_a_server_that_goes_is_seen_by_the_client() -> None:
    def slam(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with (
        listening(slam) as server,
        relay(server.getsockname(), 0.002) as port,
        connected(port) as client,
    ):
        client.sendall(b"hello")
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_target_that_refuses_closes_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind((HERE, 0))
        with relay(unused.getsockname(), 0.002) as port, connected(port) as client:
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
            # The relay itself goes on.
            connected(port).close()


def test_a_sender_is_held_back_when_nobody_reads() -> None:
    may_read = threading.Event()
    heard = []

    def wait_and_read(connection: socket.socket) -> None:
        may_read.wait(DEADLINE)
        heard.append(len(everything(connection)))

    limit = 20 * HIGH_WATER
    sent = 0
    with listening(wait_and_read) as server, relay(server.getsockname(), 0.002) as port:
        with connected(port) as client:
            client.settimeout(0)
            writable = select.poll()
            writable.register(client, select.POLLOUT)
            # Should the wait be too short for a busy machine, this only proves less.
            while sent < limit and writable.poll(500):
                sent += client.send(bytes(65536))
            may_read.set()
        until(lambda: heard, "the server has read everything")
    assert heard == [sent]
    assert sent < limit


def test_a_unix_socket_can_be_the_target(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with listening(echo, path), relay(path, 0.0) as port, connected(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"hello"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has sockets without a file")
def test_a_socket_without_a_file_can_be_the_target(tmp_path: Path) -> None:
    name = f"\0{tmp_path}"
    with listening(echo, name), relay(name, 0.0) as port, connected(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"hello"


def test_only_this_machine_can_reach_it(echoing: int) -> None:
    (process,) = [
        child
        for child in psutil.Process().children()
        if any(place.laddr.port == echoing for place in child.net_connections("inet"))
    ]
    listens = {place.laddr.ip for place in process.net_connections("inet")}
    assert listens == {HERE}


def test_it_ends_with_the_block() -> None:
    with socket.socket() as unused:
        unused.bind((HERE, 0))
        before = set(psutil.Process().children())
        with relay(unused.getsockname(), 0.002) as port:
            (process,) = set(psutil.Process().children()) - before
        assert not process.is_running()
        with pytest.raises(ConnectionRefusedError):
            connected(port)


def test_it_ends_when_its_parent_is_killed() -> None:
    with (
        listening(echo) as server,
        subprocess.Popen(
            [
                *(sys.executable, "-c", HOLD, json.dumps(sys.path)),
                str(server.getsockname()[1]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder,
    ):
        assert holder.stdout is not None
        port, process = json.loads(holder.stdout.readline())
        with connected(port) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            holder.kill()
            until(lambda: not alive(process), "the relay ends")


def test_a_relay_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CannotRun, match="cannot start the relay"), relay((HERE, 1), 0.002):
        pass
