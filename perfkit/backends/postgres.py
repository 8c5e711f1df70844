"""PostgreSQL as a probe's functions see it: a connection that can count its work.

Bringing a server up, or reaching the user's, is `postgres_service`'s part: workers only connect,
and import no more than that needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from perfkit.errors import CannotRun

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from perfkit.backends.postgres_service import PostgresService
    from perfkit.backends.postgres_witness import Look
    from perfkit.model import Location, Tally

SECRETS = ("password", "sslpassword", "oauth_client_secret")
"""Parameters of libpq that no message may repeat."""
RESERVE = 4
"""Connections that a run holds beside those of a pool, at most."""
_ENVIRONMENT = RLock()
"""Held while libpq reads the environment, which a run in another thread may be changing."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a worker connects. The parameters hold a password, so they are never shown."""

    parameters: Mapping[str, str] = field(repr=False)
    schema: str
    owned: bool
    """Whether the server is ours alone, so that its statistics are about us."""
    title: str
    """Product, version and measured distance."""


class Postgres:
    """A connection to PostgreSQL as a probe's functions see it.

    `connection` is psycopg's own, in autocommit mode, with the schema of this run as its only
    search path. `pool()` gives a pool of further ones.
    """

    def __init__(self, address: Address, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._address = address
        self._stack = ExitStack()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._connections = [connection]

    def __str__(self) -> str:
        """Name the product, the version and the round-trip time really measured."""
        return self._address.title

    @classmethod
    def serve(cls, location: Location) -> AbstractContextManager[PostgresService]:
        """Start the embedded server, or reach the user's; then lay our schema and the distance.

        The user's server is `location.url` or the variable PERFKIT_PG_DSN. Raises UsageError
        (the URL cannot be read), CannotRun (unreachable, no permission, not allowed).
        """
        from perfkit.backends.postgres_service import serve

        return serve(location)

    @classmethod
    @contextmanager
    def connect(cls, address: Address) -> Iterator[Self]:
        """Connect a worker; its connections close with the block."""
        with closing(open_connection(address.parameters, owned=address.owned)) as connection:
            settle(connection, address.schema)
            database = cls(address, connection)
            with database._stack, database._explained():
                yield database

    def pool(self, size: int) -> ConnectionPool[psycopg.Connection[Any]]:
        """Return a pool of that many connections; opened on the first call, closed with us.

        Raises CannotRun where the server gives fewer.
        """
        if self._pool is None:
            import psycopg
            from psycopg_pool import ConnectionPool

            owned = self._address.owned
            # The pool would go on trying, and in the end say that time is up.
            tried: SimpleQueue[Exception | None] = SimpleQueue()

            class Connection(psycopg.Connection[Any]):
                @classmethod
                def connect(cls, *words: Any, **parameters: Any) -> Self:
                    try:
                        with environment(hidden=owned):
                            connection = super().connect(*words, **parameters)
                        settle(connection, self._address.schema)
                    except Exception as error:
                        tried.put(error)
                        raise
                    return connection

            def configure(connection: psycopg.Connection[Any]) -> None:
                self._connections.append(connection)
                tried.put(None)

            pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
                connection_class=Connection,
                kwargs={**self._address.parameters, "autocommit": True},
                min_size=size,
                max_size=size,
                configure=configure,
                open=False,
            )
            self._stack.enter_context(pool)
            for _ in range(size):
                error = tried.get()
                if error is not None:
                    raise self._refused(size, error) from None
            pool.wait()
            self._pool = pool
        return self._pool

    def _refused(self, size: int, error: Exception) -> CannotRun:
        role = self.connection.info.user
        return CannotRun(
            f"PostgreSQL does not give {size} connections at a time beside the first",
            why=_without_secrets(str(error), self._address.parameters),
            fix="ask for fewer, or raise the server's max_connections or the role's limit:"
            f' ALTER ROLE "{role}" CONNECTION LIMIT {size + RESERVE};',
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say it plainly when the server has closed a connection."""
        import psycopg

        try:
            yield
        except psycopg.OperationalError as error:
            if not any(connection.closed for connection in self._connections):
                raise
            raise CannotRun(
                "the server closed the connection in the middle of the work",
                why=_without_secrets(str(error), self._address.parameters),
                fix="run it again while nobody restarts the server or ends its sessions",
            ) from error

    @contextmanager
    def counting(self, look: Look | None = None) -> Iterator[dict[str, Tally]]:
        """Count round trips, statements, rows, bytes and fsyncs inside the block.

        `look` is shown every message of every connection when the block ends.
        """
        from perfkit.backends.postgres_witness import witnessed

        work: dict[str, Tally] = {}
        with ExitStack() as stack:
            side = None
            if self._address.owned:
                connection = open_connection(self._address.parameters, owned=True)
                side = stack.enter_context(closing(connection))
            with witnessed(self._connections, side, work, look):
                yield work


def open_connection(parameters: Mapping[str, str], *, owned: bool) -> psycopg.Connection[Any]:
    """Connect in autocommit mode; raises CannotRun without repeating the password."""
    import psycopg

    try:
        with environment(hidden=owned):
            return psycopg.connect(**parameters, autocommit=True)  # type: ignore[arg-type]  # typed by name, given as a mapping
    except psycopg.Error as error:
        raise CannotRun(
            "cannot connect to PostgreSQL",
            why=_without_secrets(str(error), parameters),
            fix="check the URL with: psql URL -c 'select 1'",
        ) from None


@contextmanager
def environment(*, hidden: bool, **added: str) -> Iterator[None]:
    """Let libpq see the user's PG* variables, or hide them: they speak of another server."""
    with _ENVIRONMENT:
        before = {name: os.environ[name] for name in os.environ if name.startswith("PG")}
        for name in before if hidden else ():
            del os.environ[name]
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]
            os.environ.update(before)


def settle(connection: psycopg.Connection[Any], schema: str) -> None:
    """Confine a connection to our schema."""
    from psycopg import sql

    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))


def _without_secrets(text: str, parameters: Mapping[str, str]) -> str:
    given = {parameters.get(name) for name in SECRETS} | {os.environ.get("PGPASSWORD")}
    for secret in filter(None, given):
        text = text.replace(secret, "***")
    return text.strip()
