"""How a device is read best: decisions, and plans for real agents and for scripted ones."""

from __future__ import annotations

import asyncio
import signal
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pysnmp", reason="the agents are in the optional part 'snmp'")

from snmp_agents import SECRETS, Running, agents

from perfkit.backends.snmp_table import Device
from perfkit.errors import CannotRun, NoAnswer, Refused, UsageError
from perfkit.snmp import plan as planning
from perfkit.snmp.plan import (
    ANSWERED,
    CUT,
    ENDS,
    GAIN,
    LADDER,
    NAMES,
    SILENCE,
    Choice,
    Method,
    Order,
    Part,
    Plan,
    Planner,
    Timed,
    Try,
    best_size,
    choose,
    compare,
    encode,
    next_size,
    read_oid,
    whole,
)
from perfkit.snmp.poll import key
from perfkit.snmp.session import Client, Varbind, parse
from perfkit.snmp.target import Target

TABLE = NAMES["ifTable"]
PACKETS = "1.3.6.1.2.1.11.1.0"
TOO_BIG = "tooBig"


def climbed(answer: Callable[[int], Try], most: int = LADDER[-1]) -> list[Try]:
    """Try sizes on a device until there is nothing more to learn."""
    tries: list[Try] = []
    while size := next_size(tries, most):
        assert len(tries) < 30
        tries.append(answer(size))
    return tries


def device(
    most: int, per_value: float, *, silent: bool = False, ends: int = 10**9, cut: int = 10**9
) -> Callable[[int], Try]:
    """Return a device that takes 1 for a request, and answers so many values."""

    def answer(size: int) -> Try:
        if size > most:
            return Try("GETBULK", size, SILENCE if silent else TOO_BIG, 0, (9.0,))
        values = min(size, ends, cut)
        outcome = ENDS if size > ends else CUT if size > cut else ANSWERED
        return Try("GETBULK", size, outcome, values, (1 + values * per_value,))

    return answer


@given(
    st.builds(
        device,
        st.integers(0, 2000),
        st.floats(0, 10),
        silent=st.booleans(),
        ends=st.integers(1, 2000),
        cut=st.integers(1, 2000),
    ),
    st.integers(1, 1000),
)
def test_climb_ends_and_no_size_is_tried_twice_or_larger_than_allowed(
    answer: Callable[[int], Try], most: int
) -> None:
    sizes = [one.size for one in climbed(answer, most)]

    assert len(set(sizes)) == len(sizes)
    assert all(1 <= size <= most for size in sizes)


@given(st.builds(device, st.integers(0, 2000), st.floats(0, 10), silent=st.booleans()))
def test_best_size_was_answered_and_the_fastest_gains_next_to_nothing_on_it(
    answer: Callable[[int], Try],
) -> None:
    tries = climbed(answer)
    best = best_size(tries)

    answered = [one for one in tries if one.outcome == ANSWERED]
    assert bool(best) == bool(answered)
    if best:
        (chosen,) = (one for one in tries if one.size == best)
        assert chosen.outcome == ANSWERED
        assert max(one.rate for one in answered) <= chosen.rate * GAIN
        assert all(
            one.rate * GAIN < max(map(rate, answered)) for one in answered if one.size < best
        )


def rate(one: Try) -> float:
    return one.rate


def test_sizes_grow_while_that_gains() -> None:
    assert [one.size for one in climbed(device(10_000, 0.0))] == list(LADDER)
    assert [one.size for one in climbed(device(10_000, 10.0))] == [5, 10, 25]
    assert best_size(climbed(device(10_000, 10.0))) == 5


def test_one_slow_answer_does_not_end_the_climb() -> None:
    def answer(size: int) -> Try:
        return Try("GETBULK", size, ANSWERED, size, (50.0 if size == 10 else 1.0,))

    assert best_size(climbed(answer, 100)) == 100


