"""Count the work of a block of code, and hold it to a limit: for tests of the user's own code.

    with Work() as work:
        load_page()
    work.at_most(statements=2, round_trips=2)

pytest has it as the fixture `perfkit_work`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from difflib import get_close_matches
from types import TracebackType
from typing import Final, Self

from perfkit.backends.observe import Observing
from perfkit.backends.observe_memory import allocating
from perfkit.errors import UsageError
from perfkit.model import Tally

SQL: Final = ("statements", "round_trips", "rows", "bytes_in", "bytes_out", "connections")
CALLS: Final = ("calls", "builtin_calls")
MEMORY: Final = ("allocations", "peak_memory")
_LINES: Final = 10
_WIDTH: Final = 100


class Work:
    """What the code in a block did: its SQL and its calls, or with `memory` what it allocated.

    After the block every counter is an attribute, too. Memory takes a block of its own: counting
    one would add to the other.
    """

    def __init__(self, *, memory: bool = False) -> None:
        self.texts: dict[str, int] = {}
        """The statements that ran, without literals, and how often; the most frequent first."""
        self._memory = memory
        self._counted: Mapping[str, Tally] | None = None
        self._counter: AbstractContextManager[Mapping[str, Tally]]
        if memory:
            self._counter = allocating()
        else:
            observing = Observing(unseen=(__file__,))
            self.texts, self._counter = observing.texts, observing

    def __enter__(self) -> Self:
        """Begin to count."""
        try:
            self._filling = self._counter.__enter__()
        except UsageError as error:
            raise _explained(error) from error.__cause__
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop counting."""
        self._counter.__exit__(kind, error, trace)
        self._counted = self._filling

    def __getattr__(self, name: str) -> int:
        """Return a counter; raises UsageError for one that nobody counted."""
        if name not in (*SQL, *CALLS, *MEMORY):
            message = f"there is no counter '{name}'{_near(name)}"
            raise AttributeError(message)
        return self._value(name)

    def at_most(self, **limits: int) -> None:
        """Fail unless every counter that is named is within its limit."""
        __tracebackhide__ = True
        self._hold(limits, operator.le, "at most")

    def exactly(self, **figures: int) -> None:
        """Fail unless every counter that is named is just so much."""
        __tracebackhide__ = True
        self._hold(figures, operator.eq, "exactly")

    def _hold(
        self, limits: Mapping[str, int], holds: Callable[[int, int], bool], words: str
    ) -> None:
        # The test's own line is what failed, and not one of these.
        __tracebackhide__ = True
        if not limits:
            raise _refused("no counter is named", "nothing would be held", "at_most(statements=2)")
        broken = {}
        for name, limit in limits.items():
            counted = self._value(name)
            if not holds(counted, limit):
                broken[name] = f"{counted:,} {name}, not {words} {limit:,}"
        if broken:
            lines = [] if broken.keys().isdisjoint(SQL) else _ran(self.texts)
            raise AssertionError("\n".join([*broken.values(), *lines]))

    def _value(self, name: str) -> int:
        __tracebackhide__ = True
        if name not in (*SQL, *CALLS, *MEMORY):
            raise _refused(
                f"there is no counter '{name}'{_near(name)}",
                f"there are: {', '.join((*SQL, *CALLS, *MEMORY))}",
            )
        if self._counted is None:
            raise _refused(
                f"{name} is not counted yet",
                "counters are filled when the block ends",
                "ask after the block: with perfkit_work() as work: ...",
            )
        if name in self._counted:
            return self._counted[name].value
        raise _refused(f"nobody counted {name} in this block", *self._absent(name))

    def _absent(self, name: str) -> tuple[str, str]:
        """Say why a counter is not there, and how to get it."""
        if name in MEMORY and not self._memory:
            why = "memory is counted in a block of its own, where nothing else is"
            return why, "with perfkit_work(memory=True) as work: ..."
        if name in MEMORY:
            return "it takes the package memray", "pip install 'perfkit[attach]'"
        if self._memory:
            return "this block counts memory alone", "with perfkit_work() as work: ..."
        fix = "hold the code to something else, such as `calls`"
        if name in {"statements", "connections"}:
            return "it was asked over a driver that is neither psycopg nor sqlite3, if at all", fix
        return "only psycopg's connections tell it, and the SQL went another way", fix


def _ran(texts: Mapping[str, int]) -> list[str]:
    """List the statements by how often they ran: `200 x SELECT name FROM buyer WHERE id = ?`."""
    most = max(map(str, texts.values()), key=len, default="")
    lines = [
        f"{times:>{len(most)}} x {text if len(text) <= _WIDTH else f'{text[: _WIDTH - 3]}...'}"
        for text, times in list(texts.items())[:_LINES]
    ]
    rest = len(texts) - len(lines)
    return [*lines, f"and {rest:,} more"] if rest else lines


def _near(name: str) -> str:
    close = get_close_matches(name, (*SQL, *CALLS, *MEMORY), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _refused(what: str, why: str, fix: str = "") -> UsageError:
    return _explained(UsageError(what, why=why, fix=fix))


def _explained(error: UsageError) -> UsageError:
    """Note on an error why it came and what to do: test runners show notes."""
    for name, text in (("why", error.why), ("fix", error.fix)):
        if text:
            error.add_note(f"{name}: {text}")
    return error
