"""Count what any code in this process does: calls, and the SQL that leaves it, whoever asks.

| work                     | witness                                                        |
|--------------------------|----------------------------------------------------------------|
| calls, builtin_calls     | sys.setprofile                                                 |
| statements               | libpq's trace (psycopg 3), sqlite3's trace callback            |
| round_trips, rows        | libpq's trace                                                  |
| bytes_in, bytes_out      | libpq's trace                                                  |
| connections              | psycopg's and sqlite3's own connecting: those opened           |

SQLAlchemy, Django and others are seen through these drivers. What nobody could see is absent, not
0: the SQL of a process that has loaded another driver and shows no connection of these two.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from types import TracebackType

from perfkit.backends import observe_postgres, observe_sqlite, statements
from perfkit.backends.python import Counting
from perfkit.errors import UsageError
from perfkit.model import Tally

_BUSY = threading.Lock()
_WATCHED = {"psycopg", "sqlite3", "aiosqlite"}
_OUR_FILES = (__file__, observe_postgres.__file__, observe_sqlite.__file__, statements.__file__)


class Observing:
    """Observes for the length of a block; a class, so that its own calls can be told from theirs.

    `texts` are the statements that ran, without literals, and how often each did. Both they and
    the dictionary that the block yields are filled when it ends. The calls of files in `unseen`
    are not counted.
    """

    def __init__(self, unseen: tuple[str, ...] = ()) -> None:
        self.texts: dict[str, int] = {}
        self._work: dict[str, Tally] = {}
        self._postgres = observe_postgres.Watch()
        self._sqlite = observe_sqlite.Watch()
        self._calls = Counting((*_OUR_FILES, *unseen), self._sqlite.due)
        self._stack = ExitStack()

    def __enter__(self) -> dict[str, Tally]:
        """Begin to count; raises UsageError inside another such block."""
        if not _BUSY.acquire(blocking=False):
            raise UsageError(
                "two blocks cannot count at the same time",
                why="each would count the other's work; only one may look at a process",
                fix="end the first block before the second begins",
            )
        with ExitStack() as stack:
            stack.callback(_BUSY.release)
            # Else the code might pay for clearing away what was there before.
            gc.collect()
            stack.enter_context(self._postgres)
            stack.enter_context(self._sqlite)
            self._stack = stack.pop_all()
        self._calls.__enter__()
        return self._work

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Fill the dictionary."""
        self._calls.__exit__()
        self._stack.__exit__(kind, error, trace)
        self._work |= self._calls.work | _statements(self._postgres, self._sqlite)
        ran = Counter(self._postgres.texts) + Counter(self._sqlite.texts)
        self.texts |= dict(ran.most_common())


def _statements(postgres: observe_postgres.Watch, sqlite: observe_sqlite.Watch) -> dict[str, Tally]:
    """Put together what the drivers' watches saw."""
    seen = [watch for watch in (postgres, sqlite) if watch.connections]
    if not seen and _unwatched():
        return {}
    # Without any connection nothing was asked of either.
    parts = seen or [postgres, sqlite]
    work = {"connections": _sum({one.DRIVER: one.opened for one in parts})}
    if not sqlite.due:
        work["statements"] = _sum({one.TRACE: one.statements for one in parts})
    if postgres in parts:
        for name, key in observe_postgres.COUNTERS.items():
            work[name] = Tally(postgres.counted[key], postgres.TRACE)
    return work


def _unwatched() -> bool:
    """Say whether the process has loaded a driver that nobody here can look into."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        # What PEP 249 asks of every driver; asyncpg does not follow it.
        if top not in _WATCHED and (
            "apilevel" in getattr(module, "__dict__", ()) or top == "asyncpg"
        ):
            return True
    return False


def _sum(seen: dict[str, int]) -> Tally:
    others = seen if len(seen) > 1 and any(seen.values()) else {}
    return Tally(sum(seen.values()), " and ".join(seen), others)
