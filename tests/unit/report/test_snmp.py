"""What `perfkit snmp plan` prints: all of it follows from the measured plan."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.report.samples import GOLDEN
from unit.report.test_views import draw, hold_to

from perfkit.report import snmp as report
from perfkit.snmp.plan import (
    ANSWERED,
    CUT,
    ENDS,
    NAMES,
    SILENCE,
    Choice,
    Compared,
    Method,
    Plan,
    Subtree,
    Timed,
    Try,
    Walked,
)

TABLE = NAMES["ifTable"]


def timed(method: Method, size: int, each: float, whole: int | None = None) -> Timed:
    """Return a method that takes so many milliseconds a value."""
    naive = 6.0
    compared = Compared(naive / each, naive / each * 0.95, naive / each * 1.05, 0.95)
    seconds = (each / 10,) * 6
    return Timed(method, size, 100, 100 // size, seconds, compared=compared, whole=whole)


def sample(**changes: Any) -> Plan:
    """Return a plan for a device of SNMPv2c whose answers have a limit."""
    plan = Plan(
        device="192.0.2.1:161",
        version="2c",
        subtrees=(Subtree(TABLE, 100, 1056),),
        tries=(
            Try(Method.MANY, 5, ANSWERED, 5, (0.01,)),
            Try(Method.MANY, 10, ANSWERED, 10, (0.01,)),
            Try(Method.BULK, 5, ANSWERED, 5, (0.01, 0.02, 0.01)),
            Try(Method.BULK, 50, ANSWERED, 50, (0.015, 0.016, 0.02)),
            Try(Method.BULK, 100, "tooBig", 0, (0.005,)),
            Try(Method.BULK, 75, SILENCE, 0, (6.0,)),
            Try(Method.BULK, 62, CUT, 55, (0.02,)),
            Try(Method.BULK, 63, ENDS, 60, (0.02,)),
        ),
        timed=(
            timed(Method.GET, 1, 6.0, 1056),
            timed(Method.NEXT, 1, 6.2, 1057),
            timed(Method.MANY, 10, 0.8, 106),
            timed(Method.BULK, 10, 0.81, 106),
            timed(Method.BULK, 50, 0.33, 22),
        ),
        recommended=Choice(Method.BULK, 50),
        walking=Choice(Method.BULK, 50),
        walked=Walked(Method.BULK, 50, 1056, 22, 0.31, complete=True),
        requests=1444,
        at_most=14_157,
        seconds=12.4,
        seed=7,
    )
    return msgspec.structs.replace(plan, **changes)


def drawn(plan: Plan, width: int = 80) -> str:
    return draw(report.render(plan, width))


def said(plan: Plan) -> str:
    return " ".join(drawn(plan, 120).split())


@pytest.mark.parametrize("width", [62, 80, 120])
def test_plan_is_drawn_as_the_golden_shows_it(width: int) -> None:
    text = drawn(sample(), width)

    hold_to(GOLDEN / f"snmp-plan-{width}.txt", text)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_few_rounds_have_a_range_and_no_confidence() -> None:
    few = [
        msgspec.structs.replace(one, compared=Compared(4.0, 3.0, 5.0, None))
        for one in sample().timed
    ]
    text = said(sample(timed=tuple(few)))

    assert "reads 4.0× (3.0 – 5.0 in the rounds) as many" in text
    assert "confidence" not in text
    assert "interval" not in text


def test_device_whose_getbulk_is_slow_is_told_so_with_the_figure() -> None:
    methods = (
        timed(Method.GET, 1, 6.0),
        timed(Method.NEXT, 1, 5.0),
        timed(Method.MANY, 50, 2.0),
        timed(Method.BULK, 25, 8.0),
    )
    text = said(
        sample(
            timed=methods,
            recommended=Choice(Method.MANY, 50),
            walking=Choice(Method.NEXT, 1),
        )
    )

    assert "GET for 50 OIDs at once measured best" in text
    assert "GETBULK is not faster here: it reads 0.25× as many values per second." in text
    assert "To walk what is not known before: GETNEXT, one OID a request." in text
    assert "net-snmp snmpwalk -v2c Telegraf max_repetitions = 1" in text


def test_device_of_snmpv1_is_told_so_and_so_are_other_programs() -> None:
    methods = timed(Method.GET, 1, 6.0), timed(Method.COLUMNS, 22, 0.4)
    columns = Choice(Method.COLUMNS, 22)
    text = said(sample(version="1", timed=methods, recommended=columns, walking=columns))

    assert "GETNEXT for 22 columns at once measured best" in text
    assert "The device speaks SNMPv1, which has no GETBULK." in text
    assert "net-snmp snmpwalk -v1 Telegraf version = 1 snmp_exporter version: 1" in text
    assert "pysnmp next_cmd(...) with the last OID of each of 22 columns" in text
    assert "max_repetitions" not in text


def test_getbulk_that_is_not_answered_is_said() -> None:
    methods = timed(Method.GET, 1, 6.0), timed(Method.NEXT, 1, 5.0)
    following = Choice(Method.NEXT, 1)
    text = said(sample(timed=methods, recommended=following, walking=following))

    assert "The device does not answer GETBULK as it should." in text


def test_answers_that_were_halved_on_the_way_are_said() -> None:
    plan = sample(limit=25, recommended=Choice(Method.BULK, 25), walking=Choice(Method.BULK, 25))

    assert "Further on, answers were too big: they were halved to 25 values." in said(plan)
    assert "▸ GETBULK 50 → 25" in said(plan)
    assert "snmpbulkwalk -v2c -Cr25" in said(plan)
    assert "halved" not in said(sample(limit=63))


def test_method_that_returned_something_else_is_named_with_the_oid() -> None:
    wrong = msgspec.structs.replace(sample().timed[-1], differs=f"{TABLE}.2.7")
    text = said(sample(timed=(*sample().timed[:-1], wrong), recommended=Choice(Method.MANY, 10)))

    assert (
        f"GETBULK with max-repetitions 50 did not return {TABLE}.2.7 as it was in the sample, "
        "and is not recommended."
    ) in text


def test_walk_that_was_ended_says_by_what() -> None:
    walked = Walked(Method.BULK, 50, 500, 10, 0.2, complete=False)

    assert "A walk that was ended by --most: 500 values in 10 requests" in said(
        sample(walked=walked)
    )


def test_subtree_that_is_empty_is_named() -> None:
    plan = sample(subtrees=(Subtree("1.3.6.1.4.1", 0, 0), Subtree(TABLE, 100, 1056)))

    assert f"nothing below 1.3.6.1.4.1 · ifTable {TABLE} · a sample of 100 values" in said(plan)


def test_plan_that_was_interrupted_says_so_and_shows_what_there_is() -> None:
    plan = sample(interrupted=True, timed=(), recommended=None, walking=None, walked=None)
    text = said(plan)

    assert text.startswith("INTERRUPTED")
    assert "5: 500 · 50: 3,330 · 100: tooBig" in text
    assert "measured best" not in text
    assert "snmpbulkwalk" not in text


def test_concurrency_is_not_spoken_of() -> None:
    assert [word for word in ("concurren", "thread", "parallel") if word in said(sample())] == []
