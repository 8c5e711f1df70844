from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import random
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pysnmp.proto.api import v2c
from pysnmp.proto.rfc1905 import endOfMibView, noSuchInstance, noSuchObject
from snmp_agents import SECRETS, agents
from snmp_responder import Asked, responder

from perfkit.backends.snmp_table import Device
from perfkit.errors import (
    CannotRun,
    MissingExtra,
    NoAnswer,
    NotApplicable,
    PerfkitError,
    Refused,
    UsageError,
)
from perfkit.snmp import message
from perfkit.snmp.community import Community
from perfkit.snmp.message import Pdu
from perfkit.snmp.session import Client, Session, Value, Varbind
from perfkit.snmp.target import AUTHS, PRIVACIES, Target

DESCRIPTION = "1.3.6.1.2.1.1.1.0"
OBJECT_ID = "1.3.6.1.2.1.1.2.0"
UPTIME = "1.3.6.1.2.1.1.3.0"
NEIGHBOUR = "1.3.6.1.2.1.4.22.1.3.1.10.0.0.2"
MISSING = "1.3.6.1.2.1.1.99.0"
VERSIONS = ["1", "2c", "3"]
HERE = Target(
    host="127.0.0.1",
    community=SECRETS["community"],
    user=SECRETS["user"],
    auth_password=SECRETS["auth_password"],
    privacy_password=SECRETS["privacy_password"],
    timeout=10,
)


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    devices = [Device("switch", version=each, neighbours=("10.0.0.2",)) for each in VERSIONS]
    with agents(*devices, Device("small", max_bytes=300)) as running:
        yield dict(zip([*VERSIONS, "small"], running.ports, strict=True))


@pytest.fixture(params=VERSIONS)
def real(request: pytest.FixtureRequest, ports: dict[str, int]) -> Target:
    return replace(HERE, port=ports[request.param], version=request.param)


def ask(target: Target, question: Callable[[Session], Awaitable[Any]]) -> Any:
    """Ask one device, on a loop that reports whatever goes wrong behind our back."""

    async def asked() -> Any:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        client = Client()
        try:
            return await question(await client.open(target))
        finally:
            client.close()
            await asyncio.sleep(0)
            assert complaints == []

    return asyncio.run(asked())


def get(*oids: str) -> Callable[[Session], Awaitable[list[Varbind]]]:
    return lambda session: session.get(*oids)


# Real agents.


def test_values_are_plain_python(real: Target) -> None:
    found = ask(real, get(DESCRIPTION, OBJECT_ID, UPTIME, NEIGHBOUR))

    assert [
        Varbind(DESCRIPTION, b"perfkit simulated switch switch, 10 interfaces"),
        Varbind(OBJECT_ID, "1.3.6.1.4.1.32473.1.1"),
        Varbind(UPTIME, 123_456_789),
        Varbind(NEIGHBOUR, "10.0.0.2"),
    ] == found


def test_what_a_device_does_not_have_is_none_except_in_snmpv1(real: Target) -> None:
    if real.version == "1":
        with pytest.raises(Refused) as refused:
            ask(real, get(UPTIME, MISSING))
        assert (refused.value.status, refused.value.index) == ("noSuchName", 2)
        assert MISSING in refused.value.what
    else:
        found = ask(real, get(UPTIME, MISSING))
        assert [Varbind(UPTIME, 123_456_789), Varbind(MISSING, None)] == found


def test_what_follows_is_found(real: Target) -> None:
    found = ask(real, lambda session: session.get_next(DESCRIPTION, "1.3.6.1.2.1.2.1"))

    assert [varbind.oid for varbind in found] == [OBJECT_ID, "1.3.6.1.2.1.2.1.0"]


def test_getbulk_finds_what_follows_several_times(real: Target) -> None:
    async def bulk(session: Session) -> list[Varbind]:
        return await session.get_bulk("1.3.6.1.2.1.1", "1.3.6.1.2.1.2.2.1.1", repetitions=2)

    if real.version == "1":
        with pytest.raises(NotApplicable, match="SNMPv1, which has no GETBULK"):
            ask(real, bulk)
    else:
        expected = [DESCRIPTION, "1.3.6.1.2.1.2.2.1.1.1", OBJECT_ID, "1.3.6.1.2.1.2.2.1.1.2"]
        assert expected == [varbind.oid for varbind in ask(real, bulk)]


