"""Functions of the user's in this interpreter: found, called, and what they do counted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from perfkit.backends.own_place import OwnService, Place, enter, served
from perfkit.errors import CannotRun
from perfkit.model import Location

if TYPE_CHECKING:
    from perfkit.backends.observe import Observing
    from perfkit.model import Tally

EARLY = 0.1
"""Share of the time-out by which a call may be given more."""


class Functions:
    """This interpreter, as functions of the user's see it: it counts what they do."""

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[OwnService]:
        """Describe the interpreter, or bring up the server that the scenario asks for."""
        import platform

        name, version = platform.python_implementation(), platform.python_version()
        with served(location, name, version, "this interpreter") as service:
            yield service

    @classmethod
    @contextmanager
    def connect(cls, address: Place) -> Iterator[Self]:
        """Let the code find its environment, and the project in the current folder."""
        enter(address)
        here = os.getcwd()  # noqa: PTH109 (no pathlib in a worker)
        heads = [here, os.path.join(here, "src")]  # noqa: PTH118 (the same)
        sys.path[:] = [*heads, *(place for place in sys.path if place not in heads)]
        yield cls()

    def counting(self) -> Observing:
        """Count calls and, where the code talks SQL, what it says."""
        from perfkit.backends.observe import Observing

        return Observing(unseen=(__file__,))


class FunctionsAndMemory(Functions):
    """The same, where the scenario wants to know of memory as well."""

    def passes(self) -> tuple[Callable[[], AbstractContextManager[dict[str, Tally]]], ...]:
        """Return what else counts, each with a call of its own: allocations and peak memory."""
        from perfkit.backends.observe_memory import allocating

        return (allocating,)


class Function:
    """A function of the user's as a variant, called with named parameters."""

    def __init__(
        self,
        name: str,
        reference: str,
        params: Mapping[str, object],
        environment: Mapping[str, str],
        timeout: float,
    ) -> None:
        self.__name__ = name
        self.label = self._reference = reference
        self._params, self._environment, self._timeout = params, environment, timeout
        self._call: Callable[[], object] = self._absent
        self._due = 0.0

    def load(self, functions: Functions, params: object) -> None:
        """Import it and call it once: what a scenario's setup is for."""
        self.prepare(functions, params)
        self(functions, params)

    def prepare(self, _functions: Functions, _params: object) -> None:
        """Import it, so that neither a count nor a clock sees that.

        Raises NotThere where there is no such module or function, else CannotRun.
        """
        from perfkit.reference import find

        os.environ.update(self._environment)
        try:
            found = find(self._reference)
        except CannotRun as error:
            raise type(error)(
                f"cannot import {self._reference}: {error.what}",
                why=f"modules are looked for in {os.getcwd()} and its src first",  # noqa: PTH109
                fix="write it as module:function, and install what it imports",
            ) from error
        # Who wants to know where the code came from asks for this.
        self.__module__ = self._reference.partition(":")[0]
        self._call = partial(self._plain(found), **self._params)

    def __call__(self, _functions: Functions, _params: object) -> object:
        """Call it; whoever does not come back in time is ended, with its process."""
        if time.monotonic() >= self._due:
            self._allow()
        return self._call()

    def _allow(self) -> None:
        """Put off the end, not at each call: it costs a thread."""
        import faulthandler

        limit = self._timeout
        # By a thread of C that needs no lock of the interpreter's: native code hangs as well.
        faulthandler.dump_traceback_later((1 + EARLY) * limit, exit=True)
        self._due = time.monotonic() + EARLY * limit

    def _plain(self, found: object) -> Callable[..., object]:
        """Return what was found if calling it does the work; raises CannotRun."""
        if not callable(found):
            raise CannotRun(
                f"{self._reference} is a {type(found).__name__}, not a function",
                why="a scenario times what can be called",
                fix="name a function that does the work once",
            )
        import inspect

        if inspect.iscoroutinefunction(found) or inspect.isgeneratorfunction(found):
            raise CannotRun(
                f"calling {self._reference} does nothing yet",
                why="it is a coroutine or generator function: the work begins when it is awaited"
                " or iterated",
                fix="name a plain function that does it: asyncio.run(...), or list(...)",
            )
        return found

    def _absent(self) -> object:
        raise AssertionError(self._reference)
