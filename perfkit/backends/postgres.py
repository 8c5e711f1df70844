"""PostgreSQL: a server of our own, or the user's, where we stay inside one schema of ours."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import zip_longest
from statistics import median
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.relay import relay
from perfkit.errors import CannotRun, ComponentLost, UsageError
from perfkit.model import Location, Tally
from perfkit.result import Component

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from perfkit.backends.postgres_server import Server

DSN = "PERFKIT_PG_DSN"
SCHEMA = "perfkit_"
"""What the names of our schemas begin with, on a server that is not ours."""
PINGS = 101
"""Round trips whose median is the distance."""
SECRETS = ("password", "sslpassword", "oauth_client_secret")
"""Parameters of libpq that no message may repeat."""
SHOWN = ("shared_buffers", "work_mem", "fsync", "synchronous_commit")
"""Settings that belong in the report."""
_ENVIRONMENT = RLock()
"""Held while libpq reads the environment, which a run in another thread may be changing."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a worker connects. The parameters hold a password, so they are never shown."""

    parameters: Mapping[str, str] = field(repr=False)
    schema: str
    owned: bool
    """Whether the server is ours alone, so that its statistics are about us."""
    component: Component


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
        return str(self._address.component)

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[PostgresService]:
        """Start the embedded server, or reach the user's; then lay our schema and the distance.

        The user's server is `location.url` or the variable PERFKIT_PG_DSN. Raises UsageError
        (the URL cannot be read), CannotRun (unreachable, no permission, not allowed).
        """
        url = location.url or os.environ.get(DSN, "")
        with ExitStack() as stack:
            schema = SCHEMA + secrets.token_hex(6)
            if url in {"", "embedded", "system"}:
                from perfkit.backends import postgres_server

                binaries = postgres_server.find(url)
                server = stack.enter_context(postgres_server.start(binaries))
                parameters, place = server.connection_parameters, server.place
            else:
                server, place = None, "your server"
                parameters = _read_url(url)
                _refuse_remote(_places(parameters), allowed=location.allow_remote)
            owned = server is not None
            admin = stack.enter_context(closing(_connect(parameters, owned=owned)))
            if not owned:
                _refuse_remote([admin.info.hostaddr], allowed=location.allow_remote)
                _keep_open(admin)
                _sweep_schemas(admin)
                # Whoever holds this lock is at work in the schema; it ends with the connection.
                admin.execute("SELECT pg_advisory_lock(hashtext(%s))", (schema,))
                stack.enter_context(_dropped_at_the_end(parameters, schema))
            _create_schema(admin, schema)
            if owned:
                with suppress_unavailable():
                    admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            # By this name the guard finds what a killed worker left at work in the server.
            near = parameters | {"application_name": schema}
            if location.rtt:
                port = stack.enter_context(relay(_target(admin), location.rtt))
                near |= _through(admin, port)
            with closing(_connect(near, owned=owned)) as connection:
                distance = _round_trip(connection)
            component = _describe(admin, place, distance, location.rtt)
            yield PostgresService(Address(near, schema, owned, component), server)

    @classmethod
    @contextmanager
    def connect(cls, address: Address) -> Iterator[Self]:
        """Connect a worker; its connections close with the block."""
        with closing(_connect(address.parameters, owned=address.owned)) as connection:
            _settle(connection, address.schema)
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
                    with _environment(hidden=owned):
                        return super().connect(*words, **parameters)

            def configure(connection: psycopg.Connection[Any]) -> None:
                _settle(connection, self._address.schema)
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
                side = stack.enter_context(closing(_connect(self._address.parameters, owned=True)))
            with witnessed(self._connections, side, work):
                yield work


@dataclass(frozen=True, slots=True)
class PostgresService:
    """A server that is up, ours or the user's."""

    address: Address
    server: Server | None

    @property
    def component(self) -> Component:
        """Product, version and measured distance."""
        return self.address.component

    def check(self) -> None:
        """Raise ComponentLost when the server takes no more connections."""
        try:
            _connect(self.address.parameters, owned=self.address.owned).close()
        except CannotRun as error:
            log = self.server.guarded.log() if self.server is not None else ""
            raise ComponentLost(
                f"{self.component.product} went away in the middle of the run",
                why="\n".join(filter(None, (error.why, log))),
                fix="run it again; if it happens again, look at the server's memory and disk",
            ) from error


