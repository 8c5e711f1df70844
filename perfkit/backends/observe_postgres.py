"""Watch every psycopg connection of this process: those that are open, and those that open."""

from __future__ import annotations

import gc
import re
import threading
from collections import Counter
from contextlib import ExitStack
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple
from weakref import ref

from perfkit.backends.postgres_witness import RUNS, TRACE, Message, count, messages, now, unnamed
from perfkit.backends.python import unprofiled
from perfkit.backends.statements import normalise

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn

COUNTERS = {"round_trips": "waits", "rows": "rows", "bytes_in": "in", "bytes_out": "out"}
"""The counters beside statements, and what the trace's reader calls them."""

# A statement's name and text, the number of parameters and their types.
_PARSE = re.compile(rb'\s+"([^"]*)" "(.*)" \d+(?: \d+)*\s*', re.DOTALL)
# A portal's name, and the name of the statement that it runs.
_BIND = re.compile(rb'\s+"([^"]*)" "([^"]*)" ')
_EXECUTE = re.compile(rb'\s+"([^"]*)" ')
_QUERY = re.compile(rb'\s+"(.*)"\s*', re.DOTALL)
_EARLIER = b"(a statement prepared before)"


class _Trace(NamedTuple):
    """One connection's trace; it holds payloads, so it is read once and gone with the block."""

    connection: ref[PGconn]
    """Not held: what the code drops must close as it would without us."""
    file: IO[bytes]
    begun: bytes
    prepared: dict[bytes, bytes]
    """The texts of prepared statements, by name."""


class Watch:
    """Traces the connections for the length of a block, in all threads.

    What it takes to open a connection comes before libpq can trace it, and is not counted; that
    it was opened is.
    """

    TRACE: ClassVar = TRACE
    DRIVER: ClassVar = "psycopg"

    def __init__(self) -> None:
        self.connections = self.opened = 0
        self.counted: Counter[str] = Counter()
        self.texts: dict[str, int] = {}
        self._traces: list[_Trace] = []
        self._lock = threading.Lock()
        self._stack = ExitStack()

    @property
    def statements(self) -> int:
        """How many statements were sent."""
        return self.counted["runs"]

    def __enter__(self) -> None:
        """Begin to watch, where there is psycopg and a libpq that can trace."""
        # Not only where it is imported already: the block may do that, and then connect.
        try:
            from psycopg import BaseConnection
        except ImportError:
            return
        for connection in gc.get_objects():
            # Not isinstance(): some objects claim to be of a class that they first have to load.
            if issubclass(type(connection), BaseConnection) and not connection.closed:
                self._trace(connection)
        connect = BaseConnection.__init__

        @wraps(connect)
        def told(connection: Any, *words: Any, **named: Any) -> None:
            connect(connection, *words, **named)
            unprofiled(self._opened, connection)

        # A class that others made: there is no other way to hear of new ones.
        setattr(BaseConnection, "__init__", told)  # noqa: B010 (mypy refuses the plain one)
        self._stack.callback(setattr, BaseConnection, "__init__", connect)

    def __exit__(self, *_details: object) -> None:
        """Read what was traced."""
        self._stack.close()
        for trace in self._traces:
            self._read(trace)
        self._traces.clear()

    def _opened(self, connection: psycopg.BaseConnection[Any]) -> None:
        with self._lock:
            self.opened += 1
        self._trace(connection)

    def _trace(self, connection: psycopg.BaseConnection[Any]) -> None:
        from psycopg import Error

        file = unnamed()
        try:
            connection.pgconn.trace(file.fileno())
        except Error:
            # Only Linux's libpq can.
            file.close()
            return
        texts = {name: key[0] for key, name in _prepared(connection).items()}
        with self._lock:
            self.connections += 1
            self._traces.append(_Trace(ref(connection.pgconn), file, now(), texts))

    def _read(self, trace: _Trace) -> None:
        connection = trace.connection()
        if connection is not None:
            # Until then libpq keeps to itself what came last; where it closes, it does not.
            connection.untrace()
        portals: dict[bytes, bytes] = {}
        with trace.file:
            for message in messages(trace.file, trace.begun, now()):
                count(message, self.counted)
                text = _text(message, trace.prepared, portals)
                if text is not None:
                    shape = normalise(text.decode(errors="replace"))
                    self.texts[shape] = self.texts.get(shape, 0) + 1


def _prepared(connection: Any) -> dict[tuple[bytes, object], bytes]:
    """Return the names of the statements that psycopg has prepared already, by text and types."""
    found: dict[tuple[bytes, object], bytes] = getattr(
        getattr(connection, "_prepared", None), "_names", {}
    )
    return dict(found)


def _text(
    message: Message, prepared: dict[bytes, bytes], portals: dict[bytes, bytes]
) -> bytes | None:
    """Return the text of the statement that a message runs; None for any other message."""
    if not message.sent:
        return None
    if message.name == b"Parse" and (read := _PARSE.fullmatch(message.content)):
        prepared[read[1]] = read[2]
    if message.name == b"Bind" and (read := _BIND.match(message.content)):
        portals[read[1]] = prepared.get(read[2], _EARLIER)
    if message.name not in RUNS:
        return None
    if message.name == b"Query":
        read = _QUERY.fullmatch(message.content)
        return read[1] if read else _EARLIER
    read = _EXECUTE.match(message.content)
    return portals.get(read[1], _EARLIER) if read else _EARLIER
