"""Find out how one device is read best: by trying it, politely.

The device is asked only to read (GET, GETNEXT, GETBULK), one request at a time, and not more often
than was said before. What is decided from the measured times is decided by functions of them.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perfkit import stats
from perfkit.errors import CannotRun, NoAnswer, Refused, UsageError
from perfkit.snmp import poll
from perfkit.snmp.session import LARGEST, parse

if TYPE_CHECKING:
    from perfkit.snmp.session import Client, Session, Varbind
    from perfkit.snmp.target import Target

SCHEMA = "perfkit.snmp-plan/1"
NAMES = {
    "system": "1.3.6.1.2.1.1",
    "ifTable": "1.3.6.1.2.1.2.2.1",
    "ifXTable": "1.3.6.1.2.1.31.1.1.1",
    "ipAddrTable": "1.3.6.1.2.1.4.20.1",
    "ipNetToMediaTable": "1.3.6.1.2.1.4.22.1",
    "hrStorageTable": "1.3.6.1.2.1.25.2.3.1",
    "entPhysicalTable": "1.3.6.1.2.1.47.1.1.1.1",
}
"""Subtrees that people ask for by name: RFC 3418, 2863, 4293, 2790 and 6933."""
LADDER = (5, 10, 25, 50, 100, 200, 400, 800)
"""How many variables an answer is asked to have, from the least."""
DEFAULTS = (10, 25)
"""What other programs ask for when nobody says: net-snmp and Telegraf, the Prometheus exporter."""
GAIN = 1.05
"""What is not faster by more than this is not worth a larger answer."""
FLAT = 2
"""Sizes in a row that gain nothing: larger ones are not tried."""
TRIES = 3
"""Requests of each size."""
BETWEEN = 6
"""Sizes, about, that are tried below one that was not answered."""
COLUMNS = 64
"""Columns of a table that are looked for."""
METHODS = 6
"""Methods and sizes that are compared, at the most."""
ENDINGS = 3
"""Requests that find the end of a subtree, at the most."""
DEPTH = 3
"""Levels below which the columns of a table are looked for: the table, its entry, its columns."""
ANSWERED, ENDS, CUT, SILENCE = "answered", "ends", "cut", "silence"
"""What came of a size: all of it; all that there is; less; nothing. Else an error status."""
ANSWERS = frozenset({ANSWERED, ENDS, CUT})


class Method(StrEnum):
    """How values are read."""

    BULK = "GETBULK"
    COLUMNS = "GETNEXT, columns"
    MANY = "many per GET"
    NEXT = "GETNEXT"
    GET = "GET per OID"


WALKING = (Method.BULK, Method.COLUMNS, Method.NEXT)
"""The methods that need not know the OIDs before."""


class Try(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One size of an answer that was tried."""

    method: str
    size: int
    """Variables that were asked for in one request."""
    outcome: str
    """`answered`; `ends` (the subtree did); `cut` (fewer came); `silence`; or an error status."""
    values: int
    """Values of the subtrees that came, in one request to each."""
    seconds: tuple[float, ...]
    """How long that took, each time."""

    @property
    def rate(self) -> float:
        """Values per second, at the fastest: of so few, noise would be the median."""
        return self.values / min(self.seconds) if self.values else 0.0

    @property
    def failed(self) -> bool:
        """Whether the device did not answer as it should."""
        return self.outcome not in ANSWERS


class Compared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many times as fast as one GET per OID."""

    ratio: float
    low: float
    high: float
    confidence: float | None
    """Of the interval; null where there were too few rounds for one: the range of the rounds."""


class Timed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method, timed on the sample."""

    method: str
    size: int
    """Variables in one request, or of GETBULK in one answer."""
    values: int
    """Values of a round."""
    requests: int
    """Requests of a round."""
    seconds: tuple[float, ...]
    """One figure a round."""
    differs: str = ""
    """An OID whose value was missing or of another type, where there was one."""
    compared: Compared | None = None
    whole: int | None = None
    """Requests for the whole walk, computed from the number of values; null where it is unknown."""

    @property
    def each(self) -> list[float]:
        """Seconds a value, one figure a round."""
        return [taken / self.values for taken in self.seconds]

    @property
    def rate(self) -> float:
        """Values per second."""
        return 1 / median(self.each)


