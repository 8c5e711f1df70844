"""Count what a piece of code asks of Valkey: by observers that the code does not control.

| work        | witness                                                   | also                |
|-------------|-----------------------------------------------------------|---------------------|
| round_trips | INFO's total_reads_processed, on a server of ours          | valkey-py, TCP_INFO |
|             | valkey-py: the times it sent something and then waited     | TCP_INFO            |
| commands    | CLIENT LIST of our connections; without it INFO            | INFO                |
| bytes_in    | CLIENT LIST of our connections; without it TCP_INFO        | TCP_INFO            |
| bytes_out   | the same                                                  | the same            |

INFO is about the whole server, so it is read only where the server is ours alone. A request of
more than 6,000 bytes leaves valkey-py in pieces, and the server reads 16 KiB at a time: it may
then read more often than anybody waits.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from perfkit.backends.tcp_info import segments_sent, traffic
from perfkit.model import Tally

INFO = "INFO stats"
CLIENTS = "CLIENT LIST"
DRIVER = "valkey-py"
KERNEL = "TCP_INFO"
SERVER_FIGURES = ("total_reads_processed", "total_commands_processed")
CLIENT_FIGURES = ("tot-net-in", "tot-net-out", "tot-cmds")

Reading = Mapping[str, int]
"""Figures by their names; none where nobody can tell."""


@contextmanager
def witnessed(
    clients: Sequence[Any], side: Any, work: dict[str, Tally], *, owned: bool
) -> Iterator[None]:
    """Count the work of these clients into `work` when the block ends.

    `side` is a further client, to ask the server with; `owned` says that the server is ours alone.
    """
    connections = [_connection(client) for client in clients]
    numbers = [client.client_id() for client in clients]
    before = _of_clients(side, numbers), _of_kernel(connections)
    # What our own asking adds is found by asking for nothing.
    idle, server = (_of_server(side) if owned else {} for _ in range(2))
    with ExitStack() as stack:
        waits = [stack.enter_context(_waits(connection)) for connection in connections]
        yield
    counted = _difference(server, _of_server(side) if owned else {})
    asking = _difference(idle, server)
    of_clients = _difference(before[0], _of_clients(side, numbers))
    kernel = _difference(before[1], _of_kernel(connections))
    of_server = _difference(asking, counted)
    for name, figures in {
        "round_trips": {
            INFO: of_server.get("total_reads_processed"),
            DRIVER: sum(map(len, waits)),
            KERNEL: kernel.get("segments"),
        },
        "commands": {
            CLIENTS: of_clients.get("tot-cmds"),
            INFO: of_server.get("total_commands_processed"),
        },
        "bytes_in": {CLIENTS: of_clients.get("tot-net-out"), KERNEL: kernel.get("received")},
        "bytes_out": {CLIENTS: of_clients.get("tot-net-in"), KERNEL: kernel.get("sent")},
    }.items():
        known = {witness: figure for witness, figure in figures.items() if figure is not None}
        for witness in list(known)[:1]:
            work[name] = Tally(known.pop(witness), witness, known)


def _connection(client: Any) -> Any:
    """Return a client's only connection."""
    connection = client.connection_pool.get_connection("")
    client.connection_pool.release(connection)
    return connection


@contextmanager
def _waits(connection: Any) -> Iterator[list[None]]:
    """Note each time the driver reads after it has sent something."""
    send, read = connection.send_packed_command, connection.read_response
    noted: list[None] = []
    sent = False

    def sending(*words: Any, **options: Any) -> Any:
        nonlocal sent
        sent = True
        return send(*words, **options)

    def reading(*words: Any, **options: Any) -> Any:
        nonlocal sent
        if sent:
            noted.append(None)
        sent = False
        return read(*words, **options)

    connection.send_packed_command, connection.read_response = sending, reading
    try:
        yield noted
    finally:
        del connection.send_packed_command, connection.read_response


def _of_server(side: Any) -> Reading:
    told = side.info("stats")
    return {name: told[name] for name in SERVER_FIGURES}


def _of_clients(side: Any, numbers: Sequence[int]) -> Reading:
    """Add up what the server has of each of our connections, as Valkey can since 8.0."""
    from valkey.exceptions import ResponseError

    try:
        # `client_list()` joins several numbers to one word.
        told = side.execute_command("CLIENT LIST", "ID", *numbers)
    except ResponseError:
        # An old server, or a user who may not ask.
        return {}
    if not all(name in client for name in CLIENT_FIGURES for client in told):
        return {}
    return {name: sum(int(client[name]) for client in told) for name in CLIENT_FIGURES}


def _of_kernel(connections: Sequence[Any]) -> Reading:
    """Add up what the kernel has of our connections; encrypted, their bytes are not ours."""
    sockets = [connection._sock for connection in connections]  # noqa: SLF001 (nothing public has it)
    found = [(traffic(each.fileno()), segments_sent(each.fileno())) for each in sockets]
    if any(isinstance(each, ssl.SSLSocket) for each in sockets):
        return {}
    total = {"received": 0, "sent": 0, "segments": 0}
    for bytes_, segments in found:
        if bytes_ is None or segments is None:
            return {}
        total["received"] += bytes_.received
        total["sent"] += bytes_.sent
        total["segments"] += segments
    return total


def _difference(before: Reading, after: Reading) -> Reading:
    return {name: after[name] - before[name] for name in before if name in after}
