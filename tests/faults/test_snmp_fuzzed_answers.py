"""A storm of mutated answers before each real one: the session neither crashes, hangs nor errs."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import socket
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import pytest
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c
from snmp_agents import SECRETS, agents
from snmp_responder import Asked, responder

from perfkit.backends.snmp_table import Device
from perfkit.errors import PerfkitError
from perfkit.snmp import message, poll
from perfkit.snmp.session import Client, Session, Varbind
from perfkit.snmp.target import Target

PATIENCE = 60.0
"""Seconds after which a question hangs, however slow the machine is."""
DESCRIPTION = "1.3.6.1.2.1.1.1.0"
UPTIME = "1.3.6.1.2.1.1.3.0"
MISSING = "1.3.6.1.2.1.1.99.0"
ENTRY = "1.3.6.1.2.1.2.2.1"
COLUMN = f"{ENTRY}.2"
ROWS = [f"{COLUMN}.{row}" for row in range(1, 6)]


class Question(NamedTuple):
    """What is asked, and whether the OIDs of an answer belong to it."""

    ask: Callable[[Session], Awaitable[list[Varbind]]]
    fits: Callable[[list[str]], bool]


def just(*oids: str) -> Callable[[list[str]], bool]:
    return lambda found: list(oids) == found


def are_below(*roots: str) -> Callable[[list[str]], bool]:
    def fits(found: list[str]) -> bool:
        numbers = [poll.key(oid) for oid in found]
        each_once = sorted(set(numbers)) == numbers
        return each_once and all(
            oid.startswith(tuple(f"{root}." for root in roots)) for oid in found
        )

    return fits


QUESTIONS = {
    "one value": Question(lambda session: session.get(UPTIME), just(UPTIME)),
    "six values": Question(
        lambda session: session.get(DESCRIPTION, *ROWS), just(DESCRIPTION, *ROWS)
    ),
    "a value that is missing": Question(
        lambda session: session.get(UPTIME, MISSING), just(UPTIME, MISSING)
    ),
    "what follows": Question(
        lambda session: session.get_next(DESCRIPTION, COLUMN), lambda found: len(found) == 2
    ),
    "much that follows": Question(
        lambda session: session.get_bulk(COLUMN, repetitions=8), lambda found: len(found) > 0
    ),
    "known values": Question(
        lambda session: poll.get_all(session, [*ROWS, MISSING, UPTIME], at_once=4),
        just(*ROWS, MISSING, UPTIME),
    ),
    "a column": Question(
        lambda session: poll.walk(session, COLUMN, repetitions=3, most=20), are_below(COLUMN)
    ),
    "two columns": Question(
        lambda session: poll.walk_columns(session, ENTRY, (1, 2), 5),
        are_below(f"{ENTRY}.1", f"{ENTRY}.2"),
    ),
}
Mutation: TypeAlias = Callable[["Storm", bytes], bytes]


class Storm:
    """Ask the agent on behalf of who asks us, and answer with mutated copies first."""

    def __init__(self, port: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.mutations: list[str] = []
        """Which are used now; none means calm."""
        self.sent: Counter[str] = Counter()
        self.earlier: deque[bytes] = deque(maxlen=20)
        self._agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._agent.connect(("127.0.0.1", port))
        self._agent.settimeout(PATIENCE)

    def close(self) -> None:
        self._agent.close()

    def answer(self, asked: Asked) -> Iterator[bytes]:
        self._agent.send(asked.datagram)
        real = self._agent.recv(65_535)
        if self.mutations:
            for name in self.chance.choices(self.mutations, k=self.chance.randint(1, 3)):
                yield (STRAYS | TAMPERED)[name](self, real)
                self.sent[name] += 1
        self.earlier.append(real)
        yield real

    def place_in(self, answer: bytes) -> int:
        return self.chance.randrange(len(answer))


def make_up(storm: Storm, _answer: bytes) -> bytes:
    return storm.chance.randbytes(storm.chance.randint(0, 200))


def cut(storm: Storm, answer: bytes) -> bytes:
    return answer[: storm.place_in(answer)]


def prolong(storm: Storm, answer: bytes) -> bytes:
    return answer + storm.chance.randbytes(storm.chance.randint(1, 9))


def repeat_an_earlier_one(storm: Storm, answer: bytes) -> bytes:
    return storm.chance.choice(storm.earlier) if storm.earlier else cut(storm, answer)


def name_another_request(storm: Storm, answer: bytes) -> bytes:
    answer = with_other_values(answer)
    number = message.read(answer).request
    width = (number.bit_length() + 8) // 8
    head = bytes([0x02, width])
    other = number ^ (1 << storm.chance.randrange(8 * width - 1))
    old, new = (head + each.to_bytes(width, signed=True) for each in (number, other))
    return answer.replace(old, new, 1)


def name_another_version(storm: Storm, answer: bytes) -> bytes:
    answer = with_other_values(answer)
    at = 4 + max(0, answer[1] - 0x80)
    others = {0, 1, 2, 3} - {answer[at]}
    return answer[:at] + bytes([storm.chance.choice(sorted(others))]) + answer[at + 1 :]


def be_no_response(storm: Storm, answer: bytes) -> bytes:
    if message.read(answer).version == "3":
        return cut(storm, answer)
    kind = storm.chance.choice((0xA0, 0xA1, 0xA3, 0xA5, 0xA6, 0xA7, 0xA8))
    return with_other_values(answer).replace(b"\xa2", bytes([kind]), 1)


def with_other_values(answer: bytes) -> bytes:
    """Return an answer that is wrong, should it be taken for one."""
    return rewrite(answer, lambda found: [(oid, v2c.Integer32(7)) for oid, _ in found])


def rewrite(answer: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    """Change the varbinds, unless they are signed."""
    if message.read(answer).version == "3":
        return answer
    whole, _ = decoder.decode(answer, asn1Spec=v2c.Message())
    body = v2c.apiMessage.get_pdu(whole)
    v2c.apiPDU.set_varbinds(body, change(v2c.apiPDU.get_varbinds(body)))
    return bytes(encoder.encode(whole))


STRAYS: dict[str, Mutation] = {
    "made up": make_up,
    "cut": cut,
    "prolonged": prolong,
    "earlier": repeat_an_earlier_one,
    "another request": name_another_request,
    "another version": name_another_version,
    "no response": be_no_response,
}
"""What answers no question that is open: to be ignored, so that the real answer is found."""


def flip_bits(storm: Storm, answer: bytes) -> bytes:
    new = bytearray(answer)
    for _ in range(storm.chance.randint(1, 8)):
        new[storm.place_in(answer)] ^= 1 << storm.chance.randrange(8)
    return bytes(new)


def change_a_length(storm: Storm, answer: bytes) -> bytes:
    new = bytearray(answer)
    small = [at for at, byte in enumerate(answer) if byte <= len(answer)]
    new[storm.chance.choice(small)] = storm.chance.choice((0, 1, 2, 127, 128, 129, 132, 255))
    return bytes(new)


def splice(storm: Storm, answer: bytes) -> bytes:
    other = repeat_an_earlier_one(storm, answer) or answer
    return answer[: storm.place_in(answer)] + other[storm.place_in(other) :]


def change_the_number_of_varbinds(storm: Storm, answer: bytes) -> bytes:
    return rewrite(
        answer,
        lambda found: storm.chance.choices(found, k=storm.chance.randrange(2 * len(found) + 1)),
    )


def shuffle_the_varbinds(storm: Storm, answer: bytes) -> bytes:
    return rewrite(answer, lambda found: storm.chance.sample(found, len(found)))


TAMPERED: dict[str, Mutation] = {
    "flipped bits": flip_bits,
    "a wrong length": change_a_length,
    "spliced": splice,
    "more or fewer varbinds": change_the_number_of_varbinds,
    "other places": shuffle_the_varbinds,
}
"""What still may look like the answer: SNMPv1 and SNMPv2c cannot tell every such one from it."""


async def outcome(session: Session, question: Question) -> list[Varbind] | tuple[str, str]:
    """Return the answer, or the error that is one of ours."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await question.ask(session)
        except PerfkitError as error:
            return type(error).__name__, error.what