class Subtree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for."""

    oid: str
    sample: int
    """Values of the sample."""
    values: int | None = None
    """Values in the walk; null before it."""


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A method, and how many variables are asked for at once."""

    method: str
    size: int


class Walked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The walk over all that was asked for."""

    method: str
    size: int
    values: int
    requests: int
    """Counted."""
    seconds: float
    complete: bool
    """Whether it reached the end before the limit."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a device is read best, and all that was measured to know it."""

    schema: str = SCHEMA
    device: str
    """Its address; neither a community nor any value is kept."""
    version: str
    """Of SNMP: 1, 2c or 3."""
    subtrees: tuple[Subtree, ...]
    tries: tuple[Try, ...] = ()
    timed: tuple[Timed, ...] = ()
    recommended: Choice | None = None
    """What measured best; null where that was not finished."""
    walking: Choice | None = None
    """What measured best of the methods that need not know the OIDs."""
    walked: Walked | None = None
    limit: int | None = None
    """To how many variables answers were kept in the end; null where the sizes tried sufficed."""
    requests: int
    """Requests that were sent; neither retries nor what SNMPv3 asks for itself are counted."""
    at_most: int
    """Requests that would have been sent at the most."""
    seconds: float
    seed: int
    """Of the order of the methods in the rounds."""
    interrupted: bool = False


def encode(plan: Plan) -> bytes:
    """Write a plan as JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n"


def read_oid(text: str) -> str:
    """Read a subtree, a number such as .1.3.6.1.2.1.1 or a name; raises UsageError."""
    if "://" in text:
        # Not repeated: it may have a community.
        raise UsageError("an OID is no URL", fix="perfkit snmp plan TARGET ifTable")
    oid = NAMES.get(text, text.removeprefix("."))
    try:
        parse(oid)
    except UsageError:
        raise UsageError(
            f"'{text}' is no OID",
            why=f"it is written in numbers, or it is one of {', '.join(NAMES)}",
            fix="snmptranslate -On IF-MIB::ifTable    turns other names into numbers",
        ) from None
    return oid


def next_size(tries: Sequence[Try], most: int = LADDER[-1]) -> int:
    """Return which size to try next, or 0 when there is nothing more to learn.

    Sizes grow until two in a row gain nothing. After one that was refused, smaller ones are tried:
    half of it where none was answered, else those between, until little is left between. After a
    silence, which costs whole timeouts, nothing larger than what was answered is tried.
    """
    if not tries:
        return min(LADDER[0], most)
    good = max((one.size for one in tries if not one.failed), default=0)
    bad = min((one.size for one in tries if one.failed), default=0)
    if bad and not good:
        return bad // 2
    if bad:
        between = (good + bad) // 2
        silent = any(one.outcome == SILENCE for one in tries)
        return 0 if silent or between - good <= good // 8 else between
    last = tries[-1]
    if last.outcome in {ENDS, CUT} or last.size >= most:
        return 0
    rates = [one.rate for one in tries]
    if len(rates) > FLAT and max(rates[-FLAT:]) <= GAIN * max(rates[:-FLAT]):
        return 0
    return min(next((size for size in LADDER if size > last.size), 0), most)


def best_size(tries: Sequence[Try]) -> int:
    """Return the smallest size that is as good as the fastest, or 0 when all failed."""
    good = [one for one in tries if not one.failed]
    fastest = max((one.rate for one in good), default=0.0)
    near = [one.size for one in good if one.rate * GAIN >= fastest]
    return min(near, default=0)


class Part(NamedTuple):
    """How much there is in a subtree."""

    values: int
    columns: int = 1


def compare(naive: Timed, other: Timed) -> Compared | None:
    """Return how many times as fast as `naive` the other is, from rounds that both were in."""
    rounds = min(len(naive.seconds), len(other.seconds))
    if not rounds:
        return None
    slow, fast = naive.each[:rounds], other.each[:rounds]
    if rounds >= stats.FEWEST:
        found = stats.typical_ratio(slow, fast)
        if found.low is not None and found.high is not None:
            return Compared(found.ratio, found.low, found.high, found.confidence)
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return Compared(median(ratios), min(ratios), max(ratios), None)


def choose(timed: Sequence[Timed], limit: int | None = None) -> Choice | None:
    """Return the fastest method, at most with as many variables as the device can answer.

    Of those that are as fast, it is the one that comes first in `Method`, in the smallest answers.
    One whose values were not those of the sample is not chosen.
    """
    able = [one for one in timed if one.seconds and not one.differs]
    if not able:
        return None
    fastest = max(one.rate for one in able)
    order = list(Method)
    best = min(
        (one for one in able if one.rate * GAIN >= fastest),
        key=lambda one: (order.index(Method(one.method)), one.size),
    )
    return Choice(best.method, min(best.size, limit or best.size))


def whole(choice: Choice, parts: Sequence[Part], most: int | None = None) -> int:
    """Return how many requests read all of some subtrees, the end of each included.

    An answer of the device may hold at `most` so many values.
    """
    size = min(choice.size, most or choice.size)
    values = sum(part.values for part in parts)
    match choice.method:
        case Method.BULK:
            # One value beyond shows the end, so a full last answer takes another request.
            return sum(part.values // size + 1 for part in parts)
        case Method.COLUMNS:
            return sum(
                (-(-part.values // part.columns) + 1) * -(-part.columns // size) for part in parts
            )
        case Method.NEXT:
            return values + len(parts)
        case _:
            return -(-values // size)


def held(choice: Choice, tries: Sequence[Try], roots: int, limit: int | None) -> int | None:
    """Return how many values an answer can hold, where that is known to be few."""
    cuts = [one.values // roots for one in tries if one.outcome == CUT]
    if choice.method != Method.BULK or not cuts:
        return limit
    return max(1, min(max(cuts), limit or max(cuts)))


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be found out, and at which price."""

    roots: tuple[str, ...]
    sample: int = 100
    """Values that each method reads in a round."""
    most: int = 10_000
    """Values of the walk."""
    rounds: int = stats.FEWEST
    seed: int = 0

    @property
    def at_most(self) -> int:
        """Requests that are sent at the most, without retries."""
        roots = len(self.roots)
        tables = roots * DEPTH * (COLUMNS + 1)
        sizes = (len(LADDER) + BETWEEN) * TRIES * (1 + roots)
        # A device may come down to one value an answer, with every method.
        sample = self.sample + roots * ENDINGS
        walk = self.most + roots * (COLUMNS + ENDINGS)
        return tables + sizes + sample + self.rounds * METHODS * sample + walk


