"""The grammar of checks: what is accepted means what it says, all else is refused when read."""

from __future__ import annotations

import itertools
import math
import operator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfkit.checks import CLOCKS, PEAK_RSS, Check, Kind, parse, require_known, unit
from perfkit.errors import UnreadableFile
from perfkit.units import SPELLINGS, Unit

TARGETS = {Kind.ABSOLUTE: "fixed", Kind.RATIO: "fixed/naive", Kind.CHANGE: "fixed@base"}
COUNTERS = ("statements", "round_trips", "rows", "bytes_in")
SIGNS = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
numbers = st.decimals(min_value="0.001", max_value=10**9, places=3)


def read(text: str, target: str = "fixed") -> Check:
    return parse(target, text, "orders.toml")


def refused(text: str, target: str = "fixed") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, target)
    assert caught.value.what.startswith(f"orders.toml: checks.{target!r}")
    assert caught.value.why
    return caught.value


# What is accepted


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        ("fixed", "statements == 1", ("fixed", "", "absolute", "statements", "", "==", 1.0)),
        ("fixed", "bytes_out <= 2KiB", ("fixed", "", "absolute", "bytes_out", "", "<=", 2048.0)),
        ("fixed", "rows < 5k", ("fixed", "", "absolute", "rows", "", "<", 5000.0)),
        ("fixed", "time < 2.5 ms", ("fixed", "", "absolute", "time", "floor", "<", 0.0025)),
        ("fixed", "cpu.typical<5us", ("fixed", "", "absolute", "cpu", "typical", "<", 5e-6)),
        ("fixed", "peak_rss < 64MiB", ("fixed", "", "absolute", "peak_rss", "", "<", 2.0**26)),
        ("fixed/naive", "time < 0.25x", ("fixed", "naive", "ratio", "time", "floor", "<", 0.25)),
        ("wrong/naive", "wall > 0.9x", ("wrong", "naive", "ratio", "wall", "floor", ">", 0.9)),
        ("a-b/c_d", "rows == 1x", ("a-b", "c_d", "ratio", "rows", "", "==", 1.0)),
        ("fixed@base", "time < 5%", ("fixed", "base", "change", "time", "floor", "<", 1.05)),
        ("fixed@base", "rows <= 1x", ("fixed", "base", "change", "rows", "", "<=", 1.0)),
        ("fixed@base", "rows > 1_000%", ("fixed", "base", "change", "rows", "", ">", 11.0)),
    ],
)
def test_a_check_means_what_it_says(
    target: str, text: str, expected: tuple[str | float, ...]
) -> None:
    check = read(text, target)
    found = (
        check.variant,
        check.other,
        check.kind,
        check.metric,
        check.statistic,
        check.comparison,
        check.limit,
    )

    assert expected == found


def fitting(kind: Kind, metric: str) -> dict[str, float]:
    if kind is Kind.RATIO:
        return {"x": 1.0}
    if kind is Kind.CHANGE:
        return {"x": 1.0, "%": 0.01}
    return SPELLINGS[unit(metric)]


@given(
    kind=st.sampled_from(Kind),
    metric=st.sampled_from([*CLOCKS, PEAK_RSS, "bytes_out", "statements", "allocations"]),
    comparison=st.sampled_from(["<", "<=", ">", ">="]),
    number=numbers,
    space=st.sampled_from(["", " ", "  ", "\t"]),
    data=st.data(),
)
def test_what_is_accepted_reads_back_as_it_was_meant(
    kind: Kind, metric: str, comparison: str, number: float, space: str, data: st.DataObject
) -> None:
    written = data.draw(st.sampled_from(sorted(fitting(kind, metric))))
    check = read(f"{metric}{space}{comparison}{space}{number:f}{space}{written}", TARGETS[kind])
    more = 1 if written == "%" else 0
    expected = more + float(number) * fitting(kind, metric)[written]

    assert (kind, metric, comparison) == (check.kind, check.metric, check.comparison)
    assert math.isclose(expected, check.limit, rel_tol=1e-12)
    assert TARGETS[kind] == check.target
    assert check == read(check.text, check.target)


