"""Scenario files: one war story a TOML file: which probe, how to run it, and what must hold."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from perfkit import checks, registry, workload
from perfkit.checks import Check, Kind
from perfkit.errors import CannotRun, NothingMatched, UnreadableFile, UsageError
from perfkit.model import Location, Plan, Probe, Variant
from perfkit.parameters import read
from perfkit.settings import Settings, explain
from perfkit.units import Unit, parse
from perfkit.workload import Run, Workload

FOLDER = "scenarios"
"""Where a project keeps its scenario files."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A story: which probe or code of the user's, with which parameters, how far away.

    Either `probe` or `run` is there.
    """

    probe: str = ""
    """A probe, as `perfkit list` names it."""
    run: Run | dict[str, Run] | None = None
    """Code of your own: a function `"module:name"`, or a command as a list of words. A table
    `[run]` has several, by the names of variants; the others' answers are held to the first's."""
    setup: Run = ""
    """A function or command that is called once, before all others."""
    title: str
    """One line for lists and reports."""
    story: str
    """What happened, for whom, and why it must not happen again."""
    rtt: str = ""
    """A round-trip time to add between client and server, such as `2ms`."""
    backend: str = ""
    """The URL of a server of yours; empty for the embedded component. With `run` empty is none, and
    `postgres` the embedded server, which the code finds in `PERFKIT_DSN` and libpq's variables."""
    timeout: str = f"{workload.TIMEOUT:g}s"
    """How long a call of `run` may take."""
    answer: Literal["compare", "ignore"] = "compare"
    """Whether the answers of `run` must be equal, of all variants and at the base: `compare`, or
    `ignore`."""
    memory: bool = False
    """Whether allocations and the peak of memory are counted too, of functions."""
    params: dict[str, bool | int | float | str] = {}
    """Parameters: of the probe, of the functions, or for `{name}` in the words of commands."""
    environment: dict[str, str] = {}
    """Variables for the code of `run`."""
    checks: dict[str, list[str]] = {}
    """What must hold: lists of checks, by target."""
    gate: Settings = Settings()
    """Settings of this scenario."""

    @property
    def measures(self) -> str:
        """What is measured: the name of the probe, or of the user's code."""
        return self.probe or self._workload().name

    def plan(self) -> Plan:
        """Return what to run; raises UsageError when probe or parameters do not fit."""
        probe = self._probe()
        params = read(probe.params, self.params, self.probe) if self.probe else self.params
        return Plan(
            probe=probe,
            params=params,
            location=Location(url=self.backend, rtt=_seconds("rtt", self.rtt)),
        )

    def _probe(self) -> Probe[Any, Any]:
        return registry.probe(self.probe) if self.probe else workload.probe(self._workload())

    def _workload(self) -> Workload:
        """Return the user's own code; raises UnreadableFile."""
        if bool(self.probe) == (self.run is not None):
            raise UnreadableFile(
                f"it has {'both probe and run' if self.probe else 'neither probe nor run'}",
                why="a scenario measures a probe, or code of your own",
                fix='probe = "db-fetch", or run = "mypkg.bench:load_page"',
            )
        limit = _seconds("timeout", self.timeout)
        if limit <= 0:
            raise UnreadableFile(f"timeout = {self.timeout!r} leaves no time at all")
        return workload.read(
            {} if self.run is None else self.run,
            title=self.title,
            setup=self.setup,
            params=self.params,
            environment=self.environment,
            timeout=limit,
            compared=self.answer == "compare",
            memory=self.memory,
        )

    def require_whole(self) -> None:
        """Raise UnreadableFile unless what is measured is said once, and soundly."""
        if self.run is not None or not self.probe:
            self._workload()
            return
        unused = {
            "setup": bool(self.setup),
            "timeout": self.timeout != Scenario(title="", story="").timeout,
            "answer": self.answer != "compare",
            "environment": bool(self.environment),
            "memory": self.memory,
        }
        for name in (name for name, given in unused.items() if given):
            raise UnreadableFile(
                f"a probe takes no {name}", why=f"{name} belongs to run, to code of your own"
            )

    def expected(self, source: str) -> tuple[Check, ...]:
        """Return the checks with every role replaced by the variants that have it and run.

        Raises UnreadableFile, naming `source`, for a check that does not follow the grammar or
        speaks of a variant or counter that the probe does not have; CannotRun for one that speaks
        of a variant that is not run with these parameters; UsageError as `plan` does.
        """
        plan = self.plan()
        probe, obstacles = plan.probe, plan.probe.obstacles(plan.params)
        applying = [one for one in probe.variants if one.name not in obstacles]
        roles = _roles(applying)
        roles["fixed"] = roles["fixed"][:1]
        variants = [*(one.name for one in applying), *(role for role in roles if roles[role])]
        found: list[Check] = []
        for target, texts in self.checks.items():
            for text in texts:
                check = checks.parse(target, text, source)
                for name in (check.variant, check.other):
                    if name not in variants:
                        meant = _roles(probe.variants).get(name, [name])
                        _require_run(name, meant, obstacles, f"{source}: {check}")
                checks.require_known(check, variants, probe.work, source)
                found += _spelled_out(check, roles)
        return tuple(found)


def _roles(variants: Sequence[Variant[Any, Any]]) -> dict[str, list[str]]:
    """Return the names that each role stands for; of the fixes the first is meant."""
    return {
        "naive": [one.name for one in variants if one.role == "naive"],
        "fixed": [one.name for one in variants if one.role == "fixed" and not one.partial],
        "wrong": [one.name for one in variants if one.role == "wrong lever"],
    }


def _require_run(name: str, meant: Sequence[str], obstacles: Mapping[str, str], place: str) -> None:
    """Raise CannotRun, saying why, where what a check means is there but not run."""
    lost = {one: obstacles[one] for one in meant if one in obstacles}
    if lost:
        why = lost.get(name) or "\n".join(f"'{one}': {why}" for one, why in lost.items())
        # Not the file's fault: a condition may be about the machine.
        raise CannotRun(
            f"{place}: '{name}' is not run with these parameters",
            why=why,
            fix="take the check away, or change the parameters",
        )


def _spelled_out(check: Check, roles: Mapping[str, list[str]]) -> Iterator[Check]:
    """Yield a check for every variant that its roles stand for."""
    for variant in roles.get(check.variant, [check.variant]):
        others = (
            roles.get(check.other, [check.other]) if check.kind is Kind.RATIO else [check.other]
        )
        for other in others:
            yield replace(check, variant=variant, other=other)


def _seconds(key: str, text: str) -> float:
    if not text:
        return 0.0
    try:
        return parse(text, Unit.SECONDS)
    except ValueError as error:
        raise UnreadableFile(f"{key} = {text!r} is no duration", why=str(error)) from error


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
    try:
        scenario.require_whole()
        # A budget that is none is refused here, not after an hour.
        _ = scenario.gate.seconds
    except UnreadableFile as error:
        raise UnreadableFile(f"{source}: {error.what}", why=error.why, fix=error.fix) from error
    return scenario


_NAMES = Scenario.__struct_fields__
_TABLES = {"params", "environment", "checks", "gate"}
_KEYS = ", ".join(f"[{name}]" if name in _TABLES else name for name in _NAMES)


def known() -> dict[str, Path]:
    """Return every scenario by name: those in `./scenarios`, then those of installed packages."""
    own = inside(Path(FOLDER))
    return own | {name: file for name, file in registry.scenarios().items() if name not in own}


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