def test_what_is_too_big_is_narrowed_down() -> None:
    assert [one.size for one in climbed(device(70, 0.0))] == [5, 10, 25, 50, 100, 75, 62]
    assert [one.size for one in climbed(device(3, 0.0))] == [5, 2, 3, 4]
    assert [one.size for one in climbed(device(0, 0.0))] == [5, 2, 1]
    assert best_size(climbed(device(0, 0.0))) == 0


def test_after_a_silence_nothing_larger_is_tried() -> None:
    assert [one.size for one in climbed(device(70, 0.0, silent=True))] == [5, 10, 25, 50, 100]
    assert [one.size for one in climbed(device(1, 0.0, silent=True))] == [5, 2, 1]


def test_nothing_is_learnt_from_larger_sizes_where_the_subtree_ends_or_answers_are_cut() -> None:
    assert [one.size for one in climbed(device(1000, 0.0, ends=30))] == [5, 10, 25, 50]
    assert [one.size for one in climbed(device(1000, 0.0, cut=12))] == [5, 10, 25]


def timed(
    method: Method, size: int, *seconds: float, values: int = 100, differs: str = ""
) -> Timed:
    return Timed(method, size, values, values // size, seconds, differs)


def test_six_rounds_give_an_interval_and_fewer_a_range() -> None:
    slow = timed(Method.GET, 1, 10.0, 12.0, 11.0)
    fast = timed(Method.BULK, 25, 1.0, 2.0, 1.0)
    few = compare(slow, fast)
    many = compare(timed(Method.GET, 1, *[10.0] * 6), timed(Method.BULK, 25, *[2.0] * 6))

    assert few is not None
    assert (few.ratio, few.low, few.high, few.confidence) == (10, 6, 11, None)
    assert many is not None
    assert (round(many.ratio, 9), many.confidence) == (5, 0.95)


def test_methods_are_compared_by_the_value_and_in_the_rounds_that_both_were_in() -> None:
    slow = timed(Method.GET, 1, 10.0, 30.0)
    fast = timed(Method.BULK, 200, 5.0, values=200)
    found = compare(slow, fast)

    assert found is not None
    assert (found.ratio, found.low, found.high) == (4, 4, 4)
    assert compare(slow, timed(Method.BULK, 25)) is None


@given(st.permutations([(Method.GET, 1, 9.0), (Method.MANY, 50, 1.0), (Method.BULK, 50, 1.04)]))
def test_of_methods_that_are_as_fast_getbulk_is_chosen(
    methods: list[tuple[Method, int, float]],
) -> None:
    assert choose([timed(*each) for each in methods]) == Choice(Method.BULK, 50)


def test_fastest_is_chosen_with_the_smallest_answers_that_are_as_fast() -> None:
    get = timed(Method.GET, 1, 3.0)
    following = timed(Method.NEXT, 1, 2.0)
    bulks = [timed(Method.BULK, 10, 9.0), timed(Method.BULK, 25, 1.0), timed(Method.BULK, 50, 0.99)]

    assert choose([get, following, bulks[0]]) == Choice(Method.NEXT, 1)
    assert choose([get, following, *bulks]) == Choice(Method.BULK, 25)
    assert choose([get, following, *bulks], limit=12) == Choice(Method.BULK, 12)
    assert choose([]) is None


def test_method_that_returned_something_else_is_not_chosen() -> None:
    wrong = timed(Method.BULK, 50, 0.1, differs=f"{TABLE}.1.1")

    assert choose([timed(Method.GET, 1, 9.0), wrong]) == Choice(Method.GET, 1)
    assert choose([wrong]) is None


@pytest.mark.parametrize(
    ("text", "oid"),
    [
        ("ifTable", "1.3.6.1.2.1.2.2.1"),
        (".1.3.6.1.2.1.1", "1.3.6.1.2.1.1"),
        ("1.3.6.1.4.1", "1.3.6.1.4.1"),
    ],
)
def test_oid_is_a_number_or_a_name(text: str, oid: str) -> None:
    assert read_oid(text) == oid


@pytest.mark.parametrize("text", ["", "ifFoo", "1", "1..3", "1.3.x", "9.1", "1.3.6.01", "..1.3"])
def test_what_is_no_oid_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no OID"):
        read_oid(text)


@dataclass
class Scripted:
    """A device in memory whose answers take what they are told to, on a clock of their own."""

    rows: Sequence[str]
    target: Target = field(default_factory=lambda: Target("192.0.2.1"))
    most: int = 10**9
    """Variables of the largest answer; more is `beyond`."""
    beyond: str = TOO_BIG
    longest_get: int = 10**9
    """OIDs of the largest GET; more is `beyond` too."""
    speaks: str = "2c"
    cut: int = 10**9
    request: float = 1.0
    value: float = 0.0
    slow_bulk: float = 0.0
    """Seconds more for each GETBULK."""
    odd: frozenset[str] = frozenset()
    """OIDs that GET returns with another type."""
    now: float = 0.0
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = [key(row) for row in self.rows]

    async def open(self, target: Target) -> Scripted:
        self.target = target
        return self

    def close(self) -> None:
        pass

    def _answer(self, kind: str, varbinds: list[Varbind]) -> list[Varbind]:
        self.asked.append(kind)
        self.now += self.request + self.value * len(varbinds)
        if len(varbinds) > (min(self.most, self.longest_get) if kind == "GET" else self.most):
            if self.beyond == SILENCE:
                raise NoAnswer(f"no answer from {self.target} to {kind}")
            raise Refused(f"{self.target} answers {kind} with tooBig", status=self.beyond)
        return varbinds

    def _after(self, oid: str) -> Varbind:
        # As a session does, which asks for nothing that is no OID.
        place = bisect_right(self.keys, parse(oid))
        if place == len(self.rows):
            return Varbind(oid, None, end=True)
        return Varbind(self.rows[place], place)

    async def get(self, *oids: str) -> list[Varbind]:
        if self.target.version != self.speaks:
            raise NoAnswer(f"no answer from {self.target}")
        values = [("text" if oid in self.odd else 1) if oid in self.rows else None for oid in oids]
        return self._answer("GET", list(map(Varbind, oids, values)))

    async def get_next(self, *oids: str) -> list[Varbind]:
        return self._answer("GETNEXT", [self._after(oid) for oid in oids])

    async def get_bulk(self, *oids: str, repetitions: int) -> list[Varbind]:
        self.now += self.slow_bulk
        found: list[Varbind] = []
        last = list(oids)
        for _ in range(min(repetitions, self.cut)):
            row = [self._after(oid) for oid in last]
            found += row
            last = [varbind.oid for varbind in row]
        return self._answer("GETBULK", found)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Plan, Scripted]]]:
    """Plan for a scripted device, on its clock."""

    def make(rows: Sequence[str], *roots: str, **words: object) -> tuple[Plan, Scripted]:
        order = {name: words.pop(name) for name in ("sample", "most_values") if name in words}
        one = Scripted(rows, **words)  # type: ignore[arg-type]  # whatever the test says
        monkeypatch.setattr("time.perf_counter", lambda: one.now)
        wanted = Order(
            roots or (TABLE,),
            sample=order.get("sample", 100),  # type: ignore[arg-type]
            most=order.get("most_values", 10_000),  # type: ignore[arg-type]
        )
        found = asyncio.run(Planner(wanted).run(one, one.target))  # type: ignore[arg-type]
        return found, one

    yield make
    monkeypatch.undo()


