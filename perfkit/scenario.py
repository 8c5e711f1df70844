"""Scenario files: one war story a TOML file: which probe, how to run it, and what must hold."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import msgspec

from perfkit import checks, registry
from perfkit.checks import Check, Kind
from perfkit.errors import NothingMatched, UnreadableFile, UsageError
from perfkit.model import Location, Plan
from perfkit.parameters import read
from perfkit.settings import Settings, explain
from perfkit.units import Unit, parse

FOLDER = "scenarios"
"""Where a project keeps its scenario files."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A story: which probe, with which parameters, how far away.

    `rtt` is a duration such as `2ms`; `backend` a URL, empty for the embedded component. `checks`
    are the texts of what must hold, by target.
    """

    probe: str
    title: str
    story: str
    rtt: str = ""
    backend: str = ""
    params: dict[str, bool | int | float | str] = {}
    checks: dict[str, list[str]] = {}
    gate: Settings = Settings()

    @property
    def measures(self) -> str:
        """What is measured: the name of the probe."""
        return self.probe

    def plan(self) -> Plan:
        """Return what to run; raises UsageError when probe or parameters do not fit."""
        probe = registry.probe(self.probe)
        return Plan(
            probe=probe,
            params=read(probe.params, self.params, self.probe),
            location=Location(url=self.backend, rtt=_seconds(self.rtt)),
        )

    def expected(self, source: str) -> tuple[Check, ...]:
        """Return the checks with every role replaced by the variants that have it.

        Raises UnreadableFile, naming `source`, for a check that does not follow the grammar or
        speaks of a variant or counter that the probe does not have.
        """
        probe = registry.probe(self.probe)
        roles = {
            "naive": [one.name for one in probe.variants if one.role == "naive"],
            "fixed": [
                one.name for one in probe.variants if one.role == "fixed" and not one.partial
            ][:1],
            "wrong": [one.name for one in probe.variants if one.role == "wrong lever"],
        }
        variants = [*(one.name for one in probe.variants), *(role for role in roles if roles[role])]
        found: list[Check] = []
        for target, texts in self.checks.items():
            for text in texts:
                check = checks.parse(target, text, source)
                checks.require_known(check, variants, probe.work, source)
                found += _spelled_out(check, roles)
        return tuple(found)


def _spelled_out(check: Check, roles: Mapping[str, list[str]]) -> Iterator[Check]:
    """Yield a check for every variant that its roles stand for."""
    for variant in roles.get(check.variant, [check.variant]):
        others = (
            roles.get(check.other, [check.other]) if check.kind is Kind.RATIO else [check.other]
        )
        for other in others:
            yield replace(check, variant=variant, other=other)


def _seconds(rtt: str) -> float:
    if not rtt:
        return 0.0
    try:
        return parse(rtt, Unit.SECONDS)
    except ValueError as error:
        raise UnreadableFile(f"rtt = {rtt!r} is no duration", why=str(error)) from error


def decode(text: str, source: str) -> Scenario:
    """Read a scenario from TOML; `source` names the file in errors.

    Raises UnreadableFile for malformed TOML, unknown keys and wrong types.
    """
    try:
        scenario: Scenario = msgspec.toml.decode(text, type=Scenario)
    # RecursionError: brackets without end.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{source} is no scenario",
            why=explain(str(error), (*_NAMES, *Settings.__struct_fields__)),
            fix=f"its keys are: {_KEYS}",
        ) from error
    return scenario


_NAMES = Scenario.__struct_fields__
_TABLES = {"params", "checks", "gate"}
_KEYS = ", ".join(f"[{name}]" if name in _TABLES else name for name in _NAMES)


def known() -> dict[str, Path]:
    """Return every scenario by name: those in `./scenarios`, then those of installed packages."""
    return registry.scenarios() | inside(Path(FOLDER))


def inside(folder: Path) -> dict[str, Path]:
    """Return the scenario files of a folder by name."""
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def find(words: Iterable[str]) -> dict[str, Path]:
    """Return scenario files by name, for names, patterns (`orders-*`), files and folders.

    Raises NothingMatched, with the nearest name, for a word that matches nothing.
    """
    offered = known()
    found: dict[str, Path] = {}
    for word in words:
        path = Path(word)
        if word.endswith(".toml"):
            matching = {path.stem: path}
        elif path.is_dir():
            matching = inside(path)
        else:
            matching = {name: offered[name] for name in fnmatch.filter(offered, word)}
        if not matching:
            close = get_close_matches(word, offered, n=1, cutoff=0.5)
            raise NothingMatched(
                f"no scenario '{word}'" + (f"; did you mean '{close[0]}'?" if close else ""),
                why=f"there are: {', '.join(offered) or 'none'}",
                fix="perfkit scenario list",
            )
        for name, file in matching.items():
            if name in found and found[name] != file:
                raise UsageError(
                    f"two scenarios are called '{name}'", why=f"{found[name]} and {file}"
                )
            found[name] = file
    return found


def load(path: Path) -> Scenario:
    """Read a scenario file; raises UnreadableFile."""
    try:
        return decode(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"cannot read {path}", why=str(error)) from error