def test_the_end_of_all_values_is_told(real: Target) -> None:
    if real.version == "1":
        with pytest.raises(Refused, match="noSuchName"):
            ask(real, lambda session: session.get_next("2.5"))
    else:
        found = ask(real, lambda session: session.get_next("2.5"))
        assert [(varbind.value, varbind.end) for varbind in found] == [(None, True)]


def test_a_longer_answer_than_the_device_can_send_is_refused(ports: dict[str, int]) -> None:
    with pytest.raises(Refused) as refused:
        ask(replace(HERE, port=ports["small"]), get(*[DESCRIPTION] * 30))

    assert refused.value.status == "tooBig"
    assert refused.value.fix == "ask for less at once"


def test_a_longer_question_than_a_message_may_be_is_refused(ports: dict[str, int]) -> None:
    async def ask_too_much(session: Session) -> list[str]:
        statuses = []
        # The engine refuses in one way before it knows the device, in another way later.
        for _ in range(2):
            with pytest.raises(Refused, match="and 4999 more: tooBig") as refused:
                await session.get(*[UPTIME] * 5_000)
            statuses.append(refused.value.status)
            await session.get(UPTIME)
        return statuses

    found = ask(replace(HERE, port=ports["3"], version="3"), ask_too_much)

    assert found == ["tooBig", "tooBig"]


@pytest.mark.parametrize(
    ("wrong", "status", "fix"),
    [
        ({"user": "s3cret-stranger"}, "unknownUserName", "user"),
        ({"auth_password": "s3cret-other"}, "wrongDigest", "PERFKIT_SNMP_AUTH_PASSWORD"),
        ({"auth": "SHA256"}, "wrongDigest", "PERFKIT_SNMP_AUTH"),
        ({"privacy_password": "s3cret-other"}, "decryptionError", "PERFKIT_SNMP_PRIVACY_PASSWORD"),
        ({"privacy": "DES"}, "decryptionError", "PERFKIT_SNMP_PRIVACY"),
        ({"privacy": "none"}, "unsupportedSecurityLevel", "PERFKIT_SNMP_PRIVACY"),
    ],
    ids=["user", "auth password", "auth", "privacy password", "privacy", "level"],
)
def test_a_wrong_key_is_refused_and_says_which(
    wrong: dict[str, Any], status: str, fix: str, ports: dict[str, int]
) -> None:
    with pytest.raises(Refused) as refused:
        ask(replace(HERE, port=ports["3"], version="3", **wrong), get(UPTIME))

    assert status == refused.value.status
    assert fix in refused.value.fix
    assert "s3cret" not in say(refused.value)


def test_a_device_that_drops_what_it_cannot_decrypt_gives_a_hint(ports: dict[str, int]) -> None:
    # Net-snmp's agent does so, the embedded one reports it.
    def drop_encrypted(answer: bytes) -> bytes | None:
        return None if message.read(answer).pdu is Pdu.ENCRYPTED else answer

    with relay(ports["3"], drop_encrypted) as port, pytest.raises(NoAnswer) as silence:
        ask(replace(HERE, port=port, version="3", timeout=0.3, retries=1), get(UPTIME))

    assert "it told its engine ID, and nothing since" in silence.value.why
    assert "PERFKIT_SNMP_PRIVACY_PASSWORD" in silence.value.fix


def test_a_device_that_falls_silent_later_does_not_blame_the_keys(ports: dict[str, int]) -> None:
    answered: list[bytes] = []

    def fall_silent(answer: bytes) -> bytes | None:
        if message.read(answer).pdu is not Pdu.ENCRYPTED:
            return answer
        answered.append(answer)
        return answer if len(answered) == 1 else None

    async def twice(session: Session) -> None:
        await session.get(UPTIME)
        await session.get(UPTIME)

    with relay(ports["3"], fall_silent) as port, pytest.raises(NoAnswer) as silence:
        ask(replace(HERE, port=port, version="3", timeout=0.5, retries=1), twice)

    assert silence.value.why == "2 attempts of 0.5 s"


def test_sessions_with_other_keys_do_not_disturb_each_other(ports: dict[str, int]) -> None:
    right = replace(HERE, port=ports["3"], version="3")

    async def asked() -> list[object]:
        client = Client()
        try:
            sessions = [
                await client.open(target)
                for target in (right, replace(right, auth_password="s3cret-other"), right)
            ]
            questions = [session.get(UPTIME) for session in sessions * 5]
            return list(await asyncio.gather(*questions, return_exceptions=True))
        finally:
            client.close()

    answers = asyncio.run(asked())

    assert [list, Refused, list] * 5 == [type(answer) for answer in answers]


