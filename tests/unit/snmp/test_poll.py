from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snmp_agents import SECRETS, agents
from snmp_responder import Asked, responder

from perfkit.backends.snmp_table import Device, rows
from perfkit.errors import NoAnswer, NotApplicable, Refused
from perfkit.snmp.poll import Limits, detect, get_all, key, walk, walk_columns
from perfkit.snmp.session import Client, Session, Varbind
from perfkit.snmp.target import Target

TABLE = "1.3.6.1.2.1.2.2.1"
HERE = Target(
    host="127.0.0.1",
    community=SECRETS["community"],
    user=SECRETS["user"],
    auth_password=SECRETS["auth_password"],
    privacy_password=SECRETS["privacy_password"],
    timeout=10,
)


@dataclass
class Scripted:
    """A device in this process: it follows the rules, but for what a test sets."""

    table: dict[str, int]
    version: str = "2c"
    too_big: int = 1_000
    """An answer with more is tooBig."""
    drops: int = 1_000
    """An answer with more never arrives."""
    cap: int = 1_000
    """A GETBULK gets no more, whatever it asks for."""
    dies_after: int = 1_000_000
    """How many questions are answered at all."""
    mute_index: bool = False
    """Errors do not say which variable they are about."""
    asked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return Target(host="scripted", version=self.version)

    def __post_init__(self) -> None:
        self.sorted = sorted(self.table, key=key)

    def after(self, oid: str) -> Varbind:
        later = [known for known in self.sorted if key(known) > key(oid)]
        if later:
            return Varbind(later[0], self.table[later[0]])
        if self.version == "1":
            raise IndexError
        return Varbind(oid, None, end=True)

    def count(self, pdu: str, oids: Sequence[str], answered: int) -> None:
        assert oids
        self.asked.append((pdu, answered))
        if len(self.asked) > self.dies_after or answered > self.drops:
            raise NoAnswer("no answer to the question", why="1 attempt", fix="look")
        if answered > self.too_big:
            raise Refused("too big", status="tooBig")

    def no_such_name(self, at: int) -> Refused:
        return Refused("none", status="noSuchName", index=0 if self.mute_index else at + 1)

    async def get(self, *oids: str) -> list[Varbind]:
        self.count("GET", oids, len(oids))
        if self.version == "1":
            for at, oid in enumerate(oids):
                if oid not in self.table:
                    raise self.no_such_name(at)
        return [Varbind(oid, self.table.get(oid)) for oid in oids]

    async def get_next(self, *oids: str) -> list[Varbind]:
        self.count("GETNEXT", oids, len(oids))
        found = []
        for at, oid in enumerate(oids):
            try:
                found.append(self.after(oid))
            except IndexError:
                raise self.no_such_name(at) from None
        return found

    async def get_bulk(self, *oids: str, repetitions: int) -> list[Varbind]:
        if self.version == "1":
            raise NotApplicable("no GETBULK")
        assert repetitions > 0
        self.count("GETBULK", oids, min(self.cap, len(oids) * repetitions))
        found: list[Varbind] = []
        row = list(oids)
        for _ in range(repetitions):
            answered = [self.after(oid) for oid in row]
            found += answered
            row = [varbind.oid for varbind in answered]
        return found[: self.cap]


def under(root: str, table: dict[str, int]) -> list[Varbind]:
    inside = key(root)
    found = [oid for oid in table if key(oid)[: len(inside)] == inside]
    return [Varbind(oid, table[oid]) for oid in sorted(found, key=key)]


def interfaces(rows: int, columns: int = 3) -> dict[str, int]:
    """Make a table of a device, with values before and behind it."""
    cells = {f"{TABLE}.{c}.{r}": 100 * c + r for c in range(1, columns + 1) for r in range(1, rows)}
    return {"1.3.6.1.2.1.1.3.0": 7} | cells | {"1.3.6.1.2.1.11.1.0": 8}


PARTS = st.sampled_from([1, 2, 3, 9, 10, 127, 128, 300])
NAMES = st.lists(PARTS, max_size=4).map(lambda parts: ".".join(map(str, [1, 3, *parts, 0])))
TABLES = st.dictionaries(NAMES, st.integers(0, 9), max_size=30)
SCRIPTED = st.builds(
    Scripted,
    TABLES,
    version=st.sampled_from(["1", "2c", "3"]),
    too_big=st.integers(1, 40),
    drops=st.integers(1, 40),
    cap=st.integers(1, 40),
    mute_index=st.booleans(),
)


@given(SCRIPTED, NAMES | st.just("1.3"), st.integers(1, 30), st.integers(0, 40))
def test_a_walk_finds_what_is_there_whatever_the_device_cannot(
    device: Scripted, root: str, repetitions: int, most: int
) -> None:
    root = root.removesuffix(".0") if len(root) > len("1.3.0") else root

    found = asyncio.run(walk(device, root, repetitions, most))

    assert under(root, device.table)[:most] == found


