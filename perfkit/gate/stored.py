"""The base of a comparison: what an earlier run left in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfkit import outcome, result
from perfkit.errors import UnreadableFile
from perfkit.result import Machine, Result


@dataclass(frozen=True, slots=True)
class Stored:
    """Earlier results: by the name of their scenario, or one alone without a name."""

    file: Path
    results: dict[str, Result]
    alone: Result | None = None

    def of(self, name: str) -> Result | None:
        """Return the result of a scenario."""
        return self.alone if self.alone is not None else self.results.get(name)

    def named(self) -> dict[str, Result]:
        """Return every result by name: a lone one has its probe's."""
        return self.results if self.alone is None else {self.alone.probe: self.alone}


def load(path: Path) -> Stored:
    """Read what `perfkit gate --save` or `perfkit probe -o` wrote; raises UnreadableFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(
            f"cannot read {path}",
            why=error.strerror or str(error),
            fix=f"make one: perfkit gate --save {path}",
        ) from error
    head = result.parse(data, str(path))
    if isinstance(head, dict) and head.get("schema") == result.SCHEMA:
        return Stored(path, {}, result.decode(data, str(path)))
    gate = outcome.decode(data, str(path))
    return Stored(path, {one.name: one.result for one in gate.scenarios if one.result is not None})


def difference(now: Result, then: Result) -> str:
    """Say what was measured differently, so that not even counted work compares; or nothing."""
    if now.probe != then.probe:
        return f"another probe: {then.probe}, not {now.probe}"
    for name in sorted(now.params.keys() | then.params.keys()):
        mine, theirs = now.params.get(name), then.params.get(name)
        if mine != theirs:
            return f"another {name}: {theirs if theirs is not None else 'none'}, not {mine}"
    if now.component.rtt_asked != then.component.rtt_asked:
        return "another distance to the component"
    return ""


def foreign(now: Machine, then: Machine) -> str:
    """Say why times of the two do not compare, or nothing."""
    if now.fingerprint == then.fingerprint:
        return ""
    told = [
        f"{name} {before}, here {after}"
        for name, before, after in (
            ("processor", f"{then.cores} x {then.cpu}", f"{now.cores} x {now.cpu}"),
            ("kernel", f"{then.system} {then.kernel}", f"{now.system} {now.kernel}"),
            ("Python", then.python, now.python),
            ("memory", then.memory, now.memory),
            ("packages", _versions(then), _versions(now)),
        )
        if before != after
    ]
    return f"the base is of another machine: {told[0] if told else 'its fingerprint differs'}"


def _versions(machine: Machine) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(machine.packages.items()))