@pytest.mark.parametrize("comparison", SIGNS)
@pytest.mark.parametrize("value", [9.0, 10.0, 11.0])
def test_a_figure_is_held_against_the_limit_from_its_own_side(
    comparison: str, value: float
) -> None:
    expected = SIGNS[comparison](value, 10.0)

    assert expected == read(f"rows {comparison} 10").holds(value)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("fixed", {"fixed"}), ("fixed/naive", {"fixed", "naive"}), ("fixed@base", {"fixed"})],
)
def test_a_check_names_what_must_be_measured(target: str, expected: set[str]) -> None:
    assert (
        expected
        == read("rows < 10x" if "/" in target or "@" in target else "rows < 10", target).variants
    )


@pytest.mark.parametrize(("mine", "other", "text"), [(3, 10, "0.3x"), (1, 10, "0.1x")])
def test_a_ratio_of_counts_can_be_exactly_the_limit(mine: int, other: int, text: str) -> None:
    assert read(f"rows == {text}", "fixed/naive").holds(mine / other)


def test_percent_of_counts_can_be_exactly_the_limit() -> None:
    held = [read(f"rows == {more}%", "fixed@base").holds((100 + more) / 100) for more in range(100)]

    assert all(held)


def test_a_check_is_written_as_target_and_text() -> None:
    check = read("time   <  5%", "fixed@base")

    assert (str(check), check.text) == ("fixed@base: time < 5%", "time < 5%")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time < 1s", True),
        ("cpu < 1s", True),
        ("wall.typical < 1s", True),
        ("peak_rss < 1MiB", True),
        ("statements < 1", False),
        ("bytes_in < 1B", False),
    ],
)
def test_times_and_memory_need_timed_rounds(text: str, expected: bool) -> None:  # noqa: FBT001
    assert expected == read(text).timed


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("time", Unit.SECONDS),
        ("cpu", Unit.SECONDS),
        ("wall", Unit.SECONDS),
        ("peak_rss", Unit.BYTES),
        ("bytes_in", Unit.BYTES),
        ("bytes_out", Unit.BYTES),
        ("statements", Unit.COUNT),
    ],
)
def test_a_metric_has_a_unit(metric: str, expected: Unit) -> None:
    assert expected == unit(metric)


# What is refused


@given(target=st.text(), text=st.text())
@example("a", "rows < " + "9" * 400)
@example("a@base", "rows < " + "9" * 400 + "%")
@example("a@base", "rows < " + "9" * 1_000_010 + "x")
@example("a", "time < 1e400s")
@example("a", "rows < 1__")
def test_any_text_is_a_finite_limit_or_refused(target: str, text: str) -> None:
    with suppress(UnreadableFile):
        assert math.isfinite(read(text, target).limit)


PIECES = [
    "time",
    "cpu.typical",
    "rows",
    "peak_rss",
    "<",
    "==",
    ">=",
    "0",
    "5",
    "9" * 320,
    ".5",
    "_",
]


@given(
    target=st.sampled_from(["a", "a/b", "a@base", "a@main", "/", "a/b/c", ""]),
    pieces=st.lists(st.sampled_from([*PIECES, "%", "x", "ms", "KiB", "k", " "]), max_size=8),
)
def test_any_mixture_of_the_grammar_is_a_finite_limit_or_refused(
    target: str, pieces: list[str]
) -> None:
    with suppress(UnreadableFile):
        check = read("".join(pieces), target)
        assert math.isfinite(check.limit)
        assert check.kind is Kind.ABSOLUTE or check.limit > 0
        assert check == read(check.text, check.target)