def _connect(parameters: Mapping[str, str], *, owned: bool) -> psycopg.Connection[Any]:
    """Connect in autocommit mode; raises CannotRun without repeating the password."""
    import psycopg

    try:
        with _environment(hidden=owned):
            return psycopg.connect(**parameters, autocommit=True)  # type: ignore[arg-type]  # typed by name, given as a mapping
    except psycopg.Error as error:
        raise CannotRun(
            "cannot connect to PostgreSQL",
            why=_without_secrets(str(error), parameters),
            fix="check the URL with: psql URL -c 'select 1'",
        ) from None


@contextmanager
def _environment(*, hidden: bool, **added: str) -> Iterator[None]:
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


def _settle(connection: psycopg.Connection[Any], schema: str) -> None:
    """Confine a connection to our schema."""
    from psycopg import sql

    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))


def _without_secrets(text: str, parameters: Mapping[str, str]) -> str:
    given = {parameters.get(name) for name in SECRETS} | {os.environ.get("PGPASSWORD")}
    for secret in filter(None, given):
        text = text.replace(secret, "***")
    return text.strip()


def _read_url(url: str) -> dict[str, str]:
    """Read a URL or DSN into libpq's parameters; raises UsageError without repeating it."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parameters = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError):
        # libpq's message quotes the text it stumbled over, which may be the password.
        raise _unreadable(
            "it is neither a URL nor 'name=value' pairs that libpq understands"
        ) from None
    if "@" in str(parameters.get("host", ""))[1:]:
        # libpq took the rest of the password for the host.
        raise _unreadable("an @ in the user's name or password is written %40")
    return {name: str(value) for name, value in ({"connect_timeout": "10"} | parameters).items()}


def _unreadable(why: str) -> UsageError:
    return UsageError(
        "the PostgreSQL URL cannot be read",
        why=why,
        fix="postgresql://user@localhost:5432/database, with the password in ~/.pgpass",
    )


def _places(parameters: Mapping[str, str]) -> list[str]:
    """Return every address or host that libpq would try, defaults and services included."""
    from psycopg import pq

    names = {"service": "PGSERVICE", "servicefile": "PGSERVICEFILE"}
    service = {names[name]: parameters[name] for name in names if name in parameters}
    with _environment(hidden=False, **service):
        options = pq.Conninfo.get_defaults()
    defaults = {option.keyword.decode(): (option.val or b"").decode() for option in options}
    addresses, hosts = (
        (parameters.get(name) or defaults.get(name, "")).split(",") for name in ("hostaddr", "host")
    )
    return [address or host for address, host in zip_longest(addresses, hosts, fillvalue="")]


def _refuse_remote(places: Sequence[str], *, allowed: bool) -> None:
    """Raise CannotRun for a server beyond this machine, unless the user said yes."""
    far = [] if allowed else [place for place in places if not _is_here(place)]
    if far:
        raise CannotRun(
            f"the PostgreSQL server at {far[0]} is not on this machine",
            why="a probe sends thousands of statements and gigabytes on purpose",
            fix="use a server that may be loaded, and say so with --allow-remote",
        )


def _is_here(place: str) -> bool:
    if not place or _is_socket(place) or place == "localhost":
        return True
    try:
        return ip_address(place).is_loopback
    except ValueError:
        import socket

        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(place, None)
            return all(ip_address(address[4][0]).is_loopback for address in found)
        return False


def _is_socket(host: str) -> bool:
    return host.startswith(("/", "@"))


def _target(admin: psycopg.Connection[Any]) -> tuple[str, int] | str:
    """Return where a relay must connect to reach the same server."""
    info = admin.info
    if _is_socket(info.host):
        # The kernel's way to write what libpq writes with an @: a socket without a file.
        return f"{info.host}/.s.PGSQL.{info.port}".replace("@", "\0", 1)
    return info.hostaddr, info.port


def _through(admin: psycopg.Connection[Any], port: int) -> dict[str, str]:
    """Return the parameters that differ by way of a relay, whatever the user's left to libpq."""
    way = {"hostaddr": "127.0.0.1", "port": str(port)}
    if _is_socket(admin.info.host):
        way |= {"host": "127.0.0.1", "sslmode": "disable"}
    else:
        # The name stays, for the certificate.
        way["host"] = admin.info.host
    if admin.info.password:
        # ~/.pgpass has it under the server's port, not under the relay's.
        way["password"] = admin.info.password
    return way