@pytest.fixture
def behind(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[list[object]]:
    """Collect what is raised behind our back; that, what is written and what is logged is wrong."""
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    with caplog.at_level(logging.WARNING):
        yield raised
        gc.collect()
    assert raised == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Session]:
    client = Client()
    try:
        yield await client.open(target)
    finally:
        client.close()
        await asyncio.sleep(0)


async def endure(storm: Storm, target: Target, mutants: int) -> Counter[str]:
    """Ask until so many mutants have come, and say what came of it."""
    outcomes: Counter[str] = Counter()
    questions = {
        name: question
        for name, question in QUESTIONS.items()
        if target.version != "1" or name != "much that follows"
    }
    async with opened(target) as session:
        expected = {name: await outcome(session, asked) for name, asked in questions.items()}
    assert expected["one value"] == [Varbind(UPTIME, 123_456_789)]
    while storm.sent.total() < mutants:
        strays_only = storm.chance.random() < 0.4
        # How SNMPv3 gets to know a device is not signed: who is told a lie then, believes it.
        lied_to = target.version == "3" and not strays_only and storm.chance.random() < 0.5
        async with opened(replace(target, timeout=0.2) if lied_to else target) as session:
            if not (strays_only or lied_to):
                assert expected["one value"] == await outcome(session, questions["one value"])
            storm.mutations = [*STRAYS] if strays_only else [*STRAYS, *TAMPERED, *TAMPERED]
            for name in storm.chance.choices(list(questions), k=1 if lied_to else 10):
                found = await outcome(session, questions[name])
                if found == expected[name]:
                    outcomes["right"] += 1
                    continue
                assert not strays_only, (name, found)
                if isinstance(found, list):
                    outcomes["altered"] += 1
                    assert questions[name].fits([oid for oid, *_ in found]), (name, found)
                else:
                    outcomes[found[0]] += 1
                    # The real answer always comes, too.
                    assert lied_to or found[0] == "Refused", (name, found)
            storm.mutations = []
            if not lied_to:
                assert expected["one value"] == await outcome(session, questions["one value"])
    async with opened(target) as session:
        for name, asked in questions.items():
            assert expected[name] == await outcome(session, asked)
    return outcomes


