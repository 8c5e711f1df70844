"""The same code under two names: what it says of a runner is what a gate would have said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.report.samples import sample, slow_down, variant

from perfkit import decide, stats
from perfkit.checks import parse
from perfkit.decide import Sides
from perfkit.gate import fitness, same_code, self_test
from perfkit.gate.self_test import Kind, SelfTest, Tried
from perfkit.model import Plan, Probe
from perfkit.result import Measured
from perfkit.run.course import Progress, Timing
from perfkit.run.orchestrator import run


def tried(passed: int, failed: int = 0, still_open: int = 0, limit: float = 5) -> Tried:
    return Tried(limit, passed, failed, still_open, rounds=8, catches=None)


def repeated(factor: float = 1.0, rounds: int = 40) -> Sides:
    """Compare a measured variant with itself, or as if it had become slower."""
    known = variant(sample(), "ask-once")
    slower = variant(slow_down(sample(), "ask-once", factor), "ask-once")

    def long(one: Measured) -> Measured:
        samples = (one.samples * rounds)[:rounds]
        return msgspec.structs.replace(one, samples=samples)

    return Sides(change={"code": long(slower)}, base={"code": long(known)})


# Which limit is safe


@pytest.mark.parametrize(
    ("one", "safe"),
    [
        (tried(10), True),
        (tried(8, still_open=2), True),
        (tried(7, still_open=3), False),
        (tried(9, failed=1), False),
        (tried(99, failed=1), False),
    ],
)
def test_a_limit_is_safe_when_nothing_is_red_and_most_is_decided(one: Tried, safe: bool) -> None:  # noqa: FBT001
    assert one.safe is safe


def test_the_smallest_safe_limit_is_named() -> None:
    limits = (tried(9, failed=1, limit=2), tried(10, limit=5), tried(10, limit=10))

    assert Kind("computing", "cpu", 10, limits).safe == limits[1]
    assert Kind("computing", "cpu", 10, limits[:1]).safe is None


# What a comparison says


def test_equal_code_passes_at_the_first_look_that_decides() -> None:
    found = self_test._try(10, [repeated(), repeated()])

    assert (found.passed, found.failed, found.open) == (2, 0, 0)
    assert found.rounds == 8
    assert found.catches is not None
    assert found.catches > 0.10


def test_a_slow_down_beyond_the_limit_is_red() -> None:
    found = self_test._try(10, [repeated(), repeated(factor=1.5)])

    assert (found.passed, found.failed, found.open) == (1, 1, 0)


def test_a_slow_down_at_the_limit_is_open_to_the_last_look() -> None:
    found = self_test._try(10, [repeated(factor=1.1)])

    assert (found.passed, found.failed, found.open) == (0, 0, 1)
    assert found.rounds == stats.LOOKS[-1]


@pytest.mark.parametrize("factor", [1.0, 1.02, 1.1, 1.5])
@pytest.mark.parametrize("limit", [2, 7.5, 30])
def test_the_verdict_is_that_of_a_gate_at_the_same_look(factor: float, limit: float) -> None:
    sides = repeated(factor)
    check = parse("code@base", f"time < {limit}%", "test")

    found = self_test._first(check, sides)
    judged = decide.judge(check, repeated(factor, rounds=found.rounds))

    assert (found.verdict, found.low, found.high) == (judged.verdict, judged.low, judged.high)
    assert found.rounds in stats.LOOKS


# The code it runs


@pytest.mark.parametrize(
    "probe", [same_code.computing, same_code.waiting], ids=lambda one: one.name
)
def test_both_names_do_the_same_work(probe: Probe[Any, Any]) -> None:
    one, other = run(Plan(probe, probe.params(), rounds=0)).variants

    assert one.work == other.work
    assert one.work["calls"].exact


def test_a_short_self_test_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "LOOKS", (2,))
    monkeypatch.setattr(self_test, "FEWEST", 1)
    monkeypatch.setattr(fitness, "unfit_before", lambda: "busy")
    told: list[Progress] = []

    found = self_test.self_test(0.0, told.append)

    assert found == msgspec.json.decode(msgspec.json.encode(found), type=SelfTest)
    assert (found.schema, found.unfit) == ("perfkit.self-test/1", "busy")
    assert [(kind.name, kind.comparisons) for kind in found.kinds] == [
        ("computing", 1),
        ("waiting", 1),
    ]
    for kind in found.kinds:
        assert [one.limit for one in kind.tried] == list(self_test.LIMITS)
        assert all(one.passed + one.failed + one.open == 1 for one in kind.tried)
    assert {one.round for one in told if isinstance(one, Timing)} == {0, 1, 2}


def test_a_few_comparisons_of_each_kind_are_made_whatever_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, int]] = []

    def compare(probe: Probe[Any, Any], seed: int, _tell: object) -> Sides:
        made.append((probe.name, seed))
        return repeated()

    monkeypatch.setattr(self_test, "_compare", compare)
    monkeypatch.setattr(self_test, "LIMITS", (5,))

    found = self_test.self_test(0.0)

    # A seed of its own each: the order of the rounds must not be the same.
    assert made == [(name, seed) for seed in range(3) for name in ("computing", "waiting")]
    assert [kind.comparisons for kind in found.kinds] == [3, 3]
