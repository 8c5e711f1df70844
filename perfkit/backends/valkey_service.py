"""Bring Valkey up: a server of our own, or keys of ours on the user's."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.presence import require_there
from perfkit.backends.relay import relay
from perfkit.backends.valkey import TCP, TLS, UNIX, Address, open_client
from perfkit.errors import CannotRun, UsageError
from perfkit.loopback import is_here
from perfkit.model import Location
from perfkit.result import Component

if TYPE_CHECKING:
    from perfkit.backends.valkey_server import Server

URL = "PERFKIT_REDIS_URL"
"""The variable that names the user's server."""
PREFIX = "perfkit:"
"""What our keys begin with, on a server that is not ours."""
RUNS = "perfkit:runs"
"""The key that lists the runs at work there, and when each began."""
A_DAY = 86_400
"""Seconds after which a run that is still listed was killed together with its guard."""
GRANT = "+@all -@admin +client|list"
"""What a user needs besides keys of ours; the list of clients has what our connections did."""
PINGS = 101
"""Round trips whose median is the distance."""
SHOWN = ("maxmemory", "maxmemory_policy", "aof_enabled")
"""Settings that belong in the report."""

_OURS = re.compile(rf"{PREFIX}[0-9a-f]{{12}}:")
_WAITING = ("socket_timeout", "socket_connect_timeout")
_COMMON = {"db", "username", "password", *_WAITING}
_UNDERSTOOD = {
    UNIX: _COMMON | {"path"},
    TCP: _COMMON | {"host", "port"},
    TLS: _COMMON
    | {"host", "port", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
    | {"ssl_cert_reqs", "ssl_check_hostname"},
}
"""What a URL may say, by the way to the server."""


@dataclass(frozen=True, slots=True)
class ValkeyService:
    """A server that is up, ours or the user's."""

    address: Address
    component: Component
    server: Server | None

    def check(self) -> None:
        """Raise ComponentLost when the server takes no more connections."""
        guarded = self.server.guarded if self.server is not None else None
        require_there(self._connect, self.component.product, guarded, "memory")

    def _connect(self) -> None:
        open_client(self.address.options).close()


@contextmanager
def serve(location: Location) -> Iterator[ValkeyService]:
    """Yield a server that is up, with a prefix for our keys, as far away as was asked for.

    Raises UsageError and CannotRun, as `Valkey.serve` says.
    """
    url = location.url or os.environ.get(URL, "")
    with ExitStack() as stack:
        prefix = f"{PREFIX}{secrets.token_hex(6)}:"
        if url in {"", "embedded", "system"}:
            from perfkit.backends import valkey_server

            server = stack.enter_context(valkey_server.start(valkey_server.find(url)))
            options, place = server.options, server.place
        else:
            server, place = None, "your server"
            options = read_url(url)
            _refuse_remote(options, allowed=location.allow_remote)
        if location.rtt and options["way"] == UNIX and not options.get("password"):
            raise UsageError(
                "there is no distance to a socket without a password",
                why="every user of this machine could come through the relay",
                fix="leave --rtt out, or give the server a password",
            )
        if location.rtt and options["way"] == TLS:
            raise UsageError(
                "there is no distance to an encrypted server",
                why="the relay has another address than the certificate",
                fix="leave --rtt out, or use a redis:// URL",
            )
        admin = stack.enter_context(closing(open_client(options)))
        if server is None:
            stack.enter_context(_removed_at_the_end(admin, options, prefix))
        near = options
        if location.rtt:
            port = stack.enter_context(relay(_target(options), location.rtt))
            near = _through(options, port)
        with closing(open_client(near)) as client:
            distance = _round_trip(client)
        component = _describe(admin, place, distance, location.rtt)
        address = Address(near, prefix, server is not None, str(component))
        yield ValkeyService(address, component, server)


def read_url(url: str) -> dict[str, Any]:
    """Read a URL into the driver's options; raises UsageError without repeating it."""
    from urllib.parse import urlsplit

    from valkey.connection import parse_url

    try:
        options: dict[str, Any] = dict(parse_url(url))
        way = options.pop("connection_class", None)
        path = urlsplit(url).path
    except ValueError:
        # Its message quotes what it stumbled over, which may be the password.
        raise _unreadable("it is no URL of a Valkey or Redis server") from None
    way = TCP if way is None else way.__name__
    if "#" in url or "@" in urlsplit(url).query:
        # What comes behind is then no part of the host.
        raise _unreadable("a # or ? in the user's name or password is written %23 or %3F")
    if not _UNDERSTOOD[way].issuperset(options):
        raise _unreadable("it has a parameter that perfkit does not know")
    if not all(0 < options.get(name, 1) < A_DAY for name in _WAITING):
        raise _unreadable("a timeout is more than 0 and less than a day, in seconds")
    if way == UNIX:
        if not options.get("path"):
            raise _unreadable("it has no path")
    elif not re.fullmatch(r"(/\d*/?)?", path):
        # The driver took the rest of the password for the number of a database.
        raise _unreadable("an @ or / in the user's name or password is written %40 or %2F")
    else:
        options = {"host": "localhost", "port": 6379} | options
    return options | {"way": way}


def _unreadable(why: str) -> UsageError:
    return UsageError(
        "the URL of the Valkey server cannot be read",
        why=why,
        fix=f"redis://user:password@localhost:6379/0, in the variable {URL}",
    )


def _refuse_remote(options: Mapping[str, Any], *, allowed: bool) -> None:
    """Raise CannotRun for a server beyond this machine, unless the user said yes."""
    if not allowed and options["way"] != UNIX and not is_here(options["host"]):
        raise CannotRun(
            f"the Valkey server at {options['host']} is not on this machine",
            why="a probe sends it thousands of commands on purpose",
            fix="use a server that may be loaded, and say so with --allow-remote",
        )


def _target(options: Mapping[str, Any]) -> tuple[str, int] | str:
    """Return where a relay must connect to reach the same server."""
    if options["way"] == UNIX:
        return str(options["path"])
    return options["host"], options["port"]


def _through(options: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return the options by way of a relay."""
    kept = {name: value for name, value in options.items() if name != "path"}
    return kept | {"way": TCP, "host": "127.0.0.1", "port": port}


@contextmanager
def _removed_at_the_end(admin: Any, options: Mapping[str, Any], prefix: str) -> Iterator[None]:
    """List the run, and have a guard remove its keys, so that they go even when we are killed."""
    from valkey.exceptions import NoPermissionError, ResponseError

    with Guarded("keys") as guarded:
        guarded.start(
            Order(finally_=(f"{__name__}:remove_keys", {"options": options, "prefix": prefix}))
        )
        try:
            _sweep(admin)
            admin.hset(RUNS, prefix, admin.time()[0])
        except NoPermissionError as error:
            raise CannotRun(
                "the user of the URL may not do what a probe does",
                why=str(error),
                fix=f"ACL SETUSER {options.get('username', 'default')} ~{PREFIX}* {GRANT}",
            ) from None
        except ResponseError as error:
            raise CannotRun(
                "cannot write to the server", why=str(error), fix="use another server"
            ) from None
        yield
    with closing(open_client(options)) as client:
        left = client.hexists(RUNS, prefix)
    if left:
        raise CannotRun(
            f"the keys {prefix}* could not be removed",
            fix=f"valkey-cli --scan --pattern '{prefix}*' | xargs valkey-cli unlink",
        )


def remove_keys(order: Mapping[str, Any]) -> None:
    """Remove the keys of a run of ours: the guard's last act."""
    with closing(open_client(order["options"])) as client:
        _remove(client, order["prefix"])


def _remove(client: Any, prefix: str) -> None:
    for key in client.scan_iter(match=f"{prefix}*", count=1000):
        client.unlink(key)
    client.hdel(RUNS, prefix)


def _sweep(admin: Any) -> None:
    """Remove the keys of runs that were killed together with their guards: no run takes a day."""
    now = admin.time()[0]
    for prefix, begun in admin.hgetall(RUNS).items():
        if _OURS.fullmatch(prefix) and now - int(begun) > A_DAY:
            _remove(admin, prefix)


def _describe(admin: Any, place: str, distance: float, asked: float) -> Component:
    from valkey.exceptions import NoPermissionError

    try:
        told = admin.info()
    except NoPermissionError:
        told = {}
    valkey = "valkey_version" in told
    return Component(
        product="Valkey" if valkey else "Redis",
        version=str(told.get("valkey_version" if valkey else "redis_version", "unknown")),
        place=place,
        rtt=distance,
        rtt_asked=asked,
        settings={name: str(told[name]) for name in SHOWN if name in told},
    )


def _round_trip(client: Any) -> float:
    """Return the median time of a PING, in seconds, over the workers' own way."""
    took = []
    for _ in range(PINGS):
        begun = time.perf_counter()
        client.ping()
        took.append(time.perf_counter() - begun)
    return median(took)
