"""Read a probe's parameters: from the annotations of its dataclass, for every way they come in."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from perfkit.errors import UsageError
from perfkit.model import Quantity
from perfkit.units import Unit, parse, show, write

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a parameter dataclass, with what its annotation says."""

    name: str
    text: str
    unit: Unit | None
    default: Any
    lowest: float | None
    highest: float | None
    workers: bool = False
    """Whether it is how many work at once on the same amount of work."""

    @property
    def bounds(self) -> str:
        """The allowed range in words, or nothing where there is none."""
        if self.unit is None or (self.lowest is None and self.highest is None):
            return ""
        if self.highest is None:
            return f"at least {show(self.lowest or 0, self.unit)}"
        return f"{show(self.lowest or 0, self.unit)} to {show(self.highest, self.unit)}"

    def __str__(self) -> str:
        """`orders (rows on the page, 1 to 50,000)`."""
        return f"{self.name} ({', '.join(filter(None, (self.text, self.bounds)))})"


def describe(params: type[Any]) -> list[Parameter]:
    """List the parameters that a dataclass declares, in its own order."""
    hints = get_type_hints(params, include_extras=True)
    return [_describe(field.name, hints[field.name], field.default) for field in fields(params)]


def _describe(name: str, hint: object, default: object) -> Parameter:
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    for note in notes:
        if isinstance(note, Quantity):
            return Parameter(
                name, note.text, note.unit, default, note.lowest, note.highest, note.workers
            )
    return Parameter(name, "", None, default, None, None)


def read(params: type[P], given: Mapping[str, object], owner: str) -> P:
    """Build the parameters of the probe `owner` from texts (`"2ms"`) or TOML values.

    Raises UsageError for an unknown name, a wrong unit, a wrong type or a value out of bounds.
    """
    known = {parameter.name: parameter for parameter in describe(params)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise _unknown(name, known, owner)
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(f"{value} is no number of anything - at `$.{name}`", given, known, owner)
        values[name] = _number(value, known[name], owner) if isinstance(value, str) else value
    try:
        # Not strict: a text without a unit is read as the field's type asks.
        built = msgspec.convert(values, params, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(str(error), values, known, owner) from error
    for name, parameter in known.items():
        if not _within(getattr(built, name), parameter):
            raise _refused(f"out of bounds - at `$.{name}`", values, known, owner)
    return built


def _within(value: Any, parameter: Parameter) -> bool:
    lowest, highest = parameter.lowest, parameter.highest
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _number(text: str, parameter: Parameter, owner: str) -> object:
    if parameter.unit is None:
        return text
    try:
        value = parse(text, parameter.unit)
    except ValueError as error:
        raise UsageError(
            f"{parameter.name}={text}: not {_noun(parameter.unit)}",
            why=str(error),
            fix=_command(owner, parameter),
        ) from error
    return int(value) if value == int(value) and parameter.unit is not Unit.SECONDS else value


def _command(owner: str, parameter: Parameter) -> str:
    """Return a command that sets the parameter and works, or one that explains the probe."""
    if parameter.default is MISSING:
        return f"perfkit explain {owner}"
    value, unit = parameter.default, parameter.unit
    text = value if unit is None else write(value, unit)
    return f"perfkit probe {owner} -s {shlex.quote(f'{parameter.name}={text}')}"


def _noun(unit: Unit) -> str:
    return {Unit.COUNT: "a count", Unit.SECONDS: "a duration", Unit.BYTES: "a size"}[unit]


def _unknown(name: str, known: Mapping[str, Parameter], owner: str) -> UsageError:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    has = ", ".join(str(parameter) for parameter in known.values()) or "none"
    return UsageError(
        f"no parameter '{name}' in {owner}" + (f"; did you mean '{close[0]}'?" if close else ""),
        why=f"it has: {has}",
        fix=_command(owner, known[close[0]]) if close else f"perfkit explain {owner}",
    )


def _refused(
    message: str, values: Mapping[str, object], known: Mapping[str, Parameter], owner: str
) -> UsageError:
    # msgspec ends its message with the place: "Expected `int` <= 50000 - at `$.orders`".
    name = message.rpartition("$.")[2].rstrip("`").partition("[")[0] if "$." in message else ""
    if name not in known:
        return UsageError(f"the parameters of {owner} are refused", why=message)
    parameter = known[name]
    given = values.get(name)
    written = f"{given:g}" if isinstance(given, float) else str(given)
    return UsageError(
        f"{name}={written} is refused by {owner}",
        why=str(parameter) if parameter.bounds else message,
        fix=_command(owner, parameter),
    )


def arguments(given: list[str], owner: str) -> dict[str, str]:
    """Split the `NAME=VALUE` texts of the command line; raises UsageError."""
    pairs = {}
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise UsageError(
                f"'-s {text}' is no parameter",
                why="a parameter is written NAME=VALUE, such as rows=5000",
                fix=f"perfkit explain {owner}",
            )
        pairs[name] = value
    return pairs