def test_many_questions_at_once_get_their_own_answers(real: Target) -> None:
    oids = [f"1.3.6.1.2.1.2.2.1.{column}.{row}" for column in (1, 2, 5) for row in range(1, 11)]

    async def one_after_the_other(session: Session) -> list[list[Varbind]]:
        return [await session.get(oid) for oid in oids]

    async def at_once(session: Session) -> list[list[Varbind]]:
        return await asyncio.gather(*(session.get(oid) for oid in oids))

    assert ask(real, one_after_the_other) == ask(real, at_once)


# Devices that misbehave.


def test_each_kind_of_question_is_on_the_wire_what_it_is_called() -> None:
    def answer(asked: Asked) -> list[bytes]:
        return [asked.answer(*((oid, 1) for oid in asked.oids))]

    async def everything(session: Session) -> None:
        await session.get(UPTIME, DESCRIPTION)
        await session.get_next(UPTIME, DESCRIPTION)
        if session.target.version == "1":
            with pytest.raises(NotApplicable):
                await session.get_bulk(UPTIME, repetitions=25)
        else:
            await session.get_bulk(UPTIME, repetitions=25)

    with responder(answer) as device:
        for version in ("1", "2c"):
            ask(replace(HERE, port=device.port, version=version), everything)

    assert [
        (m.version, m.pdu, m.varbinds, m.repetitions) for m in (a.message for a in device.asked)
    ] == [
        ("1", Pdu.GET, 2, 0),
        ("1", Pdu.GET_NEXT, 2, 0),
        ("2c", Pdu.GET, 2, 0),
        ("2c", Pdu.GET_NEXT, 2, 0),
        ("2c", Pdu.GET_BULK, 1, 25),
    ]


def test_all_types_of_values_are_known() -> None:
    values: dict[str, tuple[Any, Value]] = {
        "1.3.1": (v2c.Integer32(-1), -1),
        "1.3.2": (v2c.OctetString(b"\x00\xff"), b"\x00\xff"),
        "1.3.3": (v2c.ObjectIdentifier("1.3.6"), "1.3.6"),
        "1.3.4": (v2c.IpAddress("10.1.2.3"), "10.1.2.3"),
        "1.3.5": (v2c.Counter32(2**32 - 1), 2**32 - 1),
        "1.3.6": (v2c.Gauge32(5), 5),
        "1.3.7": (v2c.TimeTicks(6), 6),
        "1.3.8": (v2c.Opaque(b"\x9f"), b"\x9f"),
        "1.3.9": (v2c.Counter64(2**64 - 1), 2**64 - 1),
        "1.3.10": (v2c.Null(""), None),
        "1.3.11": (noSuchObject, None),
        "1.3.12": (noSuchInstance, None),
    }

    def answer(asked: Asked) -> list[bytes]:
        return [asked.answer(*((oid, value) for oid, (value, _) in values.items()))]

    with responder(answer) as device:
        found = ask(replace(HERE, port=device.port), get(*values))

    assert [Varbind(oid, plain) for oid, (_, plain) in values.items()] == found


def test_the_end_is_not_a_value() -> None:
    with responder(lambda asked: [asked.answer((UPTIME, endOfMibView))]) as device:
        found = ask(replace(HERE, port=device.port), lambda session: session.get_next(UPTIME))

    assert [Varbind(UPTIME, None, end=True)] == found


