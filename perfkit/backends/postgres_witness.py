"""Count what a piece of code asks of PostgreSQL: by observers that the code does not control.

| work         | witness                                         | also                     |
|--------------|-------------------------------------------------|--------------------------|
| round_trips  | libpq's trace: messages that end a wait          |                          |
| statements   | pg_stat_statements (a server of ours), else trace | libpq's trace           |
| rows         | libpq's trace: DataRow messages                  | pg_stat_statements       |
| rows_written | libpq's trace: what the server says it stored    | pg_stat_statements       |
| bytes_in     | libpq's trace: lengths of received messages      | the kernel's TCP_INFO    |
| bytes_out    | libpq's trace: lengths of sent messages          | the kernel's TCP_INFO    |
| fsyncs       | pg_stat_io of the connections (a server of ours), before 18 pg_stat_wal |   |
| wal_bytes    | pg_stat_wal of the connections (a server of ours), before 18 in total |     |
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

from perfkit.backends.tcp_info import Traffic, traffic
from perfkit.model import Tally

if TYPE_CHECKING:
    import psycopg

TRACE = "libpq trace"
STATEMENTS = "pg_stat_statements"
KERNEL = "TCP_INFO"
IO_VIEW = "pg_stat_io"
WAL_VIEW = "pg_stat_wal"
BY_CONNECTION = 180_000
"""The server version that counts a connection's fsyncs and bytes of WAL."""

# One message a line: time, direction (F: sent, B: received), length without the type byte, name.
# SQL texts may hold line breaks, and lines that look like these. The time tells them apart: no
# text knows when it will be sent.
_MESSAGE = re.compile(
    rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})\t([FB])\t(\d+)\t(\w+)", re.MULTILINE
)
# Each of these ends one wait of the client for the server.
_ENDS_A_WAIT = (b"ReadyForQuery", b"CopyInResponse")
# The simple and the extended protocol's way to run a statement.
RUNS = (b"Query", b"Execute")
# What the server says when a statement has stored, changed or removed rows.
_DONE = b"CommandComplete"
_WRITTEN = re.compile(rb'\t "(?:INSERT \d+|UPDATE|DELETE|MERGE|(COPY)) (\d+)"')
_COPIES = {b"CopyInResponse": 1, b"CopyOutResponse": 0}
"""Whether the rows that a COPY will report are written."""


@contextmanager
def witnessed(
    connections: Sequence[psycopg.Connection[Any]],
    side: psycopg.Connection[Any] | None,
    work: dict[str, Tally],
    look: Look | None = None,
) -> Iterator[None]:
    """Count the work of these connections into `work` when the block ends.

    `side` is a connection to a server that is ours alone, to read and reset its statistics with;
    None on a user's server, whose statistics hold other people's work too. `look` is shown every
    message then.
    """
    statements = side is not None and _has_statements(side)
    # What we ask ourselves comes before and after what is traced, never inside.
    logged = _logged(side, connections)
    if side is not None and statements:
        side.execute("SELECT public.pg_stat_statements_reset()")
    with ExitStack() as stack:
        traces = [stack.enter_context(_traced(connection)) for connection in connections]
        before = [traffic(connection.fileno()) for connection in connections]
        begun = now()
        yield
        ended = now()
        server = _statements(side) if side is not None and statements else None
        after = [traffic(connection.fileno()) for connection in connections]
        counted = _read(traces, connections, begun, ended, look)
    kernel = _difference(before, after)
    work["round_trips"] = Tally(counted["waits"], TRACE)
    # It knows only statements that ended: of a cancelled one it has no rows to confirm.
    saw_all = server is not None and server["calls"] == counted["runs"]
    # It has one figure for what was read and what was written.
    work["rows"] = Tally(
        counted["rows"],
        TRACE,
        {STATEMENTS: server["rows"]} if server and saw_all and not counted["written"] else {},
    )
    work["rows_written"] = Tally(
        counted["written"],
        TRACE,
        {STATEMENTS: server["rows"]} if server and saw_all and not counted["rows"] else {},
    )
    work["statements"] = (
        Tally(counted["runs"], TRACE)
        if server is None
        else Tally(server["calls"], STATEMENTS, {TRACE: counted["runs"]})
    )
    encrypted = any(connection.pgconn.ssl_in_use for connection in connections)
    seen = kernel if kernel is not None and not encrypted else None
    work["bytes_in"] = Tally(counted["in"], TRACE, {} if seen is None else {KERNEL: seen.received})
    work["bytes_out"] = Tally(counted["out"], TRACE, {} if seen is None else {KERNEL: seen.sent})
    current = _logged(side, connections)
    if side is not None and logged is not None and current is not None:
        view = IO_VIEW if side.info.server_version >= BY_CONNECTION else WAL_VIEW
        work["fsyncs"] = Tally(current.fsyncs - logged.fsyncs, view)
        work["wal_bytes"] = Tally(current.bytes - logged.bytes, WAL_VIEW)


@contextmanager
def _traced(connection: psycopg.Connection[Any]) -> Iterator[IO[bytes]]:
    """Have libpq write what it sends and receives into an unnamed file, kept in memory on Linux.

    The trace holds payloads: it is only ever counted, and gone with the block.
    """
    with unnamed() as file:
        connection.pgconn.trace(file.fileno())
        try:
            yield file
        finally:
            if not connection.closed:
                connection.pgconn.untrace()