@given(SCRIPTED, st.lists(NAMES, max_size=40), st.integers(1, 30))
def test_known_values_come_in_the_order_asked_for_and_missing_ones_are_none(
    device: Scripted, oids: list[str], at_once: int
) -> None:
    found = asyncio.run(get_all(device, oids, at_once))

    assert [Varbind(oid, device.table.get(oid)) for oid in oids] == found


@given(SCRIPTED, st.integers(0, 10), st.integers(1, 10))
def test_columns_are_read_side_by_side_however_long_each_is(
    device: Scripted, rows: int, repetitions: int
) -> None:
    columns = [1, 2, 9, 10]
    repetitions = 1 if device.version == "1" else repetitions
    table = {oid.replace("1.3.", "1.3.6.", 1): value for oid, value in device.table.items()}
    device.table = table
    device.__post_init__()

    found = asyncio.run(walk_columns(device, "1.3.6", columns, rows, repetitions))

    assert [each for c in columns for each in under(f"1.3.6.{c}", table)[:rows]] == found


def test_a_walk_asks_for_no_more_than_is_wanted() -> None:
    device = Scripted(interfaces(100))

    asyncio.run(walk(device, f"{TABLE}.1", repetitions=25, most=60))

    assert device.asked == [("GETBULK", 25), ("GETBULK", 25), ("GETBULK", 10)]


def test_a_walk_of_a_device_without_getbulk_asks_for_one_after_the_other() -> None:
    device = Scripted(interfaces(4), version="1")

    found = asyncio.run(walk(device, f"{TABLE}.1"))

    assert len(found) == 3
    assert device.asked == [("GETNEXT", 1)] * 4


def test_a_walk_of_nothing_asks_nothing() -> None:
    device = Scripted(interfaces(4))

    assert asyncio.run(walk(device, TABLE, most=0)) == []
    assert device.asked == []


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_root_that_is_a_value_gives_this_value(version: str) -> None:
    device = Scripted(interfaces(4), version=version)

    found = asyncio.run(walk(device, "1.3.6.1.2.1.1.3.0"))

    assert [Varbind("1.3.6.1.2.1.1.3.0", 7)] == found


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("root", ["1.3.6.1.2.1.5", "2.1"], ids=["between", "past the end"])
def test_a_root_that_is_not_there_gives_nothing(version: str, root: str) -> None:
    assert asyncio.run(walk(Scripted(interfaces(4), version=version), root)) == []


def test_a_column_a_request_becomes_a_row_a_request() -> None:
    device = Scripted(interfaces(11, columns=8), version="1")

    asyncio.run(walk_columns(device, TABLE, range(1, 9), 10))

    assert device.asked == [("GETNEXT", 8)] * 10


def test_rows_come_together_by_getbulk() -> None:
    device = Scripted(interfaces(11, columns=8))

    asyncio.run(walk_columns(device, TABLE, range(1, 9), 10, repetitions=4))

    assert device.asked == [("GETBULK", 32), ("GETBULK", 32), ("GETBULK", 16)]


def test_columns_stay_apart_when_answers_end_in_the_middle_of_a_row() -> None:
    device = Scripted(interfaces(10, columns=2), cap=3)

    found = asyncio.run(walk_columns(device, TABLE, [1, 2], 3, repetitions=3))

    columns = [under(f"{TABLE}.{column}", device.table)[:3] for column in (1, 2)]
    assert columns[0] + columns[1] == found


def test_one_at_once_is_the_least() -> None:
    device = Scripted(interfaces(3))
    oids = [varbind.oid for varbind in under(TABLE, device.table)]

    assert under(TABLE, device.table) == asyncio.run(get_all(device, oids, at_once=0))
    assert under(TABLE, device.table) == asyncio.run(walk(device, TABLE, repetitions=0))


def test_rows_of_a_device_without_getbulk_do_not_come_together() -> None:
    with pytest.raises(NotApplicable):
        asyncio.run(walk_columns(Scripted(interfaces(3), "1"), TABLE, [1], 2, repetitions=2))


def test_too_big_is_halved_and_remembered() -> None:
    device = Scripted(interfaces(41), too_big=7)
    limits = Limits()

    asyncio.run(walk(device, f"{TABLE}.1", 25, most=12, limits=limits))
    asyncio.run(get_all(device, [f"{TABLE}.1.1"] * 12, 25, limits=limits))

    assert [size for _, size in device.asked] == [12, 6, 6, 6, 6]
    assert limits.at_most(device.target, 25) == 6
    assert limits.at_most(Target(host="another"), 25) == 25
    assert limits.at_most(replace(device.target, port=1161), 25) == 25


