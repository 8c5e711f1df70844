"""Where the user's own code runs: on this machine, with a server only if the scenario asks for one.

With a PostgreSQL URL (`postgres` is the embedded server) the code finds it in the variables that
libpq reads, and in PERFKIT_DSN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from perfkit.errors import UsageError
from perfkit.model import Location, Service

if TYPE_CHECKING:
    from perfkit.backends.postgres import Address
    from perfkit.result import Component

DSN = "PERFKIT_DSN"
EMBEDDED = "postgres"
"""What a scenario's `backend` says for the embedded server."""


class Place(NamedTuple):
    """What the code finds in its environment.

    `alone` says that no other variable of libpq's may be there: they speak of another server.
    """

    variables: Mapping[str, str]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class OwnService:
    """What the code was given, which is nothing or a server."""

    component: Component
    address: Place
    server: Service | None = None

    def check(self) -> None:
        """Raise ComponentLost when the server takes no more connections."""
        if self.server is not None:
            self.server.check()


@contextmanager
def served(location: Location, product: str, version: str, place: str) -> Iterator[OwnService]:
    """Bring up the server that a scenario asks for; without one, describe what there is.

    Raises UsageError for a distance without a server.
    """
    if not location.url:
        if location.rtt:
            raise UsageError(
                "there is nothing to be far away from",
                why="rtt is the distance to a server, and this scenario has none",
                fix=f'add backend = "{EMBEDDED}", or leave rtt out',
            )
        from perfkit.result import Component

        yield OwnService(Component(product=product, version=version, place=place), Place({}))
        return
    from perfkit.backends.postgres_service import serve

    url = "embedded" if location.url == EMBEDDED else location.url
    with serve(location._replace(url=url)) as service:
        address = Place(_variables(service.address), alone=service.address.owned)
        yield OwnService(service.component, address, service)


def _variables(address: Address) -> dict[str, str]:
    """Return what tells libpq, and the user, of a server and our schema on it."""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    parameters = dict(address.parameters)
    confined = f"-c search_path={address.schema}"
    parameters["options"] = f"{parameters.get('options', '')} {confined}".strip()
    options = pq.Conninfo.get_defaults()
    known = {one.keyword.decode(): one.envvar.decode() for one in options if one.envvar}
    named = {known[name]: value for name, value in parameters.items() if name in known}
    return named | {DSN: make_conninfo("", **parameters)}


def enter(address: Place) -> None:
    """Set the variables in this process, for what it runs and starts."""
    if address.alone:
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
    os.environ.update(address.variables)