def table(rows: int, columns: int = 22) -> list[str]:
    return [
        f"{TABLE}.{column}.{row}" for column in range(1, columns + 1) for row in range(1, rows + 1)
    ]


Script = Callable[..., tuple[Plan, Scripted]]


def test_getbulk_is_recommended_where_requests_cost_most(scripted: Script) -> None:
    found, one = scripted(table(48))

    assert found.recommended == found.walking == Choice(Method.BULK, 800)
    assert found.walked is not None
    assert (found.walked.values, found.walked.requests, found.walked.complete) == (1056, 2, True)
    assert found.requests == len(one.asked) <= found.at_most


def test_device_whose_batches_are_slow_is_told_from_others(scripted: Script) -> None:
    found, _ = scripted(table(10), slow_bulk=1000.0, most=1)

    assert found.recommended is not None
    assert found.recommended.method in {Method.NEXT, Method.GET}
    assert found.walking == Choice(Method.NEXT, 1)
    assert found.walked is not None
    assert (found.walked.values, found.walked.requests) == (220, 221)


def test_getbulk_that_is_slower_is_not_recommended(scripted: Script) -> None:
    found, _ = scripted(table(10), slow_bulk=1000.0)

    assert found.recommended == Choice(Method.MANY, 100)
    assert found.walking == Choice(Method.NEXT, 1)


