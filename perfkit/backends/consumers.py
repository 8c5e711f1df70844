"""Threads that consume a log and write to PostgreSQL, and a lock that can be watched."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from perfkit.backends.postgres import Address, Postgres
from perfkit.backends.postgres_witness import TRACE, Look, Message, now
from perfkit.errors import UsageError
from perfkit.model import Tally

if TYPE_CHECKING:
    import psycopg

WITNESS = "a lock around the lock"
T = TypeVar("T")


class Consumer(NamedTuple):
    """One thread's connection, kept for as long as it lives, and the messages it gets."""

    connection: psycopg.Connection[Any]
    messages: Iterator[str]


class Hold(NamedTuple):
    """From when until when a thread held a lock, as libpq's trace writes times."""

    thread: Thread
    begun: bytes
    ended: bytes


class WatchedLock:
    """A lock that notes who held it and how long others waited; what gives up counts nothing.

    The figures are only written while the lock is held, so none is lost. An RLock that is taken
    again by its own thread is one acquisition.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._depth = 0
        self._holder, self._begun = current_thread(), b""
        self.acquisitions = self.contended = 0
        self.waited = 0.0
        """Seconds."""
        self.holds: list[Hold] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 (as threading has it)
        """Take the lock, as `threading.Lock` does."""
        begun = perf_counter()
        contended = not self._lock.acquire(blocking=False)
        if contended and not (blocking and self._lock.acquire(timeout=timeout)):
            return False
        self._depth += 1
        if self._depth == 1:
            self.acquisitions += 1
            self.contended += contended
            self.waited += perf_counter() - begun if contended else 0
            self._holder, self._begun = current_thread(), now()
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._depth == 1:
            self.holds.append(Hold(self._holder, self._begun, now()))
        self._depth -= 1
        self._lock.release()

    def __enter__(self) -> bool:
        """Take the lock for a block."""
        return self.acquire()

    def __exit__(self, *_details: object) -> None:
        """Give it back."""
        self.release()


class Life(NamedTuple):
    """A consumer that has ended: its thread, its connection, and how many seconds it lived."""

    thread: Thread
    connection: psycopg.Connection[Any]
    seconds: float


class Watch:
    """What locks, consumers and their connections did while work was counted."""

    def __init__(self, look: Look | None = None) -> None:
        self.locks: list[WatchedLock] = []
        self.lives: list[Life] = []
        self._look = look
        self._waits: defaultdict[psycopg.Connection[Any], list[bytes]] = defaultdict(list)

    def look(self, connection: psycopg.Connection[Any], message: Message) -> None:
        """Note when a connection has waited for the server."""
        if message.ends_a_wait:
            self._waits[connection].append(message.time)
        if self._look is not None:
            self._look(connection, message)

    def work(self) -> dict[str, Tally]:
        """Return what came of it."""
        waited = sum(lock.waited for lock in self.locks)
        lived = sum(life.seconds for life in self.lives)
        figures = {
            "acquisitions": sum(lock.acquisitions for lock in self.locks),
            "contended": sum(lock.contended for lock in self.locks),
            "waited": round(waited * 1000),
            "waiting": round(100 * waited / lived) if lived else 0,
        }
        work = {name: Tally(figure, WITNESS) for name, figure in figures.items()}
        return {"held_trips": Tally(self._held_trips(), TRACE), **work}

    def _held_trips(self) -> int:
        """Count the round trips that ended while their thread held a lock, each once."""
        connections = {life.thread: life.connection for life in self.lives}
        held = set()
        for hold in (hold for lock in self.locks for hold in lock.holds):
            connection = connections.get(hold.thread)
            if connection is not None:
                waits = self._waits[connection]
                first, end = bisect_left(waits, hold.begun), bisect_right(waits, hold.ended)
                held |= {(connection, place) for place in range(first, end)}
        return len(held)


class Consumers(Postgres):
    """PostgreSQL, and threads that write to it; each holds one connection."""

    def __init__(self, address: Address, connection: psycopg.Connection[Any]) -> None:
        super().__init__(address, connection)
        self._watch: Watch | None = None

    def watched(self, lock: T) -> T:
        """Return the lock itself or, while work is counted, one around it that is watched."""
        if self._watch is None:
            return lock
        self._watch.locks.append(WatchedLock(lock))
        return cast("T", self._watch.locks[-1])

    def consume(
        self, messages: Iterable[str], work: Callable[[Consumer], object], consumers: int
    ) -> None:
        """Let so many threads work, which share the messages, and wait until all have ended.

        Raises what the first thread to fail raises; the others then find no more messages. Raises
        UsageError where there are fewer connections than consumers.
        """
        pool = self.pool(consumers)
        if pool.max_size < consumers:
            raise too_few(consumers, pool.max_size)
        left = deque(messages)
        errors: list[BaseException] = []

        def live() -> None:
            try:
                with pool.connection() as connection:
                    # Which connection comes to a fifth time first is a matter of luck.
                    connection.prepare_threshold = None
                    begun = perf_counter()
                    work(Consumer(connection, taken_from(left)))
                    if self._watch is not None:
                        life = Life(current_thread(), connection, perf_counter() - begun)
                        self._watch.lives.append(life)
            except BaseException as error:  # noqa: BLE001 (told to the thread that waits)
                errors.append(error)
                left.clear()

        threads = [Thread(target=live) for _ in range(consumers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    @contextmanager
    def counting(self, look: Look | None = None) -> Iterator[dict[str, Tally]]:
        """Count what Postgres counts, and what the watched locks and the consumers did.

        `held_trips` are the round trips that a thread made while it held such a lock.
        """
        watch = self._watch = Watch(look)
        try:
            with super().counting(watch.look) as work:
                yield work
        finally:
            self._watch = None
        work |= watch.work()


def taken_from(messages: deque[str]) -> Iterator[str]:
    """Take messages, which other threads take too, until there is none left."""
    while True:
        try:
            # One step: no other thread gets the same.
            yield messages.popleft()
        except IndexError:
            return


def too_few(consumers: int, connections: int) -> UsageError:
    """Say that some consumers would wait for a connection for ever."""
    return UsageError(
        f"{consumers} consumers need a connection each, and there are {connections}",
        why="a consumer keeps its connection for as long as it lives",
        fix=f"-s connections={consumers}, or as many consumers as there are connections",
    )
