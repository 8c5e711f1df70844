"""Scenario files: one war story a TOML file, naming a probe and how to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perfkit import registry
from perfkit.errors import UnreadableFile
from perfkit.model import Location, Plan
from perfkit.parameters import read
from perfkit.units import Unit, parse

if TYPE_CHECKING:
    from pathlib import Path


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A story: which probe, with which parameters, how far away.

    `rtt` is a duration such as `2ms`; `backend` a URL, empty for the embedded component.
    """

    probe: str
    title: str
    story: str
    rtt: str = ""
    backend: str = ""
    params: dict[str, bool | int | float | str] = {}

    def plan(self) -> Plan:
        """Return what to run; raises UsageError when probe or parameters do not fit."""
        probe = registry.probe(self.probe)
        return Plan(
            probe=probe,
            params=read(probe.params, self.params, self.probe),
            location=Location(url=self.backend, rtt=_seconds(self.rtt)),
        )


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
            f"{source} is no scenario",
            why=str(error),
            fix="its keys are: probe, title, story, rtt, backend, [params]",
        ) from error
    return scenario


def load(path: Path) -> Scenario:
    """Read a scenario file; raises UnreadableFile."""
    try:
        return decode(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"cannot read {path}", why=str(error)) from error
