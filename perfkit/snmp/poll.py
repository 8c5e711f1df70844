"""Read many values in few questions: known OIDs, a subtree, the columns of a table.

All of them ask for less where a device cannot answer so much at once, and remember it in `Limits`.
That is so when it says tooBig, and when it says nothing: some devices, and some ways to them, drop
what does not fit one packet. A device that is silent is then asked for one value: when it is silent
again, it is given up, after twice the patience of its target, which is `timeout` times `1 +
retries`. Each size at which it is silent costs the patience once more, and sizes are halved.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from perfkit.errors import NoAnswer, Refused
from perfkit.snmp.session import Client, Oid, Varbind
from perfkit.snmp.target import Target

UPTIME = "1.3.6.1.2.1.1.3.0"
"""How long a device has been up: every device has it."""


class Questions(Protocol):
    """What is asked of a session; `perfkit.snmp.session.Session` is one."""

    @property
    def target(self) -> Target:
        """Return whom it asks."""

    async def get(self, *oids: Oid) -> list[Varbind]:
        """Return the values of these OIDs."""

    async def get_next(self, *oids: Oid) -> list[Varbind]:
        """Return what follows each of these OIDs."""

    async def get_bulk(self, *oids: Oid, repetitions: int) -> list[Varbind]:
        """Return what follows each of these OIDs, then what follows that, and so on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many varbinds an answer of a device may have, as far as has been found out."""

    most: dict[tuple[str, int], int] = field(default_factory=dict)

    def at_most(self, target: Target, wanted: int) -> int:
        """Return `wanted`, or as many as the device can."""
        return max(1, min(wanted, self.most.get((target.host, target.port), wanted)))

    def remember(self, target: Target, varbinds: int) -> None:
        """Remember that an answer with more is too much for the device."""
        self.most[target.host, target.port] = self.at_most(target, varbinds)


def key(oid: Oid) -> tuple[int, ...]:
    """Return an OID's numbers, by which OIDs sort."""
    return tuple(map(int, oid.split(".")))


async def get_all(
    session: Questions, oids: Sequence[Oid], at_once: int = 25, limits: Limits | None = None
) -> list[Varbind]:
    """Ask for known OIDs, many in one GET; the answers come in the order of the OIDs.

    The value of an OID that the device does not have is None. Raises what the session raises; a
    NoAnswer says how many had been read.
    """
    limits = limits or Limits()
    found: list[Varbind] = []

    async def ask(size: int) -> None:
        found.extend(await _get(session, oids[len(found) : len(found) + size]))

    while len(found) < len(oids):
        wanted = min(at_once, len(oids) - len(found))
        await _ask_for_less(session, limits, wanted, ask, len(found))
    return found


async def walk(
    session: Questions,
    root: Oid,
    repetitions: int = 25,
    most: int = 10_000,
    limits: Limits | None = None,
) -> list[Varbind]:
    """Read a subtree, the first `most` values of it, by GETBULK or, in SNMPv1, by GETNEXT.

    A `root` that is itself a value gives that value. Raises what the session raises; a NoAnswer
    says how many had been read. Raises Refused too where the device goes in circles.
    """
    bulk = 1 if session.target.version == "1" else repetitions
    found = await _walk(session, [root], most, bulk, limits or Limits())
    if not found and most > 0:
        found = [leaf for leaf in await _get(session, [root]) if leaf.value is not None]
    return found


async def walk_columns(
    session: Questions,
    entry: Oid,
    columns: Iterable[int],
    rows_most: int,
    repetitions: int = 1,
    limits: Limits | None = None,
) -> list[Varbind]:
    """Read the first rows of some columns of a table, sorted by OID.

    A GETNEXT asks for the next row of all columns, which every version can; with more
    `repetitions` a GETBULK asks for as many rows. Raises what `walk` raises, and NotApplicable
    where there is no GETBULK.
    """
    roots = [f"{entry}.{column}" for column in columns]
    found = await _walk(session, roots, rows_most, repetitions, limits or Limits())
    return sorted(found, key=lambda varbind: key(varbind.oid))


async def detect(client: Client, target: Target) -> str:
    """Return the highest version that a device answers: "2c", else "1"; "3" where we have a user.

    Raises NoAnswer after twice the patience of the target: silence is all that a device has for
    a version that it does not speak.
    """
    versions = ("3",) if target.version == "3" else ("2c", "1")
    for version in versions:
        session = await client.open(replace(target, version=version))
        try:
            await session.get(UPTIME)
        except NoAnswer as silence:
            last = silence
        except Refused:
            return version
        else:
            return version
        finally:
            session.close()
    raise last