class Polite:
    """A session that counts its requests, and stops before there are too many."""

    def __init__(
        self, session: Session, at_most: int, requests: int, tell: Callable[[int], None]
    ) -> None:
        self.requests = requests
        self.target = session.target
        self._session = session
        self._at_most = at_most
        self._tell = tell

    async def get(self, *oids: str) -> list[Varbind]:
        """Ask for values."""
        self._count()
        return await self._session.get(*oids)

    async def get_next(self, *oids: str) -> list[Varbind]:
        """Ask for the values that follow."""
        self._count()
        return await self._session.get_next(*oids)

    async def get_bulk(self, *oids: str, repetitions: int) -> list[Varbind]:
        """Ask for many values that follow."""
        self._count()
        return await self._session.get_bulk(*oids, repetitions=repetitions)

    def _count(self) -> None:
        if self.requests >= self._at_most:
            raise CannotRun(
                f"the device was asked {self.requests:,} times, and was to be asked no more",
                why="its answers differ too much from one time to the next",
            )
        self.requests += 1
        self._tell(1)


class Table(NamedTuple):
    """Where the columns of a table are; a subtree that is none has no columns."""

    entry: str
    columns: tuple[int, ...]


class Chain(NamedTuple):
    """Values of the sample that follow each other, below an OID."""

    start: str
    values: list[Varbind]


