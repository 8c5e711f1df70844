from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfkit.errors import UnreadableFile
from perfkit.result import (
    Bound,
    Component,
    Given,
    Interval,
    NotRun,
    Result,
    decode,
    encode,
    load,
    require_consistent,
)
from perfkit.units import Unit

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))
EVERY = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
SMALLEST = min(GOLDEN, key=lambda path: path.stat().st_size)
DATA = SMALLEST.read_bytes()


def tree() -> Any:
    return json.loads(DATA)


def refused(data: bytes) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        decode(data, "run.json")
    assert "run.json" in caught.value.what
    assert caught.value.why
    assert caught.value.fix
    return caught.value


def contradicts(changed: object) -> bool:
    return refused(json.dumps(changed).encode()).what == "run.json contradicts itself"


# What can be read


def test_there_are_sample_files() -> None:
    assert len(GOLDEN) >= 3


@EVERY
def test_a_result_survives_the_file_byte_for_byte(path: Path) -> None:
    result = load(path)

    assert path.read_bytes() == encode(result)
    assert result == decode(encode(result), "again")


@EVERY
def test_a_result_knows_its_naive_code_its_fix_and_its_rounds(path: Path) -> None:
    result = load(path)
    others = {variant.name for variant in result.variants} - {result.naive.name}

    assert result.naive.role == "naive"
    assert result.fix is not None
    assert (result.fix.role, result.fix.partial) == ("fixed", False)
    assert {len(variant.samples) for variant in result.variants} == {result.rounds}
    assert others == {name for name in others if result.verdict(name) is not None}
    assert result.verdict(result.naive.name) is None


def test_a_partial_fix_is_the_reference_only_where_there_is_no_other() -> None:
    result = load(SMALLEST)
    naive = result.naive
    half = msgspec.structs.replace(naive, name="half", role="fixed", partial=True)
    whole = msgspec.structs.replace(naive, name="whole", role="fixed", partial=False)

    def fix(*variants: Any) -> str | None:
        found = msgspec.structs.replace(result, variants=variants).fix
        return found.name if found else None

    assert [fix(naive, half, whole), fix(naive, half), fix(naive)] == ["whole", "half", None]


def test_a_run_that_only_counted_has_no_rounds() -> None:
    changed = tree()
    changed["verdicts"] = []
    for variant in changed["variants"]:
        variant["samples"] = []

    assert decode(json.dumps(changed).encode(), "run.json").rounds == 0


@EVERY
def test_a_file_from_before_variants_could_be_left_aside_is_read(path: Path) -> None:
    older = json.loads(path.read_bytes())
    assert older.pop("not_run") == []

    assert decode(json.dumps(older).encode(), "run.json") == load(path)


@EVERY
def test_a_file_from_before_variants_could_predict_is_read(path: Path) -> None:
    older = json.loads(path.read_bytes())
    assert [variant.pop("bound") for variant in older["variants"]] == [None] * len(
        older["variants"]
    )

    assert decode(json.dumps(older).encode(), "run.json") == load(path)


def with_bound(at_most: object) -> Any:
    changed = tree()
    changed["variants"][1]["bound"] = {"at_most": at_most, "reason": "1 + 2"}
    return changed


def test_a_prediction_survives_the_file() -> None:
    result = decode(json.dumps(with_bound(1.24)).encode(), "run.json")

    assert [variant.bound for variant in result.variants[:2]] == [None, Bound(1.24, "1 + 2")]
    assert decode(encode(result), "again") == result


@pytest.mark.parametrize("at_most", [0, -1.5])
def test_a_prediction_that_nothing_can_be_held_to_is_refused(at_most: float) -> None:
    assert contradicts(with_bound(at_most))


def test_a_prediction_without_end_is_refused() -> None:
    result = decode(json.dumps(with_bound(1.24)).encode(), "run.json")
    naive, lever, *others = result.variants
    endless = msgspec.structs.replace(lever, bound=Bound(math.inf, "1 / 0"))
    changed = msgspec.structs.replace(result, variants=(naive, endless, *others))

    with pytest.raises(UnreadableFile, match="contradicts itself"):
        require_consistent(changed, "run.json")