def test_columns_that_do_not_fit_one_answer_are_read_some_at_a_time() -> None:
    device = Scripted(interfaces(6, columns=9), too_big=4)

    found = asyncio.run(walk_columns(device, TABLE, range(1, 10), 5, repetitions=2))

    assert under(TABLE, device.table) == found
    assert [size for _, size in device.asked][:3] == [18, 9, 4]
    assert max(size for _, size in device.asked[2:]) == 4


def test_one_value_that_is_too_big_is_refused() -> None:
    device = Scripted(interfaces(4), too_big=0)

    with pytest.raises(Refused) as refused:
        asyncio.run(get_all(device, list(device.table)))

    assert refused.value.status == "tooBig"
    assert [size for _, size in device.asked] == [11, 5, 2, 1]


def test_what_a_device_drops_is_asked_for_again_in_halves() -> None:
    device = Scripted(interfaces(26), drops=7)

    found = asyncio.run(get_all(device, [v.oid for v in under(f"{TABLE}.1", device.table)]))

    assert under(f"{TABLE}.1", device.table) == found
    # Each time it is silent, one value tells whether it lives.
    assert [size for _, size in device.asked] == [25, 1, 12, 1, 6, 6, 6, 5]


@pytest.mark.parametrize("answered", [0, 1, 3])
@pytest.mark.parametrize(
    "ask",
    [
        lambda device: get_all(device, [v.oid for v in under(TABLE, device.table)], 10),
        lambda device: walk(device, TABLE, 10),
        lambda device: walk_columns(device, TABLE, [1, 2], 99, 5),
    ],
    ids=["get_all", "walk", "walk_columns"],
)
def test_a_dead_device_is_given_up_after_two_questions_and_says_how_far_it_came(
    ask: Callable[[Scripted], Awaitable[list[Varbind]]], answered: int
) -> None:
    device = Scripted(interfaces(40), dies_after=answered)

    async def asked() -> None:
        await ask(device)

    with pytest.raises(NoAnswer) as silence:
        asyncio.run(asked())

    assert answered + 2 == len(device.asked)
    expected = f"scripted:161 fell silent after {10 * answered} values"
    assert (expected if answered else "no answer to the question") == silence.value.what
    assert "1 attempt" in silence.value.why
    assert silence.value.fix == "look"


def test_several_missing_values_cost_snmpv1_a_request_each() -> None:
    device = Scripted(interfaces(10), version="1")
    oids = [f"{TABLE}.1.{row}" for row in (1, 99, 2, 98, 97, 3)]

    found = asyncio.run(get_all(device, oids))

    assert [varbind.value for varbind in found] == [101, None, 102, None, None, 103]
    assert [size for _, size in device.asked] == [6, 5, 4, 3]


class Circling(Scripted):
    """A device whose GETNEXT leads where a test says."""

    def after(self, oid: str) -> Varbind:
        return Varbind(self.ways[oid], 1)

    ways: dict[str, str]


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize(
    "ways",
    [
        {"1.3.6": "1.3.6.1", "1.3.6.1": "1.3.6.1"},
        {"1.3.6": "1.3.6.1", "1.3.6.1": "1.3.6.2", "1.3.6.2": "1.3.6.1"},
        {"1.3.6": "1.3.6.1", "1.3.6.1": "1.3.5.9", "1.3.5.9": "1.3.6.1"},
        {"1.3.6": "1.3.6"},
    ],
    ids=["equal", "back", "back and out", "the root"],
)
def test_oids_that_do_not_increase_end_the_walk(ways: dict[str, str], version: str) -> None:
    device = Circling({}, version=version)
    device.ways = ways

    with pytest.raises(Refused) as refused:
        asyncio.run(walk(device, "1.3.6"))

    assert refused.value.status == "notIncreasing"
    assert "OIDs do not increase" in refused.value.what
    assert len(device.asked) <= len(ways)


class Empty(Scripted):
    """A device whose answers have no values."""

    async def get_next(self, *oids: str) -> list[Varbind]:
        self.count("GETNEXT", oids, 0)
        return []

    async def get_bulk(self, *oids: str, repetitions: int) -> list[Varbind]:
        self.count("GETBULK", oids, repetitions - repetitions)
        return []


@pytest.mark.parametrize("version", ["1", "2c"])
def test_answers_without_values_end_the_walk(version: str) -> None:
    device = Empty({}, version=version)

    with pytest.raises(Refused, match="without values"):
        asyncio.run(walk(device, "1.3.6"))

    assert len(device.asked) == 1


class Failing(Scripted):
    """A device that fails."""

    async def get(self, *oids: str) -> list[Varbind]:
        raise Refused(f"{len(oids)}", status="genErr")

    get_next = get


def test_other_errors_are_not_swallowed() -> None:
    device = Failing({}, version="1")

    for reading in (get_all(device, ["1.3.6"]), walk(device, "1.3.6")):
        with pytest.raises(Refused) as refused:
            asyncio.run(reading)
        assert refused.value.status == "genErr"