def test_size_that_is_never_answered_is_left_out_and_the_device_asked_whether_it_is_there(
    scripted: Script,
) -> None:
    found, one = scripted(table(48), most=60, beyond=SILENCE)

    assert found.recommended == Choice(Method.BULK, 50)
    assert [each.outcome for each in found.tries if each.size == 100] == [SILENCE, SILENCE]
    assert all(each.size <= 50 for each in found.timed)
    before = one.asked[: one.asked.index("GETBULK")].count("GET")
    tried = sum(len(each.seconds) for each in found.tries if each.method == Method.MANY)
    assert before == 1 + tried + 1, "to find the version, to try, and after the silence"


def test_how_long_a_get_may_be_does_not_limit_getbulk(scripted: Script) -> None:
    found, _ = scripted(table(48), longest_get=12)

    assert {each.size for each in found.timed if each.method == Method.MANY} == {10}
    assert (found.recommended, found.limit) == (Choice(Method.BULK, 800), None)


def test_column_with_the_largest_number_is_the_last(scripted: Script) -> None:
    found, _ = scripted([f"{TABLE}.1.1", f"{TABLE}.4294967295.1"], speaks="1")

    assert [each.size for each in found.timed if each.method == Method.COLUMNS] == [2]


def test_columns_are_asked_for_in_answers_that_the_device_can_give(scripted: Script) -> None:
    found, _ = scripted(table(4), speaks="1", most=12)

    (columns,) = (each for each in found.timed if each.method == Method.COLUMNS)
    assert (found.version, columns.size, columns.requests) == ("1", 10, 12)
    assert found.requests <= found.at_most


def test_answers_that_are_cut_are_counted_as_they_are(scripted: Script) -> None:
    found, _ = scripted(table(48), cut=12)

    assert [(each.size, each.outcome) for each in found.tries if each.method == Method.BULK] == [
        *((5, ANSWERED), (10, ANSWERED), (25, CUT))
    ]
    assert found.walked is not None
    assert [each.whole for each in found.timed if each.size == 25] == [found.walked.requests]


def test_value_of_another_type_is_said_and_the_method_not_recommended(scripted: Script) -> None:
    found, _ = scripted(table(48), odd=frozenset({f"{TABLE}.1.3"}))

    wrong = {each.method: each.differs for each in found.timed if each.differs}
    assert wrong == {Method.GET: f"{TABLE}.1.3", Method.MANY: f"{TABLE}.1.3"}


def test_sample_is_shared_by_the_subtrees_and_one_that_is_empty_is_none(scripted: Script) -> None:
    other = "1.3.6.1.4.1"
    rows = [*table(48), f"{other}.1.0", f"{other}.2.0"]
    found, _ = scripted(rows, "1.3.6.1.1", other, TABLE, sample=30)

    assert [(each.oid, each.sample, each.values) for each in found.subtrees] == [
        *(("1.3.6.1.1", 0, 0), (other, 2, 2), (TABLE, 28, 1056))
    ]