@dataclass(slots=True)
class Branch:
    """What has been read of a subtree."""

    root: tuple[int, ...]
    most: int
    last: Oid
    found: list[Varbind] = field(default_factory=list)
    ended: bool = False

    def take(self, target: Target, varbind: Varbind) -> None:
        """Add what follows, unless it lies behind the end; raises Refused for circles."""
        if self.ended:
            return
        numbers = key(varbind.oid)
        if varbind.end:
            self.ended = True
        elif numbers <= key(self.last):
            raise Refused(
                f"{target} goes in circles: its OIDs do not increase",
                why=f"it says that {varbind.oid} follows {self.last}",
                fix="ask for known OIDs there, by GET",
                status="notIncreasing",
            )
        elif numbers[: len(self.root)] != self.root:
            self.ended = True
        else:
            self.found.append(varbind)
            self.last = varbind.oid
            self.ended = len(self.found) >= self.most


async def _walk(
    session: Questions, roots: Sequence[Oid], most: int, repetitions: int, limits: Limits
) -> list[Varbind]:
    """Read the first `most` values of some subtrees, side by side."""
    target = session.target
    branches = [Branch(key(root), most, root, ended=most < 1) for root in roots]

    async def ask(size: int) -> None:
        asked = open_[:size]
        names = [branch.last for branch in asked]
        try:
            if repetitions > 1:
                rows = size // len(asked)
                answer = await session.get_bulk(*names, repetitions=rows)
            else:
                answer = await session.get_next(*names)
        except Refused as refused:
            # So says SNMPv1 that nothing follows.
            if refused.status != "noSuchName":
                raise
            if 1 <= refused.index <= len(asked):
                asked[refused.index - 1].ended = True
            elif len(asked) == 1:
                asked[0].ended = True
            else:
                await ask(1)
            return
        if not answer:
            raise Refused(f"{target} sends an answer without values", status="badAnswer")
        for at, varbind in enumerate(answer):
            asked[at % len(asked)].take(target, varbind)

    while open_ := [branch for branch in branches if not branch.ended]:
        read = sum(len(branch.found) for branch in branches)
        rows = min(repetitions, most - min(len(branch.found) for branch in open_))
        await _ask_for_less(session, limits, rows * len(open_), ask, read)
    return [varbind for branch in branches for varbind in branch.found]


async def _get(session: Questions, oids: Sequence[Oid]) -> list[Varbind]:
    """Get values; those that the device does not know are None, in SNMPv1 too."""
    # SNMPv1 refuses the whole request for one missing OID, and names only one.
    known = list(range(len(oids)))
    found = [Varbind(oid, None) for oid in oids]
    while known:
        try:
            answer = await session.get(*(oids[at] for at in known))
        except Refused as refused:
            if refused.status != "noSuchName":
                raise
            if 1 <= refused.index <= len(known):
                del known[refused.index - 1]
            elif len(oids) == 1:
                break
            else:
                half = len(oids) // 2
                return await _get(session, oids[:half]) + await _get(session, oids[half:])
        else:
            for at, varbind in zip(known, answer, strict=True):
                found[at] = varbind
            break
    return found


async def _ask_for_less(
    session: Questions,
    limits: Limits,
    wanted: int,
    ask: Callable[[int], Awaitable[None]],
    read: int,
) -> None:
    """Ask for so many varbinds, or for fewer where that is too much for the device."""
    target = session.target
    size = limits.at_most(target, wanted)
    while True:
        try:
            return await ask(size)
        except Refused as refused:
            if refused.status != "tooBig" or size == 1:
                raise
        except NoAnswer as silence:
            if size == 1:
                raise _after(silence, target, read) from None
            try:
                await ask(1)
            except NoAnswer as again:
                raise _after(again, target, read) from None
            return limits.remember(target, size // 2)
        size //= 2
        limits.remember(target, size)


def _after(silence: NoAnswer, target: Target, read: int) -> NoAnswer:
    """Say how much had been read before."""
    if not read:
        return silence
    values = "1 value" if read == 1 else f"{read} values"
    return NoAnswer(
        f"{target} fell silent after {values}",
        why=f"{silence.what}, {silence.why}",
        fix=silence.fix,
    )