def test_what_was_not_run_survives_the_file() -> None:
    left = NotRun("ask-nobody", "fixed", "no question", "there is no crystal ball")
    result = msgspec.structs.replace(load(SMALLEST), not_run=(left,))

    assert decode(encode(result), "run.json").not_run == (left,)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Given(5000, Unit.COUNT), "5,000"),
        (Given(0.002, Unit.SECONDS), "2 ms"),
        (Given(65536, Unit.BYTES), "64 KiB"),
        (Given("Linz"), "Linz"),
        (Given(value=True), "True"),
        (Given(0.5), "0.5"),
    ],
)
def test_a_parameter_is_shown_with_its_unit(given: Given, expected: str) -> None:
    assert expected == str(given)


@pytest.mark.parametrize(
    ("rtt", "expected"),
    [
        (None, "PostgreSQL 18.6 (embedded)"),
        (0.0000604, "PostgreSQL 18.6 (embedded), round trip 60.4 µs"),
    ],
)
def test_a_component_says_what_and_how_far(rtt: float | None, expected: str) -> None:
    assert expected == str(Component("PostgreSQL", "18.6", "embedded", rtt))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.5, 2.5, 0.25), (None, 2.5, math.inf), (1.5, None, math.inf)],
)
def test_half_the_width_is_a_share_of_the_ratio(
    low: float | None, high: float | None, expected: float
) -> None:
    assert expected == Interval(2.0, low, high, 0.95).half_width


# What cannot


@EVERY
def test_a_file_cut_short_is_refused(path: Path) -> None:
    data = path.read_bytes()
    # All but the newline at the end belongs to the result.
    for length in range(0, len(data) - 1, 97):
        refused(data[:length])
    refused(data[:-2])


@pytest.mark.parametrize("schema", ["perfkit.result/2", "perfkit.finding/1", "", None, 7, ["x"]])
def test_another_schema_is_refused_by_name(schema: object) -> None:
    error = refused(json.dumps({**tree(), "schema": schema}).encode())

    assert error.why == f"its schema is {schema!r}, not 'perfkit.result/1'"
    another_kind = schema == "perfkit.finding/1"
    assert error.fix.startswith("name a file that holds a result" if another_kind else "use the")


@pytest.mark.parametrize("data", [b"[]", b"7", b'"text"', b"null", b"{}", b'[{"schema": 1}]'])
def test_json_of_another_shape_is_refused(data: bytes) -> None:
    assert refused(data).what == "run.json is no result that this perfkit reads"


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("component",),
        ("machine",),
        ("noise",),
        ("params", "orders"),
        ("variants", 0),
        ("variants", 1, "samples", 0),
        ("variants", 0, "work", "round_trips"),
        ("verdicts", 0),
        ("verdicts", 0, "typical"),
    ],
)
def test_an_unknown_field_is_refused_wherever_it_is(place: tuple[str | int, ...]) -> None:
    changed = inner = tree()
    for step in place:
        inner = inner[step]
    inner["surprise"] = 1

    assert "surprise" in refused(json.dumps(changed).encode()).why


OPTIONAL = {"schema", "not_run"}


@pytest.mark.parametrize(
    "field", [name for name in Result.__struct_fields__ if name not in OPTIONAL]
)
def test_a_missing_field_is_refused(field: str) -> None:
    changed = tree()
    del changed[field]

    assert field in refused(json.dumps(changed).encode()).why


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"1e999", b"null", b'"1"', b"true", b"[]"])
def test_a_time_that_is_no_number_is_refused(word: bytes) -> None:
    changed = tree()
    changed["variants"][0]["samples"][0]["warm_up"] = "HERE"

    refused(json.dumps(changed).encode().replace(b'"HERE"', word))


@pytest.mark.parametrize("seconds", [0, -1.0, -1e-9])
def test_a_value_that_took_no_time_is_refused(seconds: float) -> None:
    changed = tree()
    changed["variants"][1]["samples"][2]["wall"][1] = seconds

    assert contradicts(changed)


