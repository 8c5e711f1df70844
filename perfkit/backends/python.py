"""This Python interpreter, for stories that need no server: it counts calls."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Self

from perfkit.errors import UsageError
from perfkit.model import Location, Tally

if TYPE_CHECKING:
    from perfkit.result import Component

WITNESS = "sys.setprofile"
_NOT_THEIRS = {__file__, threading.__file__}


@dataclass(frozen=True, slots=True)
class PythonService:
    """The interpreter that runs perfkit runs the workers too."""

    component: Component
    address: None = None

    def check(self) -> None:
        """Do nothing: it is here."""


class Python:
    """The interpreter as a probe's functions see it: there is nothing to connect to."""

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[PythonService]:
        """Describe the interpreter; raises UsageError for a URL or a distance."""
        if location.url or location.rtt:
            raise UsageError(
                "this probe runs inside Python and takes no --backend and no --rtt",
                why="there is no server, and so no way to it",
                fix="leave the option out",
            )
        # Here and not above: a worker, which only connects, need not import them.
        import platform

        from perfkit.result import Component

        name, version = platform.python_implementation(), platform.python_version()
        yield PythonService(Component(product=name, version=version, place="this interpreter"))

    @classmethod
    @contextmanager
    def connect(cls, _address: None) -> Iterator[Self]:
        """Hand out the interpreter."""
        yield cls()

    def counting(self) -> Counting:
        """Count calls of Python functions (`calls`) and of built-in ones (`builtin_calls`).

        Threads that start inside the block count too.
        """
        return Counting()


class Counting:
    """Counts for the length of a block; a class, so that its own calls can be told from theirs.

    The calls that the `threading` module makes itself are left out: how many there are depends
    on which thread happens to be faster.
    """

    def __init__(self) -> None:
        self._work: dict[str, Tally] = {}
        # Their next() is one step in the interpreter: no thread can come in between.
        self._calls = {"call": itertools.count(), "c_call": itertools.count()}

    def __enter__(self) -> dict[str, Tally]:
        """Begin to count; the dictionary is filled when the block ends."""
        self._before = sys.getprofile()
        threading.setprofile(self._watch)
        sys.setprofile(self._watch)
        return self._work

    def __exit__(self, *_details: object) -> None:
        """Fill the dictionary."""
        sys.setprofile(self._before)
        threading.setprofile(None)
        self._work["calls"] = Tally(next(self._calls["call"]), WITNESS)
        self._work["builtin_calls"] = Tally(next(self._calls["c_call"]), WITNESS)

    def _watch(self, frame: FrameType, event: str, _argument: object) -> None:
        if event in self._calls and frame.f_code.co_filename not in _NOT_THEIRS:
            next(self._calls[event])
