"""No literal survives the normaliser, and everything else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.backends.statements import normalise

SECRET = "HUSH"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("SELECT name FROM buyer WHERE id = 17", "SELECT name FROM buyer WHERE id = ?"),
        ("select 'it''s', E'it\\'s' from t", "select ?, ... from t"),
        ("select $body$ it's $x$ $body$", "select ?"),
        ("select $$ it's $$ || x", "select ? || x"),
        ("select 1.5e-3 + .5 + 0x1F + 1_000", "select ? + ? + ? + ?"),
        ("select x'ff', B'01', U&'d', N'n'", "select ?, ..."),
        ("select $1::text, x::int from t1", "select ?::text, x::int from t1"),
        ("where id in (1, 2 , 3)", "where id in (?, ...)"),
        ("insert into t values (1, 'a'), (2, 'b')", "insert into t values (?, ...), ..."),
        ("where a = -5 and b = a - 5", "where a = ? and b = a - ?"),
        ('select "a 1", `b 2` from "T"', 'select "a 1", `b 2` from "T"'),
        ("select a -- it's 17\n from t /* 'x' */ ;", "select a from t"),
        ("  select\n\ta  from  t;  ", "select a from t"),
        ("select data ? 'key' from t2", "select data ? ? from t2"),
        ("select größe, straße$1 from t", "select größe, straße$1 from t"),
        ("", ""),
    ],
)
def test_shape_of_a_statement(text: str, shape: str) -> None:
    assert normalise(text) == shape


@pytest.mark.parametrize("opening", ["'", "E'", "$$", "$tag$", '"', "`", "/*", "x'", "U&'"])
def test_what_never_ends_is_no_sql(opening: str) -> None:
    assert SECRET not in normalise(f"select {opening} {SECRET} ; drop table")


def quoted(text: str) -> st.SearchStrategy[str]:
    escaped = text.replace("'", "''")
    backslashed = text.replace("\\", "\\\\").replace("'", "\\'")
    return st.sampled_from([f"'{escaped}'", f"E'{backslashed}'", f"$hush${text}$hush$"])


literals = st.one_of(
    st.text(st.characters(exclude_characters="$", exclude_categories=["Cs", "Cc"]))
    .map(lambda text: f"{SECRET}{text}{SECRET}")
    .flatmap(quoted),
    st.integers(min_value=10**9).map(str),
    st.floats(min_value=1e9, allow_infinity=False).map(repr),
)
pieces = st.sampled_from(
    ["select", "a1", '"b 2"', "from t", "where c =", ",", "(", ")", "::text", "-- no\n", "/* n */"]
)


@given(st.lists(st.tuples(pieces, literals), min_size=1))
def test_no_literal_survives(parts: list[tuple[str, str]]) -> None:
    shape = normalise(" ".join(f"{piece} {literal}" for piece, literal in parts))

    assert SECRET not in shape
    assert not any(
        len(number) > 1
        for number in "".join(sign if sign.isdigit() else " " for sign in shape).split()
    )


@given(st.text())
def test_any_text_has_a_shape_that_is_its_own(text: str) -> None:
    shape = normalise(text)

    assert normalise(shape) == shape
    assert "\n" not in shape
