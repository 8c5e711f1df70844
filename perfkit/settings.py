"""How a gate is run: the `[gate]` table of a scenario, and `[tool.perfkit.gate]` of a project."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from perfkit.errors import UnreadableFile
from perfkit.outcome import Policy
from perfkit.units import Unit, parse

BUDGET = 90.0
"""Seconds of timed rounds a scenario, unless it says otherwise."""
PROJECT = "pyproject.toml"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scenario may set for itself; None leaves it to the project, and then to perfkit.

    `budget` is a duration such as `90s`. The policies say what becomes of a verdict that says
    nothing about the code: `warn` keeps its own exit code, `pass` and `fail` make it one.
    """

    budget: str | None = None
    on_inconclusive: Policy | None = None
    on_unfit_runner: Policy | None = None

    def over(self, other: Settings) -> Settings:
        """Return these settings, with the other's where these say nothing."""
        return Settings(
            budget=other.budget if self.budget is None else self.budget,
            on_inconclusive=other.on_inconclusive
            if self.on_inconclusive is None
            else self.on_inconclusive,
            on_unfit_runner=other.on_unfit_runner
            if self.on_unfit_runner is None
            else self.on_unfit_runner,
        )

    @property
    def seconds(self) -> float:
        """The budget in seconds; raises UnreadableFile for a text that is no duration."""
        if self.budget is None:
            return BUDGET
        try:
            return parse(self.budget, Unit.SECONDS)
        except ValueError as error:
            raise UnreadableFile(
                f"budget = {self.budget!r} is no duration", why=str(error), fix='budget = "90s"'
            ) from error


class Project(Settings, frozen=True, forbid_unknown_fields=True):
    """What a project may set: `scenarios` are names, patterns and paths of files or folders.

    `build` is a command that builds a checkout of the base. `checks` adds checks to scenarios by
    a pattern of their names.
    """

    scenarios: list[str] = []
    build: list[str] = []
    checks: dict[str, dict[str, list[str]]] = {}


T = TypeVar("T", bound=Settings)


def read_project(folder: Path) -> Project:
    """Read `[tool.perfkit.gate]` of the folder's pyproject.toml; nothing set where there is none.

    Raises UnreadableFile for a file or table that cannot be read.
    """
    import tomllib

    file = folder / PROJECT
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Project()
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"cannot read {file}", why=str(error)) from error
    for name in ("tool", "perfkit", "gate"):
        table = table.get(name, {})
    return convert(table, Project, f"{PROJECT}: [tool.perfkit.gate]")


def convert(table: Any, kind: type[T], place: str) -> T:
    """Turn a TOML table into settings; raises UnreadableFile with the nearest key."""
    try:
        settings = msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        keys = kind.__struct_fields__
        raise UnreadableFile(
            f"{place} cannot be read",
            why=explain(str(error), keys),
            fix=f"its keys: {', '.join(keys)}",
        ) from error
    # A budget that is none is refused here, not after an hour.
    _ = settings.seconds
    return settings


def explain(message: str, known: tuple[str, ...]) -> str:
    """Add the nearest key to a complaint about an unknown one."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    close = get_close_matches(unknown[1], known, n=1, cutoff=0.5) if unknown else []
    return f"{message}; did you mean '{close[0]}'?" if close else message
