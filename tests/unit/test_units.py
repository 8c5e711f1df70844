from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.units import EXAMPLES, SPELLINGS, Unit, parse, show, time_scale, write

units = st.sampled_from(Unit)
finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
SPELLED = [(unit, name, size) for unit, names in SPELLINGS.items() for name, size in names.items()]


@pytest.mark.parametrize(("unit", "name", "size"), SPELLED)
def test_every_spelling_is_read(unit: Unit, name: str, size: float) -> None:
    texts = [f"3{name}", f"3 {name}", f" 3{name} ", f"+3{name}", f"3.0{name}", f"0_3{name}"]

    assert pytest.approx([3 * size] * 6, rel=1e-15) == [parse(text, unit) for text in texts]


@pytest.mark.parametrize(("unit", "text"), EXAMPLES.items())
def test_the_examples_of_messages_are_read(unit: Unit, text: str) -> None:
    assert parse(text, unit) > 0


def test_both_micro_signs_and_the_letter_are_the_same() -> None:
    micro_sign, greek_mu = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
    read = [parse(f"5{prefix}s", Unit.SECONDS) for prefix in (micro_sign, greek_mu, "u")]

    assert read == [5e-6] * 3


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("-2ms", Unit.SECONDS, -0.002),
        ("-5", Unit.COUNT, -5.0),
        ("1_000_000", Unit.COUNT, 1e6),
        ("2.5k", Unit.COUNT, 2500.0),
        ("0", Unit.COUNT, 0.0),
        ("999999999999", Unit.COUNT, 999_999_999_999.0),
        ("1GiB", Unit.BYTES, 2.0**30),
    ],
)
def test_signs_and_magnitudes_are_read(text: str, unit: Unit, expected: float) -> None:
    assert expected == parse(text, unit)


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "fast",
        "ms",
        "1e3",
        "1,000",
        "--5",
        "5 5",
        "1.2.3",
        "nan",
        "inf",
        "-inf",
        "0x10",
        "5 parsecs",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "\N{FULLWIDTH DIGIT FIVE}ms",
        "\N{SUPERSCRIPT TWO}",
        "5\N{KELVIN SIGN}",
        "5\n6",
        "5;rm",
        "9" * 400,
    ],
)
def test_nonsense_is_refused(unit: Unit, text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)'.*'"):
        parse(text, unit)


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("5", Unit.SECONDS, "'5' has no unit; write it like 2ms (ns, us, µs, ms, s, m, h)"),
        ("5MB", Unit.SECONDS, "'MB' is no unit of seconds; use one of ns, us, µs, ms, s, m, h"),
        ("5kb", Unit.BYTES, "'kb' is no unit of bytes; use one of B, kB, MB, GB, KiB, MiB, GiB"),
        ("many", Unit.COUNT, "'many' is no number with a unit; write it like 5000"),
        ("9" * 400, Unit.COUNT, f"'{'9' * 400}' is more than any number can hold"),
    ],
)
def test_the_message_says_what_to_write(text: str, unit: Unit, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message follows)
        parse(text, unit)

    assert message == str(caught.value)


@given(st.text(), units)
def test_any_text_is_a_finite_number_or_refused(text: str, unit: Unit) -> None:
    with suppress(ValueError):
        assert math.isfinite(parse(text, unit))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, Unit.SECONDS, "0 ns"),
        (2e-9, Unit.SECONDS, "2 ns"),
        (5e-6, Unit.SECONDS, "5 µs"),
        (0.002, Unit.SECONDS, "2 ms"),
        (0.0123456, Unit.SECONDS, "12.3 ms"),
        (0.99951, Unit.SECONDS, "1,000 ms"),
        (1.5, Unit.SECONDS, "1.5 s"),
        (4321, Unit.SECONDS, "4,321 s"),
        (-0.002, Unit.SECONDS, "-2 ms"),
        (0, Unit.BYTES, "0 B"),
        (1023, Unit.BYTES, "1,023 B"),
        (1024, Unit.BYTES, "1 KiB"),
        (1023 * 1024, Unit.BYTES, "1,023 KiB"),
        (65536, Unit.BYTES, "64 KiB"),
        (5000 * 2**30, Unit.BYTES, "5,000 GiB"),
        (-2048, Unit.BYTES, "-2 KiB"),
        (5000, Unit.COUNT, "5,000"),
        (12_345_678_901_234, Unit.COUNT, "12,345,678,901,234"),
        (10**400, Unit.COUNT, f"{10**400:,}"),
        (2.5, Unit.COUNT, "2.5"),
        (-7, Unit.COUNT, "-7"),
    ],
)
def test_quantities_are_shown_for_people(value: float, unit: Unit, expected: str) -> None:
    assert expected == show(value, unit)


@given(finite, units)
def test_what_is_shown_has_no_exponent(value: float, unit: Unit) -> None:
    # Counts that are no whole numbers are never shown.
    value = float(round(value)) if unit is Unit.COUNT else value

    assert "e+" not in show(value, unit)


@given(st.floats(min_value=1e-8, max_value=1e9))
def test_three_digits_of_a_duration_survive(seconds: float) -> None:
    shown = show(seconds, Unit.SECONDS).replace(",", "")

    assert math.isclose(seconds, parse(shown, Unit.SECONDS), rel_tol=0.006)


@given(st.integers(min_value=0, max_value=2**62), st.sampled_from([Unit.COUNT, Unit.BYTES]))
def test_written_whole_numbers_read_back_as_they_were(value: int, unit: Unit) -> None:
    assert float(value) == parse(write(value, unit), unit)


@given(st.floats(min_value=1e-12, max_value=1e9))
def test_written_durations_read_back_as_they_were(seconds: float) -> None:
    assert seconds == parse(write(seconds, Unit.SECONDS), Unit.SECONDS)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (5000, Unit.COUNT, "5000"),
        (0.002, Unit.SECONDS, "2ms"),
        (5e-6, Unit.SECONDS, "5us"),
        (65536, Unit.BYTES, "64KiB"),
        (100_000, Unit.BYTES, "100000B"),
        (0.0123456, Unit.SECONDS, "0.0123456s"),
    ],
)
def test_quantities_are_written_for_the_command_line(
    value: float, unit: Unit, expected: str
) -> None:
    assert expected == write(value, unit)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "ns"), (1e-9, "ns"), (9.9e-7, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (90, "s")],
)
def test_a_duration_has_the_largest_scale_that_it_reaches(seconds: float, expected: str) -> None:
    assert expected == time_scale(seconds)[1]