@pytest.mark.parametrize("field", ["warm_up", "cpu"])
def test_time_that_ran_backwards_is_refused(field: str) -> None:
    changed = tree()
    sample = changed["variants"][1]["samples"][2]
    sample[field] = -1.0 if field == "warm_up" else [-1.0] * len(sample["cpu"])

    assert contradicts(changed)


def test_variants_with_unequal_numbers_of_rounds_are_refused() -> None:
    changed = tree()
    changed["variants"][1]["samples"].pop()

    assert contradicts(changed)


@pytest.mark.parametrize("field", ["wall", "cpu"])
def test_a_sample_that_lost_a_value_is_refused(field: str) -> None:
    changed = tree()
    changed["variants"][0]["samples"][0][field].pop()

    assert contradicts(changed)


def test_a_sample_without_values_is_refused() -> None:
    changed = tree()
    changed["variants"][0]["samples"][0].update(wall=[], cpu=[])

    assert contradicts(changed)


def test_a_result_without_naive_code_is_refused() -> None:
    changed = tree()
    changed["variants"][0]["role"] = "fixed"

    assert contradicts(changed)


def test_a_result_with_two_naive_variants_is_refused() -> None:
    changed = tree()
    changed["variants"][1]["role"] = "naive"

    assert contradicts(changed)


def test_a_result_without_variants_is_refused() -> None:
    assert contradicts({**tree(), "variants": [], "verdicts": []})


def test_two_variants_of_one_name_are_refused() -> None:
    changed = tree()
    changed["variants"][1]["name"] = changed["variants"][2]["name"]
    changed["verdicts"] = []

    assert contradicts(changed)


def test_a_variant_that_was_run_and_not_run_is_refused() -> None:
    changed = tree()
    run = changed["variants"][1]
    changed["not_run"] = [{key: run[key] for key in ("name", "role", "label", "why")}]

    assert contradicts(changed)


def test_a_verdict_of_an_unknown_variant_is_refused() -> None:
    changed = tree()
    changed["verdicts"][0]["variant"] = "ask-someone-else"

    assert contradicts(changed)


def test_a_cause_that_nobody_counted_is_refused() -> None:
    assert contradicts({**tree(), "cause": "moon_phase"})


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_without_end_is_refused(opening: bytes) -> None:
    refused(opening * 100_000)


def test_nesting_without_end_inside_a_result_is_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000

    refused(DATA.replace(b'"seed": 0', b'"seed": ' + deep))


@given(st.binary(max_size=200))
@example(b'"\\xff"')
@example(b'"\xff"')
@example(b'{"schema": "\xff"}')
@example(b'{"schema": "\\ud800"}')
@example(b"\xef\xbb\xbf{}")
@example(b"\x00" * 50)
def test_garbage_is_refused(data: bytes) -> None:
    refused(data)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 300), st.binary(max_size=12))
def test_a_damaged_file_is_read_or_refused(start: int, length: int, filling: bytes) -> None:
    damaged = DATA[:start] + filling + DATA[start + length :]

    try:
        result = decode(damaged, "run.json")
    except UnreadableFile:
        return
    assert result.naive in result.variants


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(st.data(), values)
def test_any_value_in_any_place_is_read_or_refused(data: st.DataObject, value: object) -> None:
    changed = inner = tree()
    while True:
        place = data.draw(
            st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner)))
        )
        if (
            not isinstance(inner[place], dict | list)
            or not inner[place]
            or data.draw(st.booleans())
        ):
            inner[place] = value
            break
        inner = inner[place]

    try:
        result = decode(json.dumps(changed).encode(), "run.json")
    except UnreadableFile:
        return
    assert result == decode(encode(result), "again")


@pytest.mark.parametrize(
    ("kind", "why"), [("missing", "No such file or directory"), ("folder", "Is a directory")]
)
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, kind: str, why: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "missing.json"

    with pytest.raises(UnreadableFile) as caught:
        load(path)

    assert (caught.value.what, caught.value.why) == (f"cannot read {path}", why)
