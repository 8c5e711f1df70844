"""Ask one device one question, and check that the answer is an answer to it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, cast

from perfkit.errors import CannotRun, NoAnswer, NotApplicable, Refused, UsageError
from perfkit.extras import require
from perfkit.snmp.message import Pdu
from perfkit.snmp.target import Target

if TYPE_CHECKING:
    from perfkit.snmp.datagrams import Peer
    from perfkit.snmp.secure import Engine

Oid: TypeAlias = str
"""Numbers and dots, such as 1.3.6.1.2.1.1.3.0."""
Value: TypeAlias = int | bytes | str | None
"""A string is an OID or an IP address; None: the device has no such value."""


class Varbind(NamedTuple):
    """An OID and its value; `end` says that the device has nothing behind it."""

    oid: Oid
    value: Value
    end: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a device answered."""

    status: int
    index: int
    varbinds: list[Varbind]


class Lost(Exception):
    """No attempt was answered.

    `trouble` is what the system said of the way, `strays` how many other datagrams came; `greeted`:
    the device has told its engine ID, and nothing since.
    """

    def __init__(self, trouble: str = "", strays: int = 0, *, greeted: bool = False) -> None:
        super().__init__()
        self.trouble = trouble
        self.strays = strays
        self.greeted = greeted


class Reported(Exception):
    """The engine of SNMPv3, ours or the device's, does not let the question through."""

    def __init__(self, report: str) -> None:
        super().__init__()
        self.report = report


class Unreadable(Exception):
    """An answer cannot be decoded."""


class Line(Protocol):
    """A way to a device that speaks one version."""

    async def ask(self, pdu: Pdu, names: Sequence[tuple[int, ...]], repetitions: int) -> Reply:
        """Return the answer; raises Lost, Reported and Unreadable."""

    def close(self) -> None:
        """Close what is open."""


OID = re.compile(r"([01]\.[123]?[0-9]|2\.(0|[1-9][0-9]{0,9}))(\.(0|[1-9][0-9]{0,9}))*")
"""What can be encoded, written in the one way in which it is read."""
LARGEST = 2**32 - 1
STATUSES = (
    "noError",
    "tooBig",
    "noSuchName",
    "badValue",
    "readOnly",
    "genErr",
    "noAccess",
    "wrongType",
    "wrongLength",
    "wrongEncoding",
    "wrongValue",
    "noCreation",
    "inconsistentValue",
    "resourceUnavailable",
    "commitFailed",
    "undoFailed",
    "authorizationError",
    "notWritable",
    "inconsistentName",
)
"""The names of the error statuses, by number. Source: RFC 3416, section 3."""
REFUSALS = {
    "tooBig": ("its answer does not fit into one message", "ask for less at once"),
    "noSuchName": ("it has no such value", ""),
    "genErr": ("it failed, for a reason that it does not say", "ask for less at once"),
    "noAccess": ("who asks may not read this", "allow it on the device"),
    "authorizationError": (
        "who asks may not ask so",
        "allow it on the device; in SNMPv3, check PERFKIT_SNMP_AUTH and PERFKIT_SNMP_PRIVACY",
    ),
}
"""Why a device says no, and what to do."""
REPORTS = {
    "unknownUserName": ("it does not know this user", "check the user's name"),
    "wrongDigest": (
        "the authentication password or protocol is not the user's",
        "check PERFKIT_SNMP_AUTH_PASSWORD and PERFKIT_SNMP_AUTH",
    ),
    "decryptionError": (
        "the privacy password or protocol is not the user's",
        "check PERFKIT_SNMP_PRIVACY_PASSWORD and PERFKIT_SNMP_PRIVACY",
    ),
    "unsupportedSecurityLevel": (
        "the user may not ask with these protocols",
        "check PERFKIT_SNMP_AUTH and PERFKIT_SNMP_PRIVACY (none: no encryption)",
    ),
    "notInTimeWindow": (
        "its clock is not the one that it told",
        "ask again; two devices with one engine ID look like this",
    ),
    "unknownEngineID": (
        "it does not know its own engine ID",
        "ask again; a device behind a balancer, or two with one address, look like this",
    ),
}
"""Why a report of SNMPv3 says no, and what to do."""


class Client:
    """Sessions on the running event loop; `close` leaves no socket, task or timer of theirs."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._engines: dict[tuple[object, ...], Engine] = {}

    async def open(self, target: Target) -> Session:
        """Open a session; sends nothing yet.

        Raises MissingExtra, UsageError (no such protocol) and CannotRun (the host's name is not
        known).
        """
        require("pysnmp.proto.api", "snmp")
        family, peer = await _look_up(target)
        line: Line
        if target.version == "3":
            from perfkit.snmp.secure import Secure

            line = Secure(target, self._engine(target), family, peer)
        else:
            from perfkit.snmp.community import Community

            line = Community(target, family, peer)
        self._lines.append(line)
        return Session(target, line)

    def close(self) -> None:
        """Close all sessions."""
        for line in self._lines:
            line.close()
        for engine in self._engines.values():
            engine.close()
        self._lines.clear()
        self._engines.clear()

    def _engine(self, target: Target) -> Engine:
        """Return the engine for the target's keys: it takes a tenth of a second to start."""
        from perfkit.snmp.secure import Engine

        keys = (
            target.user,
            target.auth,
            target.auth_password,
            target.privacy,
            target.privacy_password,
        )
        if keys not in self._engines:
            self._engines[keys] = Engine(target)
        return self._engines[keys]


