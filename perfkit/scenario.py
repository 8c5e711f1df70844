"""Scenario files: one war story a TOML file: which probe, how to run it, and what must hold."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import msgspec

from perfkit import checks, registry
from perfkit.checks import Check, Kind
from perfkit.errors import UnreadableFile, UsageError
from perfkit.model import Location, Plan
from perfkit.parameters import read
from perfkit.units import Unit, parse


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
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableFile(
            f"{source} is no scenario", why=_explained(str(error)), fix=f"its keys are: {_KEYS}"
        ) from error
    return scenario


_NAMES = Scenario.__struct_fields__
_KEYS = ", ".join(f"[{name}]" if name in {"params", "checks"} else name for name in _NAMES)


def _explained(message: str) -> str:
    """Add the nearest key to a complaint about an unknown one."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    close = get_close_matches(unknown[1], _NAMES, n=1, cutoff=0.5) if unknown else []
    return f"{message}; did you mean '{close[0]}'?" if close else message


def find(words: Iterable[str]) -> dict[str, Path]:
    """Return scenario files by name, for names, patterns (`orders-*`) and paths of files.

    Raises UsageError, with the nearest name, for a word that matches nothing.
    """
    known = registry.scenarios()
    found: dict[str, Path] = {}
    for word in words:
        if word.endswith(".toml"):
            found[Path(word).stem] = Path(word)
            continue
        matching = fnmatch.filter(known, word)
        if not matching:
            close = get_close_matches(word, known, n=1, cutoff=0.5)
            raise UsageError(
                f"no scenario '{word}'" + (f"; did you mean '{close[0]}'?" if close else ""),
                why=f"there are: {', '.join(known) or 'none'}",
                fix="perfkit scenario list",
            )
        found |= {name: known[name] for name in matching}
    return found


def load(path: Path) -> Scenario:
    """Read a scenario file; raises UnreadableFile."""
    try:
        return decode(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"cannot read {path}", why=str(error)) from error
