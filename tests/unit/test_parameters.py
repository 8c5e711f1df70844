from __future__ import annotations

import math
import shlex
import tomllib
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit import count, seconds, size, workers
from perfkit.errors import UsageError
from perfkit.parameters import Parameter, arguments, describe, read
from perfkit.units import Unit


@dataclass(frozen=True)
class Page:
    orders: Annotated[int, count("orders on the page", at_most=50_000)] = 200
    pause: Annotated[float, seconds("between two pages", at_most=5)] = 0.0123456
    chunk: Annotated[int, size("read at once", at_least=512)] = 100_000
    cached: bool = False
    city: str = "Bad Ischl"
    share: float = 0.5


@dataclass(frozen=True)
class Shared:
    threads: Annotated[int, workers("threads", at_most=64)] = 4


@dataclass(frozen=True)
class Demanding:
    orders: Annotated[int, count("orders on the page", at_least=10_000)]


def refused(given: dict[str, object], params: type[Any] = Page) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(params, given, "db-fetch")
    return caught.value


def follow(fix: str) -> Page:
    """Do what the fix says."""
    *command, text = shlex.split(fix)
    assert command == ["perfkit", "probe", "db-fetch", "-s"]
    return read(Page, arguments([text], "db-fetch"), "db-fetch")


def test_parameters_are_described_in_the_order_of_the_class() -> None:
    expected = [
        Parameter("orders", "orders on the page", Unit.COUNT, 200, 1, 50_000),
        Parameter("pause", "between two pages", Unit.SECONDS, 0.0123456, 0, 5),
        Parameter("chunk", "read at once", Unit.BYTES, 100_000, 512, None),
        Parameter("cached", "", None, default=False, lowest=None, highest=None),
        Parameter("city", "", None, "Bad Ischl", None, None),
        Parameter("share", "", None, 0.5, None, None),
    ]

    assert expected == describe(Page)


def test_a_parameter_says_its_text_and_bounds() -> None:
    expected = [
        "orders (orders on the page, 1 to 50,000)",
        "pause (between two pages, 0 ns to 5 s)",
        "chunk (read at once, at least 512 B)",
    ]

    assert expected == [str(parameter) for parameter in describe(Page)][:3]


def test_workers_are_a_count_of_those_who_share_the_work() -> None:
    expected = [Parameter("threads", "threads", Unit.COUNT, 4, 1, 64, workers=True)]

    assert expected == describe(Shared)


@pytest.mark.parametrize("threads", ["0", "10k"])
def test_nobody_and_a_crowd_are_no_workers(threads: str) -> None:
    error = refused({"threads": threads}, Shared)

    assert error.why == "threads (threads, 1 to 64)"


def test_nothing_given_leaves_the_defaults() -> None:
    assert Page() == read(Page, {}, "db-fetch")


def test_texts_are_read_as_their_fields_ask() -> None:
    texts = {
        "orders": "5k",
        "pause": "2ms",
        "chunk": "64KiB",
        "cached": "true",
        "city": "12",
        "share": "0.25",
    }

    assert Page(5_000, 0.002, 65_536, True, "12", 0.25) == read(Page, texts, "db-fetch")  # noqa: FBT003


def test_values_of_a_toml_file_are_taken_as_they_are() -> None:
    values = tomllib.loads(
        """
        orders = 5000
        pause = "2ms"
        chunk = 65536
        cached = true
        city = "Linz"
        share = 1
        """
    )

    assert Page(5_000, 0.002, 65_536, True, "Linz", 1.0) == read(Page, values, "db-fetch")  # noqa: FBT003


def test_seconds_of_a_toml_file_are_a_number_too() -> None:
    assert Page(pause=0.25) == read(Page, tomllib.loads("pause = 0.25"), "db-fetch")