def test_walk_ends_after_the_values_that_were_allowed(scripted: Script) -> None:
    found, one = scripted(table(48), most_values=150)

    assert found.walked is not None
    assert (found.walked.values, found.walked.complete) == (150, False)
    assert found.requests == len(one.asked)


def test_requests_are_never_more_than_was_said(
    monkeypatch: pytest.MonkeyPatch, scripted: Script
) -> None:
    monkeypatch.setattr(Order, "at_most", property(lambda _: 250))

    with pytest.raises(CannotRun, match="asked 250 times, and was to be asked no more"):
        scripted(table(48))


@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 5),
    size=st.integers(1, 40),
    method=st.sampled_from([Method.BULK, Method.NEXT, Method.COLUMNS]),
)
def test_requests_of_a_walk_are_computed_as_they_are_counted(
    rows: int, columns: int, size: int, method: Method
) -> None:
    size = {Method.NEXT: 1, Method.COLUMNS: columns}.get(method, size + 1)
    # A neighbour behind the table: its end shows in an answer.
    one = Scripted([*table(rows, columns), "1.3.6.1.4.1.0"])
    planner = Planner(Order((TABLE,)))
    planner._asked = planning.Polite(one, 10_000, 0, lambda _: None)  # type: ignore[arg-type]
    planner._chains = {TABLE: []}
    planner._tables = {TABLE: planning.Table(TABLE, tuple(range(1, columns + 1)))}

    asyncio.run(planner._walk(Choice(method, size)))

    part = Part(rows * columns, columns)
    if method != Method.COLUMNS or columns > 1:
        assert whole(Choice(method, size), [part]) == len(one.asked)


@dataclass(frozen=True)
class Planned:
    plan: Plan
    received: int
    """Messages that the agent itself counted, meanwhile."""


def plan_for(device: Device, *roots: str) -> Planned:
    """Plan for a real agent, and let it count."""

    async def ask(port: int) -> Planned:
        target = login(port, device.version)
        client = Client()
        try:
            counter = await client.open(target)
            # Whom SNMPv3 talks to is found out before that.
            await counter.get(PACKETS)
            (before,) = await counter.get(PACKETS)
            # What a device of SNMPv1 speaks is found out by asking for more.
            asked = replace(target, version="2c") if device.version == "1" else target
            found = await Planner(Order(roots or (TABLE,), rounds=3)).run(client, asked)
            (after,) = await counter.get(PACKETS)
        finally:
            client.close()
        assert isinstance(before.value, int)
        assert isinstance(after.value, int)
        return Planned(found, after.value - before.value - 1)

    with agents(device) as running:
        return asyncio.run(ask(running.ports[0]))


def login(port: int, version: str) -> Target:
    # A device that speaks SNMPv1 says nothing to others: that is waited for.
    patience = 1.0 if version == "1" else 30.0
    return Target("127.0.0.1", port, version, **SECRETS, timeout=patience, retries=0)


def test_plan_for_a_device_of_snmpv2c_has_all_methods_and_the_agent_counts_the_same() -> None:
    planned = plan_for(Device("switch", interfaces=12))
    plan = planned.plan

    assert (plan.version, plan.interrupted) == ("2c", False)
    assert {one.method for one in plan.timed} == {*Method} - {Method.COLUMNS}
    assert [one.differs for one in plan.timed] == [""] * len(plan.timed)
    assert {len(one.seconds) for one in plan.timed} == {3}
    assert [one.requests for one in plan.timed if one.size == 1] == [100, 100]
    assert [one.requests for one in plan.timed if (one.method, one.size) == ("GETBULK", 10)] == [10]
    assert plan.subtrees[0].values == 12 * 22
    assert plan.walked is not None
    assert plan.walking is not None
    assert plan.walked.complete
    sizes = {(one.method, one.size): one.whole for one in plan.timed}
    assert plan.walked.requests == sizes[plan.walking.method, plan.walking.size]
    assert planned.received == plan.requests <= plan.at_most


