"""Bring PostgreSQL up: a server of our own, or a schema of ours on the user's."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median
from typing import TYPE_CHECKING, Any

from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.postgres import Address, environment, open_connection
from perfkit.backends.presence import require_there
from perfkit.backends.relay import relay
from perfkit.errors import CannotRun, UsageError
from perfkit.loopback import is_here
from perfkit.model import Location
from perfkit.result import Component

if TYPE_CHECKING:
    import psycopg

    from perfkit.backends.postgres_server import Server

DSN = "PERFKIT_PG_DSN"
SCHEMA = "perfkit_"
"""What the names of our schemas begin with, on a server that is not ours."""
PINGS = 101
"""Round trips whose median is the distance."""
RESTART, RESTARTING = 5.0, "the database system is"
"""Seconds that a server gets to come back after a crash, so that our schema can be dropped; and
how what it says meanwhile begins."""
SHOWN = ("shared_buffers", "work_mem", "fsync", "synchronous_commit")
"""Settings that belong in the report."""


@dataclass(frozen=True, slots=True)
class PostgresService:
    """A server that is up, ours or the user's."""

    address: Address
    component: Component
    server: Server | None

    def check(self) -> None:
        """Raise ComponentLost when the server takes no more connections."""
        guarded = self.server.guarded if self.server is not None else None
        require_there(self._connect, self.component.product, guarded, "memory and disk")

    def _connect(self) -> None:
        open_connection(self.address.parameters, owned=self.address.owned).close()


@contextmanager
def serve(location: Location) -> Iterator[PostgresService]:
    """Yield a server that is up, with a schema of ours, as far away as was asked for.

    Raises UsageError and CannotRun, as `Postgres.serve` says.
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
        admin = stack.enter_context(closing(open_connection(parameters, owned=owned)))
        if not owned:
            _refuse_remote([admin.info.hostaddr], allowed=location.allow_remote)
            _keep_open(admin)
            _sweep_schemas(admin)
            # Whoever holds this lock is at work in the schema; it ends with the connection.
            admin.execute("SELECT pg_advisory_lock(hashtext(%s))", (schema,))
            stack.enter_context(_dropped_at_the_end(parameters, schema))
        _create_schema(admin, schema)
        if owned:
            with _suppress_unavailable():
                admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        # By this name the guard finds what a killed worker left at work in the server.
        near = parameters | {"application_name": schema}
        if location.rtt:
            port = stack.enter_context(relay(_target(admin), location.rtt))
            near |= _through(admin, port)
        with closing(open_connection(near, owned=owned)) as connection:
            distance = _round_trip(connection)
        component = _describe(admin, place, distance, location.rtt)
        yield PostgresService(Address(near, schema, owned, str(component)), component, server)


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
    host, port = (str(parameters.get(name, "")) for name in ("host", "port"))
    if "@" in host[1:] or port.strip(",0123456789"):
        # libpq took the rest of the password for the host.
        raise _unreadable("an @ or / in the user's name or password is written %40 or %2F")
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
    with environment(hidden=False, **service):
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
    return not place or _is_socket(place) or is_here(place)


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
    with closing(open_connection(parameters, owned=False)) as admin:
        found = admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if found is not None:
        raise CannotRun(
            f"the schema {schema} could not be dropped", fix=f"DROP SCHEMA {schema} CASCADE;"
        )


def drop_schema(order: Mapping[str, Any]) -> None:
    """Drop a schema of ours and end what still works in it: the guard's last act."""
    deadline = time.monotonic() + RESTART
    while True:
        try:
            with closing(open_connection(order["parameters"], owned=False)) as admin:
                _drop(admin, order["schema"])
        except CannotRun as refused:
            if RESTARTING not in refused.why or time.monotonic() > deadline:
                raise
            # A server that starts again tells nobody when it has.
            time.sleep(0.05)
        else:
            return


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
def _suppress_unavailable() -> Iterator[None]:
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
