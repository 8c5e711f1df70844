"""How a gate is run: the `[gate]` table of a scenario, and `[tool.perfkit.gate]` of a project."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from perfkit.errors import UnreadableFile
from perfkit.units import Unit, parse
from perfkit.verdict import Policy

BUDGET = 90.0
"""Seconds of timed rounds a scenario, unless it says otherwise."""
PROJECT = "pyproject.toml"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scenario may set for itself; None leaves it to the project, and then to perfkit.

    The policies say what becomes of a verdict that says nothing about the code: `warn` keeps its
    own exit code, `pass` and `fail` make it one.
    """

    budget: str | None = None
    """How long the timed rounds of a scenario may take, such as `90s`."""
    on_inconclusive: Policy | None = None
    """What the exit code makes of a check that noise left open."""
    on_unfit_runner: Policy | None = None
    """What it makes of a machine too busy, or not the baseline's."""

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
        fix = 'budget = "90s"'
        try:
            seconds = parse(self.budget, Unit.SECONDS)
        except ValueError as error:
            raise UnreadableFile(
                f"budget = {self.budget!r} is no duration", why=str(error), fix=fix
            ) from error
        if seconds < 0:
            raise UnreadableFile(f"budget = {self.budget!r} is no time at all", fix=fix)
        return seconds


class Project(Settings, frozen=True, forbid_unknown_fields=True):
    """What a project may set beyond that."""

    scenarios: list[str] = []
    """What is judged when nothing is named: names, patterns, and paths of files or folders."""
    build: list[str] = []
    """A command, as a list of words, that builds a checkout of the base."""
    checks: dict[str, dict[str, list[str]]] = {}
    """Checks to add to scenarios, by a pattern of their names and by target."""


T = TypeVar("T", bound=Settings)


def read_project(folder: Path) -> Project:
    """Read `[tool.perfkit.gate]` of the folder's pyproject.toml; nothing set where there is none.

    Raises UnreadableFile for a file or table that cannot be read.
    """
    import tomllib

    file = folder / PROJECT
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Project()
    # RecursionError: brackets without end.
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFile(f"cannot read {file}", why=str(error)) from error
    for name in ("tool", "perfkit", "gate"):
        # What is no table is complained of as the last one.
        table = table.get(name, {}) if isinstance(table, dict) else table
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
