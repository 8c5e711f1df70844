"""Units as data: how a quantity is written, read and shown."""

from __future__ import annotations

import math
import re
from enum import StrEnum


class Unit(StrEnum):
    """What a number counts."""

    COUNT = "count"
    SECONDS = "seconds"
    BYTES = "bytes"


# How each unit may be written, and how much one of it is.
SPELLINGS: dict[Unit, dict[str, float]] = {
    Unit.COUNT: {"": 1, "k": 1_000, "M": 1_000_000},
    Unit.SECONDS: {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600},
    Unit.BYTES: {
        "B": 1,
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
    },
}
_BASE = {Unit.COUNT: "", Unit.SECONDS: "s", Unit.BYTES: "B"}
EXAMPLES = {Unit.COUNT: "5000", Unit.SECONDS: "2ms", Unit.BYTES: "64KiB"}

_QUANTITY = r"(?P<number>[+-]?\d[\d_]*(?:\.\d+)?)\s*(?P<unit>[A-Za-zµ]*)"
_TIME_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def parse(text: str, unit: Unit) -> float:
    """Read a quantity such as `2ms`, `64KiB` or `5_000`, in seconds, bytes or pieces.

    Raises ValueError, with a message for people, when the text is no such quantity.
    """
    from decimal import Decimal

    # Compiled on first use: every worker process imports this module, and few parse anything.
    match = re.fullmatch(_QUANTITY, text.strip().replace("μ", "µ"), re.ASCII)
    spellings = SPELLINGS[unit]
    if match is None:
        message = f"'{text}' is no number with a unit; write it like {EXAMPLES[unit]}"
        raise ValueError(message)
    written = match["unit"]
    if written not in spellings:
        known = ", ".join(name for name in spellings if name)
        message = (
            f"'{text}' has no unit; write it like {EXAMPLES[unit]} ({known})"
            if not written
            else f"'{written}' is no unit of {unit}; use one of {known}"
        )
        raise ValueError(message)
    # Not float times float: that would read 5us as 4.9999999999999996e-06.
    value = float(Decimal(match["number"].replace("_", "")) * Decimal(repr(spellings[written])))
    if not math.isfinite(value):
        message = f"'{text}' is more than any number can hold"
        raise ValueError(message)
    return value


def show(value: float, unit: Unit) -> str:
    """Write a quantity for people: `5,000`, `2 ms`, `64 KiB`."""
    if unit is Unit.SECONDS:
        scale, name = time_scale(value)
        return f"{_three_digits(value / scale)} {name}"
    if unit is Unit.BYTES:
        for name in ("GiB", "MiB", "KiB"):
            if abs(value) >= SPELLINGS[unit][name]:
                return f"{_three_digits(value / SPELLINGS[unit][name])} {name}"
        return f"{value:,.0f} B"
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


def _three_digits(value: float) -> str:
    # Without this, `g` would write 1,023 KiB as 1.02e+03 KiB.
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"  # noqa: PLR2004 (rounds up)


def write(value: float, unit: Unit) -> str:
    """Write a quantity so that `parse` reads exactly this value: `5000`, `2ms`, `100000B`."""
    from decimal import Decimal

    short = show(value, unit).replace(" ", "").replace(",", "").replace("µ", "u")
    if parse(short, unit) == value:
        return short
    return f"{Decimal(repr(value)):f}{_BASE[unit]}"


def time_scale(seconds: float) -> tuple[float, str]:
    """Return the unit of time, as (seconds, name), in which a duration reads best."""
    for scale, name in _TIME_SCALES:
        if abs(seconds) >= scale:
            return scale, name
    return _TIME_SCALES[-1]
