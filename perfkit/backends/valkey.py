"""Valkey, or Redis, as a probe's functions see it: clients that can count their work.

Bringing a server up, or reaching the user's, is `valkey_service`'s part: workers only connect,
and import no more than that needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from perfkit.errors import CannotRun

if TYPE_CHECKING:
    from perfkit.backends.valkey_service import ValkeyService
    from perfkit.model import Location, Tally

TCP, TLS, UNIX = "Connection", "SSLConnection", "UnixDomainSocketConnection"
"""The driver's names for the ways to a server."""
PATIENCE = {"socket_connect_timeout": 30.0, "socket_timeout": 30.0}
"""Seconds to wait for an answer, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a worker connects. The options hold a password, so they are never shown."""

    options: Mapping[str, Any] = field(repr=False)
    """`way` is TCP, TLS or UNIX; the rest is the driver's."""
    prefix: str
    """What all keys of this run begin with."""
    owned: bool
    """Whether the server is ours alone, so that its statistics are about us."""
    title: str
    """Product, version and measured distance."""


class Valkey:
    """A Valkey or Redis server as a probe's functions see it.

    `client` is valkey-py's own, with one connection, and answers in texts; `clients()` gives
    further ones, one for each thread. Names of keys come from `key()`: on a server of the user's
    nothing else is ours to write.
    """

    def __init__(self, address: Address, stack: ExitStack) -> None:
        self._address = address
        self._stack = stack
        self._clients: list[Any] = []
        # Its own type says of every answer that it might have to be awaited.
        self.client: Any = self._open()

    def __str__(self) -> str:
        """Name the product, the version and the round-trip time really measured."""
        return self._address.title

    @classmethod
    def serve(cls, location: Location) -> AbstractContextManager[ValkeyService]:
        """Start the embedded server, or reach the user's; then lay the distance.

        The user's server is `location.url` or the variable PERFKIT_REDIS_URL. Raises UsageError
        (the URL cannot be read), CannotRun (unreachable, no permission, not allowed).
        """
        from perfkit.backends.valkey_service import serve

        return serve(location)

    @classmethod
    @contextmanager
    def connect(cls, address: Address) -> Iterator[Self]:
        """Connect a worker; its connections close with the block.

        Raises CannotRun where the server has no memory left for what is written.
        """
        from valkey.exceptions import OutOfMemoryError

        with ExitStack() as stack:
            try:
                yield cls(address, stack)
            except OutOfMemoryError:
                # The driver's message repeats the command, with all that was to be written.
                raise CannotRun(
                    "the queue is full",
                    why="the server uses all the memory it may (maxmemory), and drops nothing",
                    fix="send fewer messages, or give the server more:"
                    " valkey-cli config set maxmemory 1gb",
                ) from None

    def key(self, name: str) -> str:
        """Return the name under which this run keeps something."""
        return self._address.prefix + name

    def clients(self, number: int) -> Sequence[Any]:
        """Return that many further clients with a connection each, opened on the first call."""
        while len(self._clients) < number:
            self._clients.append(self._open())
        return self._clients[:number]

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count round trips, commands and bytes of all our clients inside the block."""
        from perfkit.backends.valkey_witness import witnessed

        work: dict[str, Tally] = {}
        with (
            closing(open_client(self._address.options)) as side,
            witnessed([self.client, *self._clients], side, work, owned=self._address.owned),
        ):
            yield work

    def _open(self) -> Any:
        return self._stack.enter_context(closing(open_client(self._address.options)))


def open_client(options: Mapping[str, Any]) -> Any:
    """Connect a client that has one connection; raises CannotRun without repeating the password."""
    import valkey
    import valkey.connection

    given = PATIENCE | dict(options)
    if given["way"] == TLS and given.get("ssl_cert_reqs") != "none":
        # The driver would take any certificate that is signed, whoever's it is.
        given.setdefault("ssl_check_hostname", True)
    way = getattr(valkey.connection, given.pop("way"))
    pool = valkey.ConnectionPool(way, max_connections=1, decode_responses=True, **given)
    client: Any = valkey.Valkey.from_pool(pool)
    try:
        client.ping()
    except (valkey.ValkeyError, OSError) as error:
        client.close()
        raise CannotRun(
            "cannot connect to Valkey or Redis",
            why=_without_secrets(str(error), options),
            fix="check the URL with: valkey-cli -u URL ping",
        ) from None
    return client


def _without_secrets(text: str, options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        if "password" in name and value:
            text = text.replace(str(value), "***")
    return text.strip()
