"""The relay that counts: it finds every request, however the bytes are cut, and survives others."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.backends import kafka_relay
from perfkit.backends.kafka_relay import KINDS, LAST_KIND, LONGEST, MALFORMED, Requests, counting
from perfkit.backends.relay import relay
from perfkit.errors import CannotRun

HERE = "127.0.0.1"
COMMIT, FETCH = 8, 1


def request(kind: int, body: bytes = b"") -> bytes:
    """Return what a client sends: length, kind, version, number, and the rest."""
    words = struct.pack(">hhi", kind, 2, 7) + body
    return struct.pack(">i", len(words)) + words


kinds = st.integers(0, LAST_KIND)
requests = st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=12)


def fed(data: bytes, cuts: list[int]) -> list[str]:
    """Feed bytes in pieces."""
    finder = Requests()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[i:j] for i, j in pairwise(places)]
    return [kind for piece in pieces for kind in finder.feed(piece)]


@given(requests, st.lists(st.integers(0, 2000), max_size=30))
def test_every_request_is_found_wherever_the_stream_is_cut(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(request(kind, body) for kind, body in sent)

    assert fed(data, cuts) == [KINDS.get(kind, str(kind)) for kind, _ in sent]


@given(requests, st.integers(1, 80))
def test_a_request_that_is_cut_short_is_not_counted_twice(
    sent: list[tuple[int, bytes]], cut: int
) -> None:
    whole = b"".join(request(kind, body) for kind, body in sent)
    data = whole + request(COMMIT, b"x" * 80)[:cut]

    expected = [KINDS.get(kind, str(kind)) for kind, _ in sent]
    begun = ["OffsetCommit"] if cut >= 6 else []
    assert fed(data, [len(whole)]) == expected + begun


@given(st.lists(st.binary(max_size=64), max_size=30))
def test_garbage_is_survived_in_bounded_memory(pieces: list[bytes]) -> None:
    finder = Requests()
    found = [kind for piece in pieces for kind in finder.feed(piece)]

    assert found.count(MALFORMED) == finder.lost
    assert MALFORMED not in found[:-1]
    assert len(finder._head) < kafka_relay.HEAD.size
    assert 0 <= finder._left <= LONGEST


@pytest.mark.parametrize(
    "head",
    [(7, COMMIT), (-1, COMMIT), (LONGEST + 1, COMMIT), (20, -1), (20, LAST_KIND + 1)],
)
def test_what_is_no_request_ends_the_search(head: tuple[int, int]) -> None:
    bad = struct.pack(">ih", *head) + b"\0" * 14

    assert fed(request(FETCH) + bad + request(COMMIT), [3, 30]) == ["Fetch", MALFORMED]


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """Send everything back, on one connection after another."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(65536):
                        connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def send(port: int, data: bytes) -> bytes:
    """Send bytes through the relay and return what comes back."""
    with socket.create_connection((HERE, port), 30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_each_count_sees_what_is_sent_while_it_lasts_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    control = str(tmp_path / "control")
    commits, fetches = request(COMMIT, b"a" * 9) * 3, request(FETCH) * 2
    with (
        echoing() as target,
        relay(target, 0.002, script=kafka_relay.__file__, control=control) as port,
    ):
        assert send(port, commits) == commits
        with counting(control) as outer:
            assert send(port, commits) == commits
            with counting(control) as longer:
                with counting(control) as inner:
                    assert send(port, fetches) == fetches
                # Both had counted the same until now.
                assert send(port, fetches) == fetches
            assert send(port, b"\xff" * 100) == b"\xff" * 100

    assert (inner, longer) == ({"Fetch": 2}, {"Fetch": 4})
    assert outer == {"OffsetCommit": 3, "Fetch": 4, MALFORMED: 1}


def test_a_relay_that_is_gone_is_named(tmp_path: Path) -> None:
    control = str(tmp_path / "control")

    with pytest.raises(CannotRun, match="the relay that counts is gone"), counting(control):
        pass


def test_an_error_of_the_work_stays_itself(tmp_path: Path) -> None:
    control = str(tmp_path / "control")
    with (
        relay((HERE, 9), 0, script=kafka_relay.__file__, control=control),
        pytest.raises(OSError, match="of the work"),
        counting(control),
    ):
        raise OSError("of the work")