@pytest.mark.parametrize(
    "target", ["", " ", "a b", "a/", "/b", "a/b/c", "a@", "a@main", "a@base/b", "a:b", "a\n/b"]
)
def test_what_is_no_target_is_refused(target: str) -> None:
    assert refused("rows == 1", target).what.endswith("is no target")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rows",
        "rows 1",
        "rows = 1",
        "rows != 1",
        "rows == ",
        "rows == -1",
        "rows == one",
        "rows == 1 2",
        "rows == 1.2.3",
        "rows == 1e3",
        "== 1",
        "1 == rows",
        "Rows == 1",
        "rows == 1 and rows == 2",
        "rows.sum.x == 1",
        "rows == \N{ARABIC-INDIC DIGIT FIVE}",
    ],
)
def test_what_is_no_check_is_refused(text: str) -> None:
    error = refused(text)

    assert repr(text) in error.what
    assert "statements == 1" in error.fix


@pytest.mark.parametrize(
    ("kind", "metric", "written"),
    [
        (kind, metric, written)
        for kind, metric in itertools.product(Kind, ["time", "peak_rss", "bytes_in", "rows"])
        for written in ["", "k", "x", "%", "ms", "KiB", "parsec"]
        if written not in fitting(kind, metric)
    ],
)
def test_a_unit_that_does_not_fit_is_refused(kind: Kind, metric: str, written: str) -> None:
    error = refused(f"{metric} < 5{written}", TARGETS[kind])

    assert "does not fit" in error.what
    for name in fitting(kind, metric):
        assert (repr(name) if name else "none") in error.why


@pytest.mark.parametrize("text", ["rows.typical < 5", "peak_rss.floor < 5B", "time.p95 < 5s"])
def test_a_statistic_that_nobody_computes_is_refused(text: str) -> None:
    error = refused(text)

    assert "there is no " in error.what
    assert read(error.fix).limit == 5.0


@pytest.mark.parametrize(
    ("target", "text"),
    [("fixed", "time == 5ms"), ("fixed/naive", "cpu == 1x"), ("fixed@base", "peak_rss == 5%")],
)
def test_a_measured_figure_is_never_expected_to_be_exact(target: str, text: str) -> None:
    error = refused(text, target)

    assert text.replace("==", "<=") == read(error.fix, target).text


@pytest.mark.parametrize("target", ["fixed/naive", "fixed@base"])
def test_a_ratio_of_nothing_is_refused(target: str) -> None:
    assert "no ratio is ever 0x" in refused("rows < 0x", target).what


def test_a_change_of_nothing_and_a_count_of_none_are_fine() -> None:
    limits = [read("rows <= 0%", "fixed@base").limit, read("rows == 0").limit]

    assert limits == [1.0, 0.0]


# Names


def known(text: str, target: str) -> None:
    require_known(read(text, target), ["ask-once", "naive"], COUNTERS, "orders.toml")


@pytest.mark.parametrize("metric", [*COUNTERS, *CLOCKS, PEAK_RSS])
def test_every_counter_and_clock_of_the_probe_is_known(metric: str) -> None:
    known(f"{metric} < 5x", "ask-once/naive")


def test_base_is_no_variant_and_needs_none() -> None:
    known("rows < 5%", "naive@base")


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("rows == 1", "ask-one", "no variant 'ask-one'; did you mean 'ask-once'?"),
        ("rows == 1x", "ask-once/naiv", "no variant 'naiv'; did you mean 'naive'?"),
        ("rows < 5%", "ask-one@base", "no variant 'ask-one'; did you mean 'ask-once'?"),
        ("statments == 1", "naive", "'statments' is measured; did you mean 'statements'?"),
        ("tim < 1", "naive", "'tim' is measured; did you mean 'time'?"),
        ("peak_rs < 1", "naive", "'peak_rs' is measured; did you mean 'peak_rss'?"),
        ("zzz < 1", "naive", "nothing called 'zzz' is measured"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(text: str, target: str, said: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        known(text, target)

    assert caught.value.what.startswith(f"orders.toml: {target}: {text}: ")
    assert caught.value.what.endswith(said)
    assert "naive" in caught.value.why or "statements" in caught.value.why