@pytest.mark.parametrize(
    ("question", "answered", "why"),
    [
        (get(UPTIME), [(DESCRIPTION, 1)], "other OIDs"),
        (get(UPTIME, DESCRIPTION), [(DESCRIPTION, 1), (UPTIME, 1)], "other OIDs"),
        (get(UPTIME, DESCRIPTION), [(UPTIME, 1)], "other OIDs"),
        (get(UPTIME), [(UPTIME, 1), (UPTIME, 1)], "other OIDs"),
        (get(UPTIME), [], "other OIDs"),
        (lambda session: session.get_next(UPTIME), [], "are 0, not 1"),
        (lambda session: session.get_next(UPTIME, UPTIME), [(UPTIME, 1)], "are 1, not 2"),
        (lambda session: session.get_bulk(UPTIME, repetitions=2), [], "empty"),
        (get(UPTIME), [(UPTIME, v2c.OctetString(b"4").clone(tagSet=v2c.IpAddress.tagSet))], "cod"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(
    question: Callable[[Session], Awaitable[Any]], answered: list[tuple[str, Any]], why: str
) -> None:
    with (
        responder(lambda asked: [asked.answer(*answered)]) as device,
        pytest.raises(Refused) as refused,
    ):
        ask(replace(HERE, port=device.port), question)

    assert refused.value.status == "badAnswer"
    assert why in refused.value.why
    assert len(device.asked) == 1


@pytest.mark.parametrize(
    ("status", "index", "name", "which"),
    [(5, 2, "genErr", 2), (16, 0, "authorizationError", 0), (99, 7, "99", 0)],
)
def test_an_error_has_its_name_and_its_variable(
    status: int, index: int, name: str, which: int
) -> None:
    def answer(asked: Asked) -> list[bytes]:
        return [asked.answer(status=status, index=index)]

    with responder(answer) as device, pytest.raises(Refused) as refused:
        ask(replace(HERE, port=device.port), get(UPTIME, DESCRIPTION))

    assert (name, which) == (refused.value.status, refused.value.index)
    assert (DESCRIPTION if which else f"{UPTIME} and 1 more") in refused.value.what


def test_all_attempts_have_one_request_id_so_that_a_late_answer_is_one() -> None:
    first: list[Asked] = []

    def be_late(asked: Asked) -> list[bytes]:
        # The first attempt is answered when the second comes in; the second is answered, too.
        first.append(asked)
        if asked.attempt == 1:
            return []
        return [first[0].answer((UPTIME, 1)), asked.answer((UPTIME, 2))]

    with responder(be_late) as device:
        found = ask(replace(HERE, port=device.port, timeout=0.3, retries=50), get(UPTIME))

    assert [Varbind(UPTIME, 1)] == found
    assert len(device.asked) >= 2
    assert len({asked.message.request for asked in device.asked}) == 1


def test_an_answer_to_an_earlier_question_is_not_an_answer_to_this_one() -> None:
    def answer_twice(asked: Asked) -> list[bytes]:
        earlier = device.asked[0]
        late = earlier.answer((UPTIME, 1))
        return [late, late, asked.answer((UPTIME, len(device.asked)))]

    async def twice(session: Session) -> list[list[Varbind]]:
        return [await session.get(UPTIME), await session.get(UPTIME)]

    with responder(answer_twice) as device:
        found = ask(replace(HERE, port=device.port), twice)

    assert [[Varbind(UPTIME, 1)], [Varbind(UPTIME, 2)]] == found


@pytest.mark.parametrize(
    "stray",
    [
        lambda asked: asked.answer((UPTIME, 1), request=asked.message.request ^ 1),
        lambda asked: asked.answer((UPTIME, 1), pdu=v2c.GetRequestPDU),
        lambda asked: asked.answer((UPTIME, 1), version=0),
        lambda _: b"",
        lambda _: b"\x30\x82",
        lambda asked: asked.answer((UPTIME, 1))[:-1],
        lambda _: b"\x30" * 60_000,
    ],
    ids=["other request-id", "a request", "other version", "nothing", "cut", "short", "deep"],
)
def test_strays_are_passed_over_and_counted(stray: Callable[[Asked], bytes]) -> None:
    with responder(lambda asked: [stray(asked), asked.answer((UPTIME, 2))]) as device:
        assert [Varbind(UPTIME, 2)] == ask(replace(HERE, port=device.port), get(UPTIME))

    with responder(lambda asked: [stray(asked)]) as device, pytest.raises(NoAnswer) as silence:
        ask(replace(HERE, port=device.port, timeout=0.2, retries=0), get(UPTIME))

    assert "other datagrams that came: 1" in silence.value.why


@pytest.mark.parametrize("version", VERSIONS)
def test_garbage_is_passed_over_without_noise(version: str) -> None:
    # pyasn1 has an error of its own for bad input; the second raises a TypeError instead.
    garbage = [b"", b"\x79\x4d", b"\x30" * 60_000, b"\x30\x80" * 30_000]

    with responder(lambda _: garbage) as device, pytest.raises(NoAnswer):
        ask(replace(HERE, port=device.port, version=version, timeout=0.3, retries=0), get(UPTIME))


def test_the_coarse_clock_of_the_engine_does_not_decide() -> None:
    with responder(lambda _: []) as device, pytest.raises(NoAnswer):
        ask(replace(HERE, port=device.port, version="3", timeout=2.5, retries=0), get(UPTIME))


def test_what_cannot_be_sent_is_lost() -> None:
    with responder(lambda _: []) as device, pytest.raises(NoAnswer) as silence:
        ask(replace(HERE, port=device.port, timeout=0.05, retries=0), get(*[UPTIME] * 6_000))

    assert "Message too long" in silence.value.why
    assert device.asked == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_that_is_silent_is_asked_as_often_as_was_said(version: str) -> None:
    with responder(lambda _: []) as device:
        target = replace(HERE, port=device.port, version=version, timeout=0.05, retries=3)
        with pytest.raises(NoAnswer) as silence:
            ask(target, get(UPTIME, DESCRIPTION))

    assert len(device.asked) == 4
    assert f"no answer from {target} to GET {UPTIME} and 1 more" == silence.value.what
    assert silence.value.why == "4 attempts of 0.05 s"
    assert f"SNMPv{version}" in silence.value.fix
    assert (version != "3") == ("community" in silence.value.fix)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_port_where_nobody_listens_is_no_answer(version: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as once:
        once.bind(("127.0.0.1", 0))
        port = once.getsockname()[1]
    target = replace(HERE, port=port, version=version, timeout=0.05, retries=1)

    with pytest.raises(NoAnswer) as silence:
        ask(target, get(UPTIME))

    assert "2 attempts of 0.05 s" in silence.value.why
    if version != "3":
        assert "Connection refused" in silence.value.why


def test_a_way_that_does_not_exist_is_named() -> None:
    # Broadcasts are not allowed, so nothing is sent.
    with pytest.raises(NoAnswer) as silence:
        ask(replace(HERE, host="255.255.255.255", timeout=0.05, retries=1), get(UPTIME))

    assert os.strerror(errno.EACCES) in silence.value.why


def test_a_device_that_comes_up_between_two_attempts_is_answered() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        port = device.getsockname()[1]
        device.close()

        async def come_up(session: Session) -> list[Varbind]:
            asking = asyncio.create_task(session.get(UPTIME))
            await asyncio.sleep(0.3)
            with responder(lambda asked: [asked.answer((UPTIME, 1))], port=port):
                return await asking

        found = ask(replace(HERE, port=port, timeout=0.2, retries=100), come_up)

    assert [Varbind(UPTIME, 1)] == found


def test_two_hundred_in_flight_are_answered_rightly_or_counted_as_lost() -> None:
    batch: list[bytes] = []

    def answer_some(asked: Asked) -> list[bytes]:
        # A quarter is lost; the others come ten at a time, the last first, some of them twice.
        number = int(asked.oids[0].rpartition(".")[2])
        if number % 4 == 0:
            return []
        batch.extend([asked.answer((asked.oids[0], number))] * (1 + (number % 3 == 0)))
        if len(batch) < 10 and number < 190:
            return []
        answers = batch[::-1]
        batch.clear()
        return answers

    async def ask_all(session: Session) -> list[list[Varbind] | BaseException]:
        questions = [session.get(f"1.3.{number}") for number in range(1, 201)]
        return await asyncio.gather(*questions, return_exceptions=True)

    with responder(answer_some) as device:
        answers = ask(replace(HERE, port=device.port, timeout=2, retries=0), ask_all)

    right = [number for number in range(1, 201) if answers[number - 1] == rightly(number)]
    lost = [number for number in range(1, 201) if isinstance(answers[number - 1], NoAnswer)]
    assert sorted(right + lost) == list(range(1, 201))
    assert {number for number in range(1, 201) if number % 4 == 0} <= set(lost)
    assert len(right) > 100


def rightly(number: int) -> list[Varbind]:
    return [Varbind(f"1.3.{number}", number)]


@contextmanager
def relay(port: int, change: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Relay to a real agent, and change its answers or drop them; yield the port."""
    stop = threading.Event()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back,
    ):
        front.bind(("127.0.0.1", 0))
        back.connect(("127.0.0.1", port))
        back.settimeout(5)

        def run() -> None:
            while True:
                datagram, sender = front.recvfrom(65_535)
                if stop.is_set():
                    return
                back.send(datagram)
                answer = change(back.recv(65_535))
                if answer is not None:
                    front.sendto(answer, sender)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield front.getsockname()[1]
        finally:
            stop.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", front.getsockname())
            thread.join()


def test_tampered_answers_end_in_an_answer_or_a_clear_error_and_no_noise(
    real: Target, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)

    def tamper(answer: bytes) -> bytes:
        changed = bytearray(answer)
        if chance.random() < 0.75:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)

    async def ask_often(session: Session) -> list[object]:
        return [
            await asyncio.gather(session.get(DESCRIPTION, UPTIME), return_exceptions=True)
            for _ in range(60)
        ]

    with relay(real.port, tamper) as port, caplog.at_level(logging.WARNING):
        target = replace(real, port=port, timeout=0.05, retries=0)
        answers = [answer for (answer,) in ask(target, ask_often)]

    assert {type(answer) for answer in answers} <= {list, NoAnswer, Refused}
    assert len(answers) == 60
    assert (capfd.readouterr().err, caplog.records) == ("", [])


# Opening and closing.


def files() -> int:
    """Count the open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closing_leaves_nothing(real: Target) -> None:
    async def open_and_close() -> int:
        client = Client()
        for _ in range(3):
            await (await client.open(real)).get(UPTIME)
        client.close()
        client.close()
        return len(asyncio.all_tasks())

    # The first engine of pysnmp loads its modules, which is not what is looked at here.
    asyncio.run(open_and_close())
    before = files()

    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(open_and_close())
    timers = [timer for timer in cast("Any", loop)._scheduled if not timer.cancelled()]
    loop.close()
    gc.collect()

    assert (1, [], before) == (tasks, timers, files())


def test_closing_cancels_who_still_waits() -> None:
    async def close_while_asking() -> bool:
        client = Client()
        session = await client.open(replace(HERE, port=device.port))
        asking = asyncio.create_task(session.get(UPTIME))
        await asyncio.sleep(0)
        client.close()
        await asyncio.wait((asking,))
        return asking.cancelled()

    with responder(lambda _: []) as device:
        assert asyncio.run(close_while_asking())


def test_one_session_can_be_closed_alone(ports: dict[str, int]) -> None:
    async def close_one() -> list[Varbind]:
        client = Client()
        target = replace(HERE, port=ports["2c"])
        closed, other = await client.open(target), await client.open(target)
        closed.close()
        # It gets the number of the file that was closed.
        another = await client.open(target)
        found = await other.get(UPTIME) + await another.get(UPTIME)
        client.close()
        return found

    assert [Varbind(UPTIME, 123_456_789)] * 2 == asyncio.run(close_one())


def test_a_question_that_is_given_up_leaves_nothing_waiting() -> None:
    async def give_up(session: Session) -> list[Varbind]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.get(DESCRIPTION)
        found = await session.get(UPTIME)
        assert isinstance(session._line, Community)
        assert session._line._waiting == {}
        return found

    with responder(
        lambda asked: [asked.answer((UPTIME, 1))] if UPTIME in asked.oids else []
    ) as device:
        assert [Varbind(UPTIME, 1)] == ask(replace(HERE, port=device.port), give_up)


def test_twenty_clients_can_follow_each_other_and_live_together(ports: dict[str, int]) -> None:
    targets = [replace(HERE, port=ports[version], version=version) for version in VERSIONS]

    async def together() -> list[Varbind]:
        # An engine of SNMPv3 takes a while to start, so only one of four has one.
        clients = [Client() for _ in range(4)]
        sessions = [await client.open(t) for client in clients for t in targets[:2]]
        sessions.append(await clients[0].open(targets[2]))
        found = await asyncio.gather(*(session.get(UPTIME) for session in sessions))
        for client in clients:
            client.close()
        return [varbind for varbinds in found for varbind in varbinds]

    for _ in range(5):
        assert [Varbind(UPTIME, 123_456_789)] * 9 == asyncio.run(together())


def test_four_threads_ask_at_once_each_with_a_client_of_its_own(real: Target) -> None:
    oids = [f"1.3.6.1.2.1.2.2.1.1.{row}" for row in range(1, 11)]
    begin = threading.Barrier(4)
    found: list[list[object]] = []

    def work() -> None:
        begin.wait()
        values: list[object] = []
        for _ in range(2):

            async def ask_all(session: Session) -> list[Varbind]:
                return [(await session.get(oid))[0] for oid in oids * 2]

            values += [varbind.value for varbind in ask(real, ask_all)]
        found.append(values)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [list(range(1, 11)) * 4] * 4 == found


def test_ipv6_is_spoken() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    def answer(asked: Asked) -> list[bytes]:
        return [asked.answer((UPTIME, 1))] if asked.message.version == "2c" else []

    with responder(answer, family=socket.AF_INET6) as device:
        target = replace(HERE, host="::1", port=device.port)
        assert [Varbind(UPTIME, 1)] == ask(target, get(UPTIME))
        hurried = replace(target, version="3", timeout=0.05, retries=0)
        with pytest.raises(NoAnswer):
            ask(hurried, get(UPTIME))

    assert [asked.message.version for asked in device.asked] == ["2c", "3"]


def test_a_name_is_looked_up(ports: dict[str, int]) -> None:
    target = replace(HERE, host="localhost", port=ports["2c"])
    found = socket.getaddrinfo("localhost", 0, type=socket.SOCK_DGRAM)
    if found[0][0] is not socket.AF_INET:
        pytest.skip("localhost is no IPv4 address here")

    assert [Varbind(UPTIME, 123_456_789)] == ask(target, get(UPTIME))


def test_looking_up_a_name_does_not_stop_the_loop(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    on_the_loop: list[int] = []

    def record(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            on_the_loop.append(named["flags"])
        return look_up(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    for host in ("127.0.0.1", "localhost"):
        with suppress(NoAnswer):
            target = replace(HERE, host=host, port=ports["2c"], timeout=0.5, retries=0)
            ask(target, get(UPTIME))

    assert on_the_loop == [socket.AI_NUMERICHOST] * 2


@pytest.mark.parametrize("host", ["no.such.name.invalid", "a" * 300, "ex ample"])
def test_an_unknown_name_is_said_to_be_unknown(host: str) -> None:
    with pytest.raises(CannotRun, match="is not known"):
        ask(replace(HERE, host=host), get(UPTIME))


@pytest.mark.parametrize(
    "oid",
    [
        *("", "1", "1.", ".1.3", "1.3.", "1.3..6", "1.40", "3.1", "1.3.-1", "1.3.01", " 1.3"),
        *("1.3.4294967296", "sysUpTime.0", "1.3.\u0661", "1_0.3"),
        # Python itself refuses to read so long a number.
        *("1.3." + "9" * 5_000, "2." + "9" * 5_000),
    ],
)
def test_what_is_no_oid_is_not_sent(oid: str) -> None:
    with responder(lambda _: []) as device, pytest.raises(UsageError, match="is no OID"):
        ask(replace(HERE, port=device.port), get(oid))

    assert device.asked == []


@pytest.mark.parametrize("oid", ["0.0", "1.39", "2.999", "1.3.6.1.4294967295", "2.4294967295"])
def test_unusual_oids_go_there_and_back(oid: str) -> None:
    with responder(lambda asked: [asked.answer((asked.oids[0], 1))]) as device:
        assert [Varbind(oid, 1)] == ask(replace(HERE, port=device.port), get(oid))


@pytest.mark.parametrize("wrong", [{"auth": "CRC32"}, {"privacy": "ROT13"}])
def test_an_unknown_protocol_says_which_there_are(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as error:
        ask(replace(HERE, version="3", **wrong), get(UPTIME))

    assert ("SHA256" if "auth" in wrong else "AES256") in error.value.fix


def test_each_protocol_that_a_target_may_have_is_known() -> None:
    from perfkit.snmp import secure

    assert set(AUTHS) == set(secure.AUTH)
    assert set(PRIVACIES) == {*secure.PRIVACY, "none"}


def test_encryption_says_which_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(MissingExtra) as missing:
        ask(replace(HERE, version="3"), get(UPTIME))

    assert missing.value.fix == "pip install 'perfkit[snmp]'"


def say(error: PerfkitError) -> str:
    """Everything that is told about an error."""
    return f"{error!r} {error.what} {error.why} {error.fix}"


def test_no_secret_is_told(real: Target) -> None:
    with responder(lambda _: []) as device:
        target = replace(real, port=device.port, timeout=0.05, retries=0)
        with pytest.raises(NoAnswer) as silence:
            ask(target, get(UPTIME))

    assert "s3cret" not in say(silence.value)
    assert "s3cret" not in repr(target)
