"""PostgreSQL as a probe's functions see it: a connection that can count its work.

Bringing a server up, or reaching the user's, is `postgres_service`'s part: workers only connect,
and import no more than that needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from perfkit.errors import CannotRun

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from perfkit.backends.postgres_service import PostgresService
    from perfkit.model import Location, Tally

SECRETS = ("password", "sslpassword", "oauth_client_secret")
"""Parameters of libpq that no message may repeat."""
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
            with database._stack:
                yield database

    def pool(self, size: int) -> ConnectionPool[psycopg.Connection[Any]]:
        """Return a pool of that many connections; opened on the first call, closed with us."""
        if self._pool is None:
            import psycopg
            from psycopg_pool import ConnectionPool

            owned = self._address.owned

            class Connection(psycopg.Connection[Any]):
                @classmethod
                def connect(cls, *words: Any, **parameters: Any) -> Self:
                    with environment(hidden=owned):
                        return super().connect(*words, **parameters)

            def configure(connection: psycopg.Connection[Any]) -> None:
                settle(connection, self._address.schema)
                self._connections.append(connection)

            pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
                connection_class=Connection,
                kwargs={**self._address.parameters, "autocommit": True},
                min_size=size,
                max_size=size,
                configure=configure,
                open=False,
            )
            self._stack.enter_context(pool)
            pool.wait()
            self._pool = pool
        return self._pool

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count round trips, statements, rows, bytes and fsyncs inside the block."""
        from perfkit.backends.postgres_witness import witnessed

        work: dict[str, Tally] = {}
        with ExitStack() as stack:
            side = None
            if self._address.owned:
                connection = open_connection(self._address.parameters, owned=True)
                side = stack.enter_context(closing(connection))
            with witnessed(self._connections, side, work):
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