class Session:
    """Questions to one device, any number at the same time.

    Every question raises NoAnswer (nothing came back after all attempts), Refused (the device
    answers with an error, or something that is no answer) and UsageError (no OID).
    """

    def __init__(self, target: Target, line: Line) -> None:
        self.target = target
        self._line = line

    def close(self) -> None:
        """Close this session alone."""
        self._line.close()

    async def get(self, *oids: Oid) -> list[Varbind]:
        """Return the values of these OIDs, in this order."""
        found = await self._ask(Pdu.GET, oids)
        if list(oids) != [varbind.oid for varbind in found]:
            raise self._no_answer_to(Pdu.GET, oids, "it names other OIDs than the question")
        return found

    async def get_next(self, *oids: Oid) -> list[Varbind]:
        """Return what follows each of these OIDs."""
        found = await self._ask(Pdu.GET_NEXT, oids)
        if len(oids) != len(found):
            raise self._no_answer_to(
                Pdu.GET_NEXT, oids, f"its varbinds are {len(found)}, not {len(oids)}"
            )
        return found

    async def get_bulk(self, *oids: Oid, repetitions: int) -> list[Varbind]:
        """Return what follows each of these OIDs, then what follows that, and so on.

        The device may give less than asked for, but not nothing. Raises NotApplicable too.
        """
        if self.target.version == "1":
            raise NotApplicable("the device speaks SNMPv1, which has no GETBULK")
        found = await self._ask(Pdu.GET_BULK, oids, repetitions)
        if not found:
            raise self._no_answer_to(Pdu.GET_BULK, oids, "it is empty")
        return found

    async def _ask(self, pdu: Pdu, oids: Sequence[Oid], repetitions: int = 0) -> list[Varbind]:
        names = [parse(oid) for oid in oids]
        try:
            reply = await self._line.ask(pdu, names, repetitions)
        except Lost as lost:
            raise self._lost(pdu, oids, lost) from None
        except Unreadable:
            raise self._no_answer_to(pdu, oids, "it cannot be decoded") from None
        except Reported as reported:
            raise self._reported(pdu, oids, reported.report) from None
        if reply.status:
            raise self._refused(pdu, oids, reply)
        return reply.varbinds

    def _lost(self, pdu: Pdu, oids: Sequence[Oid], lost: Lost) -> NoAnswer:
        attempts = 1 + self.target.retries
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        why = f"{times} of {self.target.timeout:g} s"
        if lost.trouble:
            why += f"; the system says: {lost.trouble}"
        if lost.strays:
            why += f"; other datagrams that came: {lost.strays}"
        if lost.greeted:
            why += "; it told its engine ID, and nothing since"
            fix = (
                "check PERFKIT_SNMP_PRIVACY_PASSWORD and PERFKIT_SNMP_PRIVACY:\n"
                "most devices drop what they cannot decrypt without a word"
            )
        elif self.target.version == "3":
            fix = "is it reachable, at this UDP port, and does it speak SNMPv3?"
        else:
            fix = (
                "is it reachable, at this UDP port, and is this its community?\n"
                f"a device that does not speak SNMPv{self.target.version} says nothing"
            )
        return NoAnswer(f"no answer from {self.target} to {name(pdu, oids)}", why=why, fix=fix)

    def _refused(self, pdu: Pdu, oids: Sequence[Oid], reply: Reply) -> Refused:
        status = STATUSES[reply.status] if 0 < reply.status < len(STATUSES) else str(reply.status)
        index = reply.index if 0 < reply.index <= len(oids) else 0
        asked = name(pdu, [oids[index - 1]]) if index else name(pdu, oids)
        why, fix = REFUSALS.get(status, ("", ""))
        what = f"{self.target} answers {asked} with {status}"
        return Refused(what, why=why, fix=fix, status=status, index=index)

    def _reported(self, pdu: Pdu, oids: Sequence[Oid], report: str) -> Refused:
        status = report[:1].lower() + report[1:]
        why, fix = (REPORTS | REFUSALS).get(status, ("SNMPv3 does not let it through", ""))
        return Refused(
            f"{self.target} refuses {name(pdu, oids)}: {status}", why=why, fix=fix, status=status
        )

    def _no_answer_to(self, pdu: Pdu, oids: Sequence[Oid], why: str) -> Refused:
        return Refused(
            f"what {self.target} sends back is no answer to {name(pdu, oids)}",
            why=why,
            status="badAnswer",
        )


def parse(oid: Oid) -> tuple[int, ...]:
    """Return an OID's numbers; raises UsageError."""
    numbers = tuple(map(int, oid.split("."))) if OID.fullmatch(oid) else ()
    if not numbers or max(numbers) > LARGEST:
        raise UsageError(f"'{oid}' is no OID", fix="such as 1.3.6.1.2.1.1.3.0")
    return numbers


def name(pdu: Pdu, oids: Sequence[Oid]) -> str:
    """Say which question it was."""
    first = f"{pdu} {oids[0]}" if oids else f"an empty {pdu}"
    return first if len(oids) <= 1 else f"{first} and {len(oids) - 1} more"


async def _look_up(target: Target) -> tuple[int, Peer]:
    loop = asyncio.get_running_loop()
    try:
        try:
            found = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise CannotRun(
            f"the host of {target} is not known",
            why=getattr(error, "strerror", "") or "",
            fix="check its name",
        ) from None
    family, _, _, _, peer = found[0]
    return family, cast("Peer", peer)
