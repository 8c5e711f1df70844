"""What a gate leaves behind: every check with its verdict, and the results it was judged from."""

from __future__ import annotations

import msgspec

from perfkit import result
from perfkit.errors import Exit
from perfkit.result import Machine, Result
from perfkit.verdict import EXITS, Policy, Word, worst

SCHEMA = "perfkit.gate/1"


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One check and what became of it."""

    target: str
    check: str
    verdict: Word
    said: str
    """One sentence with the figures."""
    value: float | None = None
    """The figure or ratio that was judged."""
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    clock: str = ""
    """Which measured figure it was: `cpu`, `wall` or `memory`; empty for counted work."""
    rounds: int = 0
    detectable: float | None = None
    """The smallest slow-down against the base, as a share, that would have failed nine times in
    ten; always more than the limit allows."""


class Gated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario of a gate."""

    name: str
    file: str
    title: str
    verdict: Word
    judged: tuple[Judged, ...]
    error: str = ""
    """What stopped it, where it was stopped."""
    unfit: str = ""
    """Why times could not be judged here, where they could not."""
    duration: float = 0.0
    """Seconds."""
    result: Result | None = None
    base: Result | None = None
    on_inconclusive: Policy = Policy.WARN
    on_unfit_runner: Policy = Policy.WARN

    @property
    def counts_as(self) -> Word:
        """The verdict after the policies have turned it into a pass or a fail."""
        says = {Policy.PASS: Word.PASS, Policy.FAIL: Word.FAIL}
        policies = {Word.INCONCLUSIVE: self.on_inconclusive, Word.UNFIT: self.on_unfit_runner}
        return says.get(policies.get(self.verdict, Policy.WARN), self.verdict)


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of `perfkit gate`."""

    perfkit: str
    started: str
    """ISO 8601, UTC."""
    duration: float
    """Seconds."""
    seed: int
    base: str
    """What the change was compared with: a revision, a file, or nothing."""
    machine: Machine
    scenarios: tuple[Gated, ...]
    verdict: Word
    """The worst of all scenarios that were asked for something."""
    left_out: tuple[str, ...] = ()
    """Scenarios none of whose checks was asked for: they need a base, or time."""
    interrupted: bool = False
    """Whether Ctrl-C ended it early."""
    schema: str = SCHEMA

    @property
    def exit(self) -> Exit:
        """The exit code: the verdict's own, unless a policy makes it a pass or a fail."""
        if self.interrupted:
            return Exit.INTERRUPTED
        judged = [one.counts_as for one in self.scenarios if one.name not in self.left_out]
        return EXITS[worst(judged)]


def encode(gate: Gate) -> bytes:
    """Write a gate as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(gate), indent=1) + b"\n"


def decode(data: bytes, source: str) -> Gate:
    """Read a gate from JSON; `source` names the file in errors.

    Raises UnreadableFile when it is cut short, of another schema, or has unknown fields.
    """
    gate = result.read(data, Gate, SCHEMA, source)
    for scenario in gate.scenarios:
        for one in (scenario.result, scenario.base):
            if one is not None:
                result.require_consistent(one, source)
    return gate
