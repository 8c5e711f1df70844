"""Watch every sqlite3 connection of this process: those that are open, and those that open."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import ClassVar

from perfkit.backends.python import unprofiled
from perfkit.backends.statements import normalise

# The audit hook's way to the watch that is at work; a hook can never be removed.
_watching: list[Watch] = []


class Watch:
    """Traces the connections for the length of a block.

    BEGIN and COMMIT count, which sqlite3 sends by itself. SQLite reports a trigger as another run
    of the statement that fires it. A connection that another thread opened before the block is
    only seen where it was opened with `check_same_thread=False`.

    `due` says, by thread, what somebody must do there before its code goes on: Python tells of a
    new connection a moment before it can be traced. What is left in it at the end was not traced.
    """

    TRACE: ClassVar = "sqlite3 trace callback"
    DRIVER: ClassVar = "sqlite3"

    def __init__(self) -> None:
        self.connections = self.opened = self.statements = 0
        self.texts: dict[str, int] = {}
        self.due: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Begin to watch."""
        _install()
        for connection in _connections():
            self._watch(connection)
            self.connections += 1
        _watching.append(self)

    def __exit__(self, *_details: object) -> None:
        """Stop; what cannot be told to, since it belongs to another thread, is not heard."""
        _watching.remove(self)
        for connection in _connections():
            with suppress(sqlite3.Error):
                connection.set_trace_callback(None)

    def opened_one(self, connection: sqlite3.Connection) -> None:
        """Watch a connection that has just been opened."""
        with self._lock:
            self.opened += 1
            self.connections += 1
        self.due[threading.get_ident()] = partial(self._watch, connection)

    def _watch(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            connection.set_trace_callback(self._ran)

    def _ran(self, text: str) -> None:
        if self not in _watching:
            return
        shape = unprofiled(normalise, text)
        with self._lock:
            self.statements += 1
            self.texts[shape] = self.texts.get(shape, 0) + 1


def _connections() -> list[sqlite3.Connection]:
    return [one for one in gc.get_objects() if issubclass(type(one), sqlite3.Connection)]


@cache
def _install() -> None:
    """Have Python tell of every connection that opens, once for the life of the process."""

    def told(event: str, details: tuple[object, ...]) -> None:
        if event == "sqlite3.connect/handle" and _watching:
            connection = details[0]
            if isinstance(connection, sqlite3.Connection):
                _watching[-1].opened_one(connection)

    sys.addaudithook(told)
