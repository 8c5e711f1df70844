"""perfkit inside pytest: scenario files as tests, and a fixture that counts the work of a block.

pytest loads this module in every run where perfkit is installed, so nothing else of perfkit is
imported until a scenario file or a test asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from perfkit.checks import Check
    from perfkit.errors import PerfkitError
    from perfkit.outcome import Gated, Judged
    from perfkit.settings import Project
    from perfkit.work import Work

FOLDER: Final = "scenarios"
"""Scenario files directly inside such a folder are tests; others are when named."""
# Seen without reading TOML, so that a malformed file of ours is not taken for another's.
_KEY: Final = re.compile(r"^\[?(\w+)\s*[\].=]", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what `perfkit gate` offers, as far as it makes sense here."""
    group = parser.getgroup("perfkit", "performance scenarios (scenarios/*.toml)")
    group.addoption(
        "--perfkit-base",
        metavar="REV",
        default="",
        help="revision that checks of '@base' compare with; without it they are skipped",
    )
    group.addoption(
        "--perfkit-budget",
        metavar="DURATION",
        default=None,
        help="longest time for the timed rounds of a scenario, such as 30s",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect a scenario file that is named, or that lies in a folder of scenarios."""
    if file_path.suffix != ".toml" or file_path.name == "pyproject.toml":
        return None
    named = parent.session.isinitpath(file_path)
    if not named and not (file_path.parent.name == FOLDER and _is_ours(file_path)):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


def _is_ours(file: Path) -> bool:
    try:
        keys = set(_KEY.findall(file.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        # Not to be left out in silence: reading it again says why it cannot be read.
        return True
    return not keys.isdisjoint({"probe", "checks"}) or {"run", "story"} <= keys


class ScenarioFile(pytest.File):
    """One scenario, run once, when the first of its checks is due."""

    _outcome: Gated | PerfkitError | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for every check."""
        from perfkit import scenario
        from perfkit.checks import Kind
        from perfkit.errors import Exit, PerfkitError
        from perfkit.gate import session

        try:
            read = scenario.load(self.path)
            checks = session.expected(read, self.path.stem, self.path, self.project)
        except PerfkitError as error:
            if error.exit is Exit.USAGE:
                raise self.CollectError(_words(error)) from error
            # It cannot run here: this file's failure, no reason to stop all others.
            yield Unjudged.from_parent(self, name="checks", why=_words(error))
            return
        if not checks:
            yield Unjudged.from_parent(self, name="checks", why="nothing matched: it has no checks")
        for check in checks:
            item = CheckItem.from_parent(self, name=str(check), check=check)
            if check.kind is Kind.CHANGE and not self.config.getoption("perfkit_base"):
                item.add_marker(pytest.mark.skip(f"needs a base: {_command(self.path)} --base REV"))
            if self.config.pluginmanager.hasplugin("xdist"):
                # One process measures the file, and judges all of it.
                item.add_marker(pytest.mark.xdist_group(str(self.path)))
            yield item

    @property
    def project(self) -> Project:
        """What the project sets for all its gates, as far as it speaks of this scenario."""
        from fnmatch import fnmatchcase

        from msgspec.structs import replace

        from perfkit.settings import read_project

        project = read_project(self.config.rootpath)
        return replace(
            project,
            checks={
                pattern: added
                for pattern, added in project.checks.items()
                if fnmatchcase(self.path.stem, pattern)
            },
        )

    def outcome(self) -> Gated:
        """Run the scenario, or say again what became of it; raises PerfkitError."""
        from perfkit.errors import PerfkitError

        if self._outcome is None:
            try:
                self._outcome = self._run()
            except PerfkitError as error:
                self._outcome = error
        if isinstance(self._outcome, PerfkitError):
            raise self._outcome
        return self._outcome

    def _run(self) -> Gated:
        """Measure what the selected checks speak of, and no more."""
        from perfkit.checks import Kind
        from perfkit.gate import session
        from perfkit.settings import Settings, convert

        base = self.config.getoption("perfkit_base")
        selected = [
            item
            for item in self.session.items
            if isinstance(item, CheckItem) and (base or item.check.kind is not Kind.CHANGE)
        ]
        mine = [item.check for item in selected if item.file is self]
        order = session.Order(
            settings=convert(
                {"budget": self.config.getoption("perfkit_budget")}, Settings, "--perfkit-budget"
            ),
            project=self.project,
            base=base if any(check.kind is Kind.CHANGE for check in mine) else "",
            counted=not any(check.timed for check in mine),
            timed=sum(item.check.timed for item in selected),
        )
        gate = session.run({self.path.stem: self.path}, order)
        if gate.interrupted:
            raise KeyboardInterrupt
        return gate.scenarios[0]


class CheckItem(pytest.Item):
    """One check of a scenario."""

    def __init__(self, *, check: Check, **named: Any) -> None:
        super().__init__(**named)
        self.check = check
        self._judged: Judged | None = None

    @property
    def file(self) -> ScenarioFile:
        """The scenario file that the check is from."""
        file = self.parent
        if not isinstance(file, ScenarioFile):
            raise TypeError(file)
        return file

    def setup(self) -> None:
        """Have the scenario run; what could not be judged at all is an error, not a failure."""
        from perfkit.errors import PerfkitError
        from perfkit.verdict import Word

        try:
            gated = self.file.outcome()
        except PerfkitError as error:
            raise pytest.fail.Exception(_words(error), pytrace=False) from None
        asked = (self.check.target, self.check.text)
        self._judged = next((one for one in gated.judged if (one.target, one.check) == asked), None)
        if self._judged is None:
            pytest.fail(f"{gated.verdict}: {gated.error}", pytrace=False)
        said = f"{self._judged.verdict}: {self._judged.said}"
        self.user_properties += [("verdict", str(self._judged.verdict)), ("said", said)]
        if self._judged.verdict in {Word.ERROR, Word.DIFFERS}:
            pytest.fail(said, pytrace=False)

    def runtest(self) -> None:
        """Fail, skip or pass, as the verdict and the policies say."""
        from perfkit.verdict import Policy, Word

        gated, judged = self.file.outcome(), self._judged
        if judged is None:
            raise AssertionError(self.name)
        policies = {Word.INCONCLUSIVE: gated.on_inconclusive, Word.UNFIT: gated.on_unfit_runner}
        policy = policies.get(judged.verdict)
        said = f"{self.name}: {judged.said}"
        if policy is Policy.WARN:
            pytest.skip(f"{judged.verdict}: {said}")
        if policy is not Policy.PASS and judged.verdict is not Word.PASS:
            lines = [f"{judged.verdict}: {said}", gated.title, _command(self.path)]
            pytest.fail("\n".join(lines), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the check is written."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        found = (number for number, line in enumerate(lines) if self.check.text in line)
        return self.path, next(found, 0), f"{self.path.stem}: {self.name}"


class Unjudged(pytest.Item):
    """A scenario none of whose checks can be judged, which is no pass."""

    def __init__(self, *, why: str, **named: Any) -> None:
        super().__init__(**named)
        self.why = why

    def runtest(self) -> None:
        """Fail, and say why."""
        pytest.fail(self.why, pytrace=False)


def _command(file: Path) -> str:
    return f"perfkit gate {_shown(file)}"


def _shown(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def _words(error: PerfkitError) -> str:
    lines = [error.what]
    lines += [f"why: {error.why}"] if error.why else []
    lines += [f"fix: {error.fix}"] if error.fix else []
    return "\n".join(lines)


@pytest.fixture(scope="session")
def perfkit_work() -> type[Work]:
    """Offer a block that counts the work inside it, to be held to a limit.

    `with perfkit_work() as work: ...` and then `work.at_most(statements=2, round_trips=2)`.
    """
    from perfkit.work import Work

    return Work