def test_plan_keeps_no_secret_and_no_value() -> None:
    plan = plan_for(Device("switch-of-the-treasury", interfaces=2), NAMES["system"]).plan
    written = encode(plan).decode()

    assert msgspec.json.decode(written, type=Plan) == plan
    assert [word for word in (*SECRETS.values(), "treasury") if word in written] == []


def test_answers_that_are_too_big_are_found_and_the_walk_is_whole() -> None:
    plan = plan_for(Device("switch", interfaces=48, max_bytes=1000)).plan

    too_big = [one.size for one in plan.tries if one.outcome == TOO_BIG]
    assert too_big
    assert plan.recommended is not None
    assert plan.recommended.size < min(too_big)
    assert plan.limit is not None
    assert plan.recommended.size <= plan.limit
    assert plan.walked is not None
    assert (plan.walked.values, plan.walked.complete) == (1056, True)
    assert [one.differs for one in plan.timed] == [""] * len(plan.timed)


def test_device_of_snmpv1_is_read_by_columns_and_many_at_once() -> None:
    planned = plan_for(Device("old", interfaces=12, version="1"))
    plan = planned.plan

    assert plan.version == "1"
    assert {one.method for one in plan.timed} == {*Method} - {Method.BULK}
    (columns,) = (one for one in plan.timed if one.method == Method.COLUMNS)
    assert (columns.size, columns.values, columns.requests, columns.whole) == (22, 88, 4, 13)
    assert plan.subtrees[0].sample == 88
    assert plan.subtrees[0].values == 12 * 22
    assert planned.received == plan.requests <= plan.at_most


def test_columns_are_found_below_the_table_and_where_it_is_held_too() -> None:
    for root in ("1.3.6.1.2.1.2.2", "1.3.6.1.2.1.2.2.1"):
        plan = plan_for(Device("old", interfaces=3, version="1"), root).plan
        assert [one.size for one in plan.timed if one.method == Method.COLUMNS] == [22]


def test_device_of_snmpv3_is_planned_for_with_its_user() -> None:
    plan = plan_for(Device("switch", interfaces=6, version="3")).plan

    assert plan.version == "3"
    assert {one.method for one in plan.timed} == {*Method} - {Method.COLUMNS}
    assert plan.walked is not None
    assert (plan.walked.values, plan.walked.complete) == (132, True)


@pytest.mark.parametrize("version", ["1", "2c"])
def test_nothing_below_the_oids_is_an_error(version: str) -> None:
    with pytest.raises(CannotRun, match=f"has nothing below {NAMES['ifXTable']}"):
        plan_for(Device("switch", interfaces=2, version=version), NAMES["ifXTable"])


def test_agent_that_stops_in_the_middle_is_an_error_that_says_so() -> None:
    async def ask(running: Running) -> None:
        def start(about: str, _total: int) -> None:
            if about == "requests to compare the methods":
                running.process.send_signal(signal.SIGSTOP)

        client = Client()
        try:
            target = login(running.ports[0], "2c")
            await Planner(Order((TABLE,)), start=start).run(client, replace(target, timeout=2.0))
        finally:
            client.close()

    with agents(Device("switch", interfaces=4)) as running:
        try:
            with pytest.raises(NoAnswer, match=r"no answer|fell silent"):
                asyncio.run(ask(running))
        finally:
            running.process.send_signal(signal.SIGCONT)


def test_wrong_community_and_wrong_password_are_errors() -> None:
    async def ask(target: Target) -> None:
        client = Client()
        try:
            await Planner(Order((TABLE,))).run(client, target)
        finally:
            client.close()

    devices = Device("a", interfaces=1), Device("b", interfaces=1, version="3")
    with agents(*devices) as running:
        wrong = replace(login(running.ports[0], "2c"), community="wrong", timeout=0.2)
        with pytest.raises(NoAnswer):
            asyncio.run(ask(wrong))
        wrong = replace(login(running.ports[1], "3"), auth_password="wrong-password")
        with pytest.raises(Refused, match="wrongDigest"):
            asyncio.run(ask(wrong))