@dataclass(slots=True)
class Planner:
    """Finds a plan; `plan` is what is known of it by now."""

    order: Order
    tell: Callable[[int], None] = lambda _: None
    start: Callable[[str, int], None] = lambda _about, _total: None
    _begun: float = field(default=0.0, init=False)
    _asked: Polite | None = field(default=None, init=False)
    _limits: poll.Limits = field(default_factory=poll.Limits, init=False)
    _chains: dict[str, list[Chain]] = field(default_factory=dict, init=False)
    _tables: dict[str, Table] = field(default_factory=dict, init=False)
    _tries: list[Try] = field(default_factory=list, init=False)
    _timed: dict[Choice, Timed] = field(default_factory=dict, init=False)
    _values: dict[str, int] = field(default_factory=dict, init=False)
    _walked: Walked | None = field(default=None, init=False)

    async def run(self, client: Client, target: Target) -> Plan:
        """Ask the device until the plan is whole.

        Raises NoAnswer, Refused, and CannotRun where nothing is below the OIDs.
        """
        self._begun = time.perf_counter()
        self.start("requests to find the device", 0)
        asked = 0
        if target.version != "3":
            target = replace(target, version=await poll.detect(client, target))
            asked = 1 if target.version == "2c" else 2
        self._asked = Polite(await client.open(target), self.order.at_most, asked, self.tell)
        self.start("requests for the sample", 0)
        for number, root in enumerate(self.order.roots):
            missing = self.order.sample - len(self._sample)
            await self._take(root, max(1, missing // (len(self.order.roots) - number)))
        if not self._sample:
            raise CannotRun(
                f"{target} has nothing below {', '.join(self.order.roots)}",
                why="it answers, with what follows behind it or with the end of all it has",
                fix="perfkit snmp plan TARGET system    is a subtree that every device has",
            )
        self.start("requests of growing size", 0)
        many = await self._climb(Method.MANY, self._try_many, len(self._sample))
        bulk = 0
        if target.version != "1":
            bulk = await self._climb(Method.BULK, self._try_bulk, LADDER[-1])
        self.start("requests to compare the methods", 0)
        await self._compare(self._choices(many, bulk))
        self.start("requests for the whole walk", 0)
        chosen = self.plan().walking
        if chosen is not None:
            await self._walk(chosen)
        return self.plan()

    @property
    def begun(self) -> bool:
        """Whether anything is known of the device yet."""
        return bool(self._chains)

    def plan(self, *, interrupted: bool = False) -> Plan:
        """Return what is known by now, where something is."""
        target = self._session.target
        timed = self._judged()
        limit = self._limit
        return Plan(
            device=str(target),
            version=target.version,
            subtrees=tuple(
                Subtree(
                    root,
                    sum(len(chain.values) for chain in self._chains.get(root, ())),
                    self._values.get(root),
                )
                for root in self.order.roots
            ),
            tries=tuple(self._tries),
            timed=timed,
            recommended=choose(timed, limit),
            walking=choose([one for one in timed if one.method in WALKING], limit),
            walked=self._walked,
            limit=limit,
            requests=self._session.requests,
            at_most=self.order.at_most,
            seconds=time.perf_counter() - self._begun,
            seed=self.order.seed,
            interrupted=interrupted,
        )

    def _judged(self) -> tuple[Timed, ...]:
        """Return what was timed, the simplest method first, each compared with that."""
        naive = self._timed.get(Choice(Method.GET, 1))
        parts = [Part(count, self._columns(root) or 1) for root, count in self._values.items()]
        roots, limit = len(self._chains), self._limit
        order = list(Method)
        return tuple(
            msgspec.structs.replace(
                one,
                compared=None if naive is None else compare(naive, one),
                whole=whole(choice, parts, held(choice, self._tries, roots, limit))
                if parts
                else None,
            )
            for choice, one in sorted(
                self._timed.items(),
                key=lambda item: (-order.index(Method(item[0].method)), item[0].size),
            )
        )

    @property
    def _session(self) -> Polite:
        if self._asked is None:
            raise AssertionError
        return self._asked

    @property
    def _limit(self) -> int | None:
        target = self._session.target
        return self._limits.most.get((target.host, target.port))

    @property
    def _sample(self) -> list[Varbind]:
        found = [chain.values for chains in self._chains.values() for chain in chains]
        return [varbind for values in found for varbind in values]

    def _columns(self, root: str) -> int:
        return len(self._tables[root].columns) if root in self._tables else 0

    async def _take(self, root: str, share: int) -> None:
        """Take a share of the sample from below one OID."""
        starts = [root]
        if self._session.target.version == "1":
            table = self._tables[root] = await self._find_table(root)
            starts = [f"{table.entry}.{column}" for column in table.columns[:share]] or [root]
        rows = max(1, share // len(starts))
        found = [
            Chain(start, await poll.walk(self._session, start, 1, rows, self._limits))
            for start in starts
        ]
        self._chains[root] = [chain for chain in found if chain.values]

    async def _find_table(self, root: str) -> Table:
        """Find the columns below an OID, which may be that of a table, or of what holds it."""
        table = Table(root, ())
        entry = root
        for _ in range(DEPTH):
            columns, is_table = await self._find_columns(entry)
            if not is_table:
                break
            table = Table(entry, columns)
            if len(columns) > 1:
                break
            entry = f"{entry}.{columns[0]}"
        return table

    async def _find_columns(self, entry: str) -> tuple[tuple[int, ...], bool]:
        """Return the numbers below an OID, and whether anything is below those."""
        columns: list[int] = []
        is_table = False
        before = entry
        while len(columns) < COLUMNS:
            following = await self._next(before)
            if following is None or not is_below(following.oid, entry):
                break
            numbers = poll.key(following.oid)[len(poll.key(entry)) :]
            is_table |= len(numbers) > 1
            columns.append(numbers[0])
            if numbers[0] == LARGEST:
                break
            before = f"{entry}.{numbers[0] + 1}"
        return tuple(columns), is_table

    async def _next(self, oid: str) -> Varbind | None:
        """Return what follows an OID; None at the end of all there is."""
        try:
            (following,) = await self._session.get_next(oid)
        except Refused as refused:
            # So says SNMPv1 that nothing follows.
            if refused.status != "noSuchName":
                raise
            return None
        return None if following.end else following

    async def _climb(
        self, method: Method, ask: Callable[[int], Awaitable[tuple[str, int]]], most: int
    ) -> int:
        """Try sizes; return the best, or 0 when none was answered."""
        target = self._session.target
        tries: list[Try] = []
        while size := next_size(tries, most):
            one = await self._try(method, size, ask)
            tries.append(one)
            self._tries.append(one)
            if one.outcome == SILENCE:
                # Is it the size, or is nobody there any more? This raises NoAnswer.
                await self._session.get(self._sample[0].oid)
        good = max((one.size for one in tries if not one.failed), default=0)
        # A long GET may be too much where the short GETBULK for as many values is not; a GETNEXT
        # for many columns, the way of SNMPv1, is as long.
        if target.version == "1" and good and any(one.failed for one in tries):
            self._limits.remember(target, good)
        return best_size(tries)

    async def _try(
        self, method: Method, size: int, ask: Callable[[int], Awaitable[tuple[str, int]]]
    ) -> Try:
        seconds: list[float] = []
        outcome, values = ANSWERED, 0
        while outcome in ANSWERS and len(seconds) < TRIES:
            begun = time.perf_counter()
            try:
                outcome, values = await ask(size)
            except NoAnswer:
                outcome, values = SILENCE, 0
            except Refused as refused:
                outcome, values = refused.status, 0
            seconds.append(time.perf_counter() - begun)
        return Try(method, size, outcome, values, tuple(seconds))

    async def _try_many(self, size: int) -> tuple[str, int]:
        await self._session.get(*(varbind.oid for varbind in self._sample[:size]))
        return ANSWERED, size

    async def _try_bulk(self, size: int) -> tuple[str, int]:
        """Ask once below each OID; what is said of an answer that was cut goes first."""
        outcomes, values = set(), 0
        for root in self._chains:
            answer = await self._session.get_bulk(root, repetitions=size)
            useful = [one for one in answer if not one.end and is_below(one.oid, root)]
            values += len(useful)
            if len(useful) < len(answer):
                outcomes.add(ENDS)
            else:
                outcomes.add(CUT if len(answer) < size else ANSWERED)
        return next(one for one in (CUT, ANSWERED, ENDS) if one in outcomes), values

    def _choices(self, many: int, bulk: int) -> list[Choice]:
        """Return what is compared: everything that the device answers."""
        found = [Choice(Method.GET, 1), Choice(Method.NEXT, 1)]
        if many > 1:
            found.append(Choice(Method.MANY, many))
        columns = max(map(self._columns, self._tables), default=0)
        if columns > 1:
            size = self._limits.at_most(self._session.target, columns)
            found.append(Choice(Method.COLUMNS, size))
        failed = [one.size for one in self._tries if one.method == Method.BULK and one.failed]
        sizes = {bulk, *(size for size in DEFAULTS if not failed or size < min(failed))}
        # A GETBULK for one value is a GETNEXT by another name.
        return found + [Choice(Method.BULK, size) for size in sorted(sizes) if bulk and size > 1]

    async def _compare(self, choices: list[Choice]) -> None:
        """Read the sample with each method, in every round in another order."""
        order = random.Random(self.order.seed)  # noqa: S311 (no secret)
        expected = {varbind.oid: type(varbind.value) for varbind in self._sample}
        for _ in range(self.order.rounds):
            order.shuffle(choices)
            for choice in choices:
                before = self._session.requests
                begun = time.perf_counter()
                found = await self._read(choice)
                taken = time.perf_counter() - begun
                kinds = {varbind.oid: type(varbind.value) for varbind in found}
                wrong = (oid for oid, kind in expected.items() if kinds.get(oid) is not kind)
                past = self._timed.get(choice)
                self._timed[choice] = Timed(
                    method=choice.method,
                    size=choice.size,
                    values=len(found),
                    requests=self._session.requests - before,
                    seconds=(*(past.seconds if past else ()), taken),
                    differs=(past.differs if past else "") or next(wrong, ""),
                )

    async def _read(self, choice: Choice) -> list[Varbind]:
        """Read the sample: at least that, where answers hold more."""
        oids = [varbind.oid for varbind in self._sample]
        if choice.method == Method.MANY:
            return await poll.get_all(self._session, oids, choice.size, self._limits)
        found: list[Varbind] = []
        if choice.method == Method.GET:
            for oid in oids:
                found += await poll.get_all(self._session, [oid], 1, self._limits)
            return found
        for root, chains in self._chains.items():
            if choice.method == Method.COLUMNS and len(chains) > 1:
                entry, columns = self._tables[root]
                rows = max(len(chain.values) for chain in chains)
                found += await poll.walk_columns(
                    self._session, entry, columns[: len(chains)], rows, limits=self._limits
                )
                continue
            size = choice.size if choice.method == Method.BULK else 1
            for chain in chains:
                # Full answers, as when a table is walked to its end.
                most = -(-len(chain.values) // size) * size
                found += await poll.walk(self._session, chain.start, size, most, self._limits)
        return found

    async def _walk(self, chosen: Choice) -> None:
        """Walk all of it once, or as much as may be."""
        before = self._session.requests
        begun = time.perf_counter()
        left, complete = self.order.most, True
        values: dict[str, int] = {}
        for root in self._chains:
            found: list[Varbind] = []
            if chosen.method == Method.COLUMNS and self._columns(root) > 1:
                entry, columns = self._tables[root]
                rows = left // len(columns)
                found = await poll.walk_columns(
                    self._session, entry, columns, rows, limits=self._limits
                )
                place = len(poll.key(entry))
                read = Counter(poll.key(varbind.oid)[place] for varbind in found)
                complete = complete and max(read.values(), default=0) < rows
            else:
                size = chosen.size if chosen.method == Method.BULK else 1
                found = await poll.walk(self._session, root, size, left, self._limits)
                complete = complete and len(found) < left
            values[root] = len(found)
            left -= len(found)
        self._values = values
        self._walked = Walked(
            method=chosen.method,
            size=chosen.size,
            values=sum(values.values()),
            requests=self._session.requests - before,
            seconds=time.perf_counter() - begun,
            complete=complete,
        )


def is_below(oid: str, root: str) -> bool:
    """Say whether an OID is in a subtree."""
    return oid.startswith(f"{root}.")