def unnamed() -> IO[bytes]:
    """Open a file without a name, kept in memory on Linux."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("perfkit-trace"), "w+b")
    return tempfile.TemporaryFile()


def now() -> bytes:
    """Return the time as libpq writes it into a trace."""
    return datetime.now().isoformat(" ", "microseconds").encode()  # noqa: DTZ005 (local, like libpq)


def _read(
    traces: Sequence[IO[bytes]],
    connections: Sequence[psycopg.Connection[Any]],
    begun: bytes,
    ended: bytes,
    look: Look | None,
) -> Counter[str]:
    counted: Counter[str] = Counter()
    for file, connection in zip(traces, connections, strict=True):
        # Only this makes libpq flush what it wrote.
        connection.pgconn.untrace()
        for message in messages(file, begun, ended):
            count(message, counted)
            if look is not None:
                look(connection, message)
    return counted


class Message(NamedTuple):
    """One message of the protocol, as libpq's trace has it."""

    sent: bool
    size: int
    """Bytes, with the one that names its type."""
    name: bytes
    content: bytes
    time: bytes
    """As `now` writes it."""

    @property
    def ends_a_wait(self) -> bool:
        """Whether the client had to wait for the server until it came."""
        return not self.sent and self.name in _ENDS_A_WAIT


Look: TypeAlias = "Callable[[psycopg.Connection[Any], Message], object]"
"""What is shown each message of a connection, in order."""


def messages(trace: IO[bytes], begun: bytes, ended: bytes) -> Iterator[Message]:
    """Read a trace that is over, without what is not from that time."""
    trace.seek(0)
    text = trace.read()
    found = [match for match in _MESSAGE.finditer(text) if begun <= match[1] <= ended]
    ends = [*(match.start() for match in found[1:]), len(text)][: len(found)]
    for match, end in zip(found, ends, strict=True):
        sent = match[2] == b"F"
        # What else the server sent is only counted, and may be long.
        content = text[match.end() : end] if sent or match[4] == _DONE else b""
        yield Message(sent, int(match[3]) + 1, match[4], content, match[1])


def count(message: Message, counted: Counter[str]) -> None:
    """Add what a message means."""
    counted["out" if message.sent else "in"] += message.size
    counted["waits"] += message.ends_a_wait
    counted["rows"] += not message.sent and message.name == b"DataRow"
    counted["runs"] += message.sent and message.name in RUNS
    if not message.sent and message.name in _COPIES:
        counted["copies in"] = _COPIES[message.name]
    written = _WRITTEN.match(message.content) if message.name == _DONE else None
    if written is not None and (written[1] is None or counted["copies in"]):
        counted["written"] += int(written[2])


def _difference(
    before: Sequence[Traffic | None], after: Sequence[Traffic | None]
) -> Traffic | None:
    sent = received = 0
    for then, now in zip(before, after, strict=True):
        if then is None or now is None:
            return None
        sent, received = sent + now.sent - then.sent, received + now.received - then.received
    return Traffic(sent, received)


def _has_statements(side: psycopg.Connection[Any]) -> bool:
    row = side.execute("SELECT to_regclass('public.pg_stat_statements') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def _statements(side: psycopg.Connection[Any]) -> dict[str, int]:
    row = side.execute(
        "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(rows), 0)::bigint"
        " FROM public.pg_stat_statements"
        " WHERE query !~ 'pg_stat_' AND dbid ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    calls, rows = row if row is not None else (0, 0)
    return {"calls": int(calls), "rows": int(rows)}


class Logged(NamedTuple):
    """What was done to the server's write-ahead log so far."""

    fsyncs: int
    bytes: int


def _logged(
    side: psycopg.Connection[Any] | None, connections: Sequence[psycopg.Connection[Any]]
) -> Logged | None:
    """Return what the connections did to the write-ahead log; None where nobody counts it.

    PostgreSQL 18 has it by connection; 14 to 17 only in total.
    """
    if side is None:
        return None
    for connection in connections:
        if side.info.server_version >= 150_000:  # noqa: PLR2004
            # A backend reports its counters once a second, unless it is told to.
            connection.execute("SELECT pg_stat_force_next_flush()")
    version = side.info.server_version
    if version >= BY_CONNECTION:
        # Not the views' totals: what other backends did earlier may be added to them meanwhile.
        query = (
            "WITH process AS (SELECT unnest(%s::integer[]) AS id)"
            " SELECT (SELECT coalesce(sum(fsyncs), 0)::bigint"
            " FROM process, pg_stat_get_backend_io(id) WHERE object = 'wal'),"
            " (SELECT coalesce(sum(wal_bytes), 0)::bigint"
            " FROM process, pg_stat_get_backend_wal(id))"
        )
        processes = [connection.info.backend_pid for connection in connections]
        row = side.execute(query, (processes,)).fetchone()
    elif version >= 140_000:  # noqa: PLR2004
        row = side.execute("SELECT wal_sync, wal_bytes::bigint FROM pg_stat_wal").fetchone()
    else:
        return None
    return Logged(*row) if row is not None else None