# What follows asks real agents.

DEVICES = {
    "1": Device("old", version="1", interfaces=12),
    "2c": Device("plain", version="2c", interfaces=12, neighbours=("10.0.0.2",)),
    "3": Device("secure", version="3", interfaces=12),
    "small": Device("small", version="2c", interfaces=12, max_bytes=300),
}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with agents(*DEVICES.values()) as running:
        yield dict(zip(DEVICES, running.ports, strict=True))


def ask(target: Target, question: Callable[[Session], Awaitable[list[Varbind]]]) -> list[Varbind]:
    async def asked() -> list[Varbind]:
        client = Client()
        try:
            return await question(await client.open(target))
        finally:
            client.close()

    return asyncio.run(asked())


def held(device: Device, root: str) -> list[Varbind]:
    """What a device holds, according to itself."""
    found = [Varbind(".".join(map(str, row.oid)), row.value) for row in rows(device)]
    return [varbind for varbind in found if varbind.oid.startswith(f"{root}.")]


@pytest.fixture(params=DEVICES)
def kind(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def target(kind: str, ports: dict[str, int]) -> Target:
    return replace(HERE, port=ports[kind], version=DEVICES[kind].version)


def test_a_walk_reads_the_table_of_a_real_agent(kind: str, target: Target) -> None:
    found = ask(target, lambda session: walk(session, TABLE))

    assert held(DEVICES[kind], TABLE) == found


def test_a_walk_reads_to_the_end_of_a_real_agent(kind: str, target: Target) -> None:
    expected = [varbind.oid for varbind in held(DEVICES[kind], "1.3.6.1")]

    found = ask(target, lambda session: walk(session, "1.3.6.1"))

    assert expected == [varbind.oid for varbind in found]


def test_get_all_reads_known_values_of_a_real_agent(kind: str, target: Target) -> None:
    expected = held(DEVICES[kind], TABLE)
    expected.insert(5, Varbind(f"{TABLE}.1.999", None))
    expected.insert(9, Varbind(f"{TABLE}.99.1", None))
    oids = [varbind.oid for varbind in expected]

    assert expected == ask(target, lambda session: get_all(session, oids, at_once=40))


def test_columns_of_a_real_agent_are_read_side_by_side(kind: str, target: Target) -> None:
    repetitions = 1 if kind == "1" else 5
    expected = [held(DEVICES[kind], f"{TABLE}.{column}")[:7] for column in range(1, 23)]

    found = ask(target, lambda s: walk_columns(s, TABLE, range(1, 23), 7, repetitions))

    assert [varbind for column in expected for varbind in column] == found


def test_the_version_of_a_real_agent_is_found_out(kind: str, target: Target) -> None:
    # A device of SNMPv1 is silent when asked in another version, so its patience is short.
    hurried = replace(target, timeout=0.3, retries=1) if kind == "1" else target

    async def detected() -> str:
        client = Client()
        try:
            return await detect(client, hurried)
        finally:
            client.close()

    assert DEVICES[kind].version == asyncio.run(detected())


def test_a_device_that_answers_no_version_is_not_there() -> None:
    asked: Counter[str] = Counter()

    def say_nothing(question: Asked) -> list[bytes]:
        asked[question.message.version] += 1
        return []

    async def detected() -> str:
        client = Client()
        try:
            return await detect(client, replace(HERE, port=device.port, timeout=0.05, retries=1))
        finally:
            client.close()

    with responder(say_nothing) as device, pytest.raises(NoAnswer):
        asyncio.run(detected())

    assert asked == {"2c": 2, "1": 2}


def test_an_error_is_an_answer_of_that_version() -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def detected() -> tuple[str, int]:
        client = Client()
        before = files()
        try:
            return await detect(client, replace(HERE, port=device.port)), files() - before
        finally:
            client.close()

    with responder(lambda asked: [asked.answer(status=16)]) as device:
        assert asyncio.run(detected()) == ("2c", 0)


def test_silence_in_the_middle_of_a_walk_ends_it() -> None:
    def fall_silent(asked: Asked) -> list[bytes]:
        after = int(asked.oids[0].removeprefix("1.3.6.1").removeprefix(".") or 0)
        rows = [(f"1.3.6.1.{after + more}", 0) for more in range(1, 6)]
        return [asked.answer(*rows)] if after < 10 else []

    with responder(fall_silent) as device:
        target = replace(HERE, port=device.port, timeout=0.2, retries=1)
        with pytest.raises(NoAnswer) as silence:
            ask(target, lambda session: walk(session, "1.3.6.1", 5))

    assert f"{target} fell silent after 10 values" == silence.value.what
    assert "no answer from" in silence.value.why
    assert "2 attempts of 0.2 s" in silence.value.why