def _create_schema(admin: psycopg.Connection[Any], schema: str) -> None:
    import psycopg
    from psycopg import sql

    try:
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    except psycopg.errors.InsufficientPrivilege:
        info = admin.info
        raise CannotRun(
            f"the user '{info.user}' may not create a schema in the database '{info.dbname}'",
            why="perfkit works only inside a schema of its own, which it drops afterwards",
            fix=f'GRANT CREATE ON DATABASE "{info.dbname}" TO "{info.user}";',
        ) from None
    except psycopg.Error as error:
        raise CannotRun(
            "cannot create a schema for this run", why=str(error).strip(), fix="use another server"
        ) from error


@contextmanager
def _dropped_at_the_end(parameters: Mapping[str, str], schema: str) -> Iterator[None]:
    """Have a guard drop the schema, so that it is gone even when we are killed."""
    with Guarded("schema") as guarded:
        order = Order(
            finally_=(f"{__name__}:drop_schema", {"parameters": parameters, "schema": schema})
        )
        guarded.start(order)
        yield
    with closing(_connect(parameters, owned=False)) as admin:
        found = admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if found is not None:
        raise CannotRun(
            f"the schema {schema} could not be dropped", fix=f"DROP SCHEMA {schema} CASCADE;"
        )


def drop_schema(order: Mapping[str, Any]) -> None:
    """Drop a schema of ours and end what still works in it: the guard's last act."""
    with closing(_connect(order["parameters"], owned=False)) as admin:
        _drop(admin, order["schema"])


def _drop(admin: psycopg.Connection[Any], schema: str) -> None:
    from psycopg import sql

    # A worker that was killed in mid-statement leaves its server process at work.
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = %s AND usename = current_user AND pid <> pg_backend_pid()",
        (schema,),
    )
    admin.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _keep_open(admin: psycopg.Connection[Any]) -> None:
    """Have the server leave this connection alone while it waits: our lock hangs on it."""
    admin.execute(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
    )


def _sweep_schemas(admin: psycopg.Connection[Any]) -> None:
    """Drop schemas of runs that were killed together with their guards: nobody locks them."""
    import psycopg

    left = admin.execute(
        "SELECT nspname FROM pg_namespace JOIN pg_roles ON nspowner = pg_roles.oid"
        " WHERE rolname = current_user AND nspname ~ %s",
        (f"^{SCHEMA}[0-9a-f]{{12}}$",),
    ).fetchall()
    for (schema,) in left:
        row = admin.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (schema,)).fetchone()
        if row is None or not row[0]:
            continue
        # What somebody reads just now, or another run is dropping too, is for the next sweep.
        with suppress(psycopg.Error), admin.transaction():
            admin.execute("SET LOCAL lock_timeout = '2s'")
            _drop(admin, schema)
        admin.execute("SELECT pg_advisory_unlock(hashtext(%s))", (schema,))


@contextmanager
def suppress_unavailable() -> Iterator[None]:
    """Go on where an installation lacks an extension; its witness is then missing."""
    import psycopg

    with suppress(psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
        yield


def _describe(
    admin: psycopg.Connection[Any], place: str, distance: float, asked: float
) -> Component:
    version = admin.info.server_version
    settings = {}
    for name in SHOWN:
        row = admin.execute("SELECT current_setting(%s)", (name,)).fetchone()
        settings[name] = str(row[0]) if row else ""
    return Component(
        product="PostgreSQL",
        version=f"{version // 10_000}.{version % 10_000}",
        place=place,
        rtt=distance,
        rtt_asked=asked,
        settings=settings,
    )


def _round_trip(connection: psycopg.Connection[Any]) -> float:
    """Return the median time of an empty query, in seconds, over the workers' own way."""
    took = []
    for _ in range(PINGS):
        begun = time.perf_counter()
        connection.pgconn.exec_(b"")
        took.append(time.perf_counter() - begun)
    return median(took)