def survive(version: str, mutants: int, behind: list[object]) -> Counter[str]:
    """Send a storm over a session of this version, and say what came of it."""

    async def run(storm: Storm, port: int) -> Counter[str]:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: behind.append(what))
        target = Target(
            "127.0.0.1",
            port,
            version,
            community=SECRETS["community"],
            user=SECRETS["user"],
            auth_password=SECRETS["auth_password"],
            privacy_password=SECRETS["privacy_password"],
            timeout=PATIENCE / 4,
            retries=1,
        )
        return await endure(storm, target, mutants)

    with (
        agents(Device("switch", version=version)) as running,
        closing(Storm(running.ports[0], seed=5)) as storm,
        responder(storm.answer) as between,
    ):
        outcomes = asyncio.run(run(storm, between.port))
    assert set(storm.sent) == {*STRAYS, *TAMPERED}
    assert storm.sent.total() >= mutants
    return outcomes


@pytest.mark.parametrize("version", ["1", "2c"])
def test_five_thousand_mutated_answers_are_survived(version: str, behind: list[object]) -> None:
    outcomes = survive(version, 5_000, behind)

    # Each of them often, or the storm proves nothing.
    assert set(outcomes) == {"right", "altered", "Refused"}
    assert min(outcomes.values()) > 20


def test_what_is_signed_is_right_or_refused_in_a_storm(behind: list[object]) -> None:
    outcomes = survive("3", 400, behind)

    assert outcomes["right"] > 20
    assert set(outcomes) <= {"right", "Refused", "NoAnswer"}