@pytest.mark.parametrize(
    "line",
    [
        "orders = true",
        "orders = 1.5",
        "orders = [1]",
        "orders = 0",
        "orders = 50001",
        "orders = nan",
        "pause = inf",
        "pause = true",
        "pause = -0.1",
        "cached = 7",
        "cached = 'perhaps'",
        "city = 5",
        "city = 2026-01-01",
        "share = 'half'",
        "share = -inf",
        "share = nan",
        "chunk = 100",
    ],
)
def test_a_wrong_type_or_value_of_a_toml_file_is_refused_with_a_fix(line: str) -> None:
    error = refused(tomllib.loads(line))
    name = line.partition(" ")[0]

    assert error.what.startswith(f"{name}=")
    assert error.why
    assert Page() == follow(error.fix)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"orders": "1.5"}, "orders=1.5 is refused by db-fetch"),
        ({"orders": "0"}, "orders=0 is refused by db-fetch"),
        ({"orders": "60k"}, "orders=60000 is refused by db-fetch"),
        ({"orders": "many"}, "orders=many: not a count"),
        ({"orders": "2ms"}, "orders=2ms: not a count"),
        ({"orders": "9" * 400}, f"orders={'9' * 400}: not a count"),
        ({"pause": "2"}, "pause=2: not a duration"),
        ({"pause": "6s"}, "pause=6 is refused by db-fetch"),
        ({"chunk": "2ms"}, "chunk=2ms: not a size"),
        ({"chunk": "0.3KiB"}, "chunk=307.2 is refused by db-fetch"),
        ({"cached": "perhaps"}, "cached=perhaps is refused by db-fetch"),
        ({"share": "half"}, "share=half is refused by db-fetch"),
    ],
)
def test_a_refused_text_comes_with_a_command_that_works(
    given: dict[str, object], what: str
) -> None:
    error = refused(given)

    assert what == error.what
    assert error.why
    assert Page() == follow(error.fix)


def test_what_is_out_of_bounds_hears_the_bounds() -> None:
    assert refused({"orders": "60k"}).why == "orders (orders on the page, 1 to 50,000)"


def test_a_near_name_is_suggested_with_a_command_that_works() -> None:
    error = refused({"pauze": "5s"})

    assert error.what == "no parameter 'pauze' in db-fetch; did you mean 'pause'?"
    assert "orders (orders on the page, 1 to 50,000)" in error.why
    assert error.fix == "perfkit probe db-fetch -s pause=0.0123456s"
    assert Page() == follow(error.fix)


def test_a_far_name_is_explained_instead() -> None:
    error = refused({"zzz": "5"})

    assert error.what == "no parameter 'zzz' in db-fetch"
    assert error.fix == "perfkit explain db-fetch"


def test_a_class_without_parameters_says_so() -> None:
    @dataclass(frozen=True)
    class Nothing:
        pass

    assert describe(Nothing) == []
    assert refused({"rows": 1}, Nothing).why == "it has: none"


@pytest.mark.parametrize("given", [{}, {"orders": "5"}, {"orders": "many"}, {"order": "5"}])
def test_a_parameter_without_a_default_is_explained(given: dict[str, object]) -> None:
    error = refused(given, Demanding)

    assert error.why
    assert error.fix in {"", "perfkit explain db-fetch"}


@given(st.dictionaries(st.sampled_from(["orders", "pause", "chunk", "cached", "share"]), st.text()))
def test_any_text_is_read_or_refused(texts: dict[str, str]) -> None:
    try:
        page = read(Page, texts, "db-fetch")
    except UsageError:
        return
    assert 1 <= page.orders <= 50_000
    assert 0 <= page.pause <= 5
    assert math.isfinite(page.share)


@given(
    st.integers(1, 50_000),
    st.floats(0, 5),
    st.integers(512, 2**40),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_values_in_bounds_are_kept(
    orders: int,
    pause: float,
    chunk: int,
    cached: bool,  # noqa: FBT001 (hypothesis gives it)
    share: float,
) -> None:
    page = Page(orders, pause, chunk, cached, "Graz", share)
    values = {name: getattr(page, name) for name in Page.__dataclass_fields__}

    assert page == read(Page, values, "db-fetch")


def test_arguments_are_split_at_the_first_equals_sign() -> None:
    expected = {"orders": "5", "city": "a=b"}

    assert expected == arguments(["orders=5", " city = a=b "], "db-fetch")


@pytest.mark.parametrize("text", ["", "orders", "=5", " =5", "orders=", "orders= "])
def test_an_argument_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no parameter"):
        arguments([text], "db-fetch")
