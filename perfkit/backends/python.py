"""This Python interpreter, for stories that need no server: it counts calls."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from perfkit.errors import UsageError
from perfkit.model import Location, Tally

if TYPE_CHECKING:
    from perfkit.result import Component

WITNESS = "sys.setprofile"
_NOT_THEIRS = {__file__, threading.__file__}

P = ParamSpec("P")
T = TypeVar("T")


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
    on which thread happens to be faster. So are those of the files in `unseen`, and what they
    call that is built in. Threads that run already are counted from Python 3.12 on.

    `due` holds, by thread, what is to be done there before its code goes on.
    """

    def __init__(
        self, unseen: Iterable[str] = (), due: dict[int, Callable[[], None]] | None = None
    ) -> None:
        self.work: dict[str, Tally] = {}
        self._unseen = _NOT_THEIRS.union(unseen)
        self._due = {} if due is None else due
        # Their next() is one step in the interpreter: no thread can come in between.
        self._calls = {"call": itertools.count(), "c_call": itertools.count()}

    def __enter__(self) -> dict[str, Tally]:
        """Begin to count; the dictionary is filled when the block ends."""
        self._before, self._hook = sys.getprofile(), threading.getprofile()
        _profile_threads(self._watch)
        sys.setprofile(self._watch)
        return self.work

    def __exit__(self, *_details: object) -> None:
        """Fill the dictionary."""
        sys.setprofile(None)
        _profile_threads(self._hook)
        sys.setprofile(self._before)
        self.work["calls"] = Tally(next(self._calls["call"]), WITNESS)
        self.work["builtin_calls"] = Tally(next(self._calls["c_call"]), WITNESS)

    def _watch(self, frame: FrameType, event: str, _argument: object) -> None:
        if event in self._calls and frame.f_code.co_filename not in self._unseen:
            next(self._calls[event])
        if self._due and (step := self._due.pop(threading.get_ident(), None)) is not None:
            step()


def _profile_threads(watch: Any) -> None:
    """Set the profile function of threads to come, and where Python can of those that run."""
    if sys.version_info >= (3, 12):
        threading.setprofile_all_threads(watch)
    else:
        threading.setprofile(watch)


def unprofiled(step: Callable[P, T], *words: P.args, **named: P.kwargs) -> T:
    """Call a function of ours in the middle of what is being counted, uncounted."""
    watch = sys.getprofile()
    sys.setprofile(None)
    try:
        return step(*words, **named)
    finally:
        sys.setprofile(watch)
