"""Tell whether a server is still there, once a worker has failed."""

from __future__ import annotations

import time
from collections.abc import Callable

from perfkit.backends.guarded import Guarded
from perfkit.errors import CannotRun, ComponentLost

CLOSING = 0.2
"""Seconds in which a server ends its part of the connections that a worker had."""


def require_there(
    connect: Callable[[], None], product: str, guarded: Guarded | None, resources: str
) -> None:
    """Raise ComponentLost, with the log of a server of ours, when it takes no more connections.

    `connect` raises CannotRun where there is none; `resources` are what it may have run out of.
    """
    try:
        connect()
    except CannotRun:
        # A worker's may just be closing, and the server's limit be reached.
        time.sleep(CLOSING)
    else:
        return
    try:
        connect()
    except CannotRun as error:
        log = guarded.log() if guarded is not None else ""
        raise ComponentLost(
            f"{product} went away in the middle of the run",
            why="\n".join(filter(None, (error.why, log))),
            fix=f"run it again; if it happens again, look at the server's {resources}",
        ) from error
