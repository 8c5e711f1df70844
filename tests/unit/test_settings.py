"""How a gate is run: what a project, a scenario and the command line may set, and who wins."""

from pathlib import Path

import pytest

from perfkit import settings
from perfkit.errors import UnreadableFile
from perfkit.settings import BUDGET, Project, Settings, read_project
from perfkit.verdict import Policy


def project(tmp_path: Path, text: str) -> Project:
    (tmp_path / "pyproject.toml").write_text(text)
    return read_project(tmp_path)


def refused(tmp_path: Path, text: str) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        project(tmp_path, text)
    return caught.value


# The project


def test_a_folder_without_pyproject_sets_nothing(tmp_path: Path) -> None:
    assert read_project(tmp_path) == Project()


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'", "[tool.perfkit]", "[tool.ruff]"])
def test_a_project_without_the_table_sets_nothing(tmp_path: Path, text: str) -> None:
    assert project(tmp_path, text) == Project()


def test_a_project_sets_all_that_there_is(tmp_path: Path) -> None:
    text = """
    [tool.perfkit.gate]
    scenarios = ["orders-*", "perf/"]
    build = ["make", "-j2"]
    budget = "2m"
    on_inconclusive = "fail"
    on_unfit_runner = "pass"
    [tool.perfkit.gate.checks."orders-*"]
    "fixed@base" = ["time < 5%"]
    """

    assert project(tmp_path, text) == Project(
        scenarios=["orders-*", "perf/"],
        build=["make", "-j2"],
        budget="2m",
        on_inconclusive=Policy.FAIL,
        on_unfit_runner=Policy.PASS,
        checks={"orders-*": {"fixed@base": ["time < 5%"]}},
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budgte = '5s'", "unknown field `budgte`; did you mean 'budget'?"),
        ("scenario = []", "did you mean 'scenarios'?"),
        ("on_unfit_runer = 'pass'", "did you mean 'on_unfit_runner'?"),
        ("zzz = 1", "unknown field `zzz`"),
        ("build = 'make'", "Expected `array`, got `str` - at `$.build`"),
        ("scenarios = [1]", "Expected `str`, got `int`"),
        ("on_inconclusive = 'skip'", "'skip'"),
        ("checks = {a = 'b'}", "at `$.checks[...]`"),
        ("budget = 90", "Expected `str"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_nearest_key(
    tmp_path: Path, text: str, said: str
) -> None:
    error = refused(tmp_path, f"[tool.perfkit.gate]\n{text}")

    assert error.what == "pyproject.toml: [tool.perfkit.gate] cannot be read"
    assert said in error.why
    assert error.fix.startswith("its keys: budget, on_inconclusive, on_unfit_runner")


def test_a_far_key_gets_no_suggestion(tmp_path: Path) -> None:
    assert "did you mean" not in refused(tmp_path, "[tool.perfkit.gate]\nzzz = 1").why


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\nperfkit = 'x'", "[tool.perfkit]\ngate = []"])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    assert "Expected `object`" in refused(tmp_path, text).why


@pytest.mark.parametrize("text", ["[tool.", "\x00", "a = " + "[" * 100_000])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).what == f"cannot read {tmp_path / 'pyproject.toml'}"


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"name = '\xff'")

    with pytest.raises(UnreadableFile, match="cannot read"):
        read_project(tmp_path)


# The budget


@pytest.mark.parametrize("budget", ["soon", "90", "5KiB", "", "1" * 400 + "s"])
def test_a_budget_that_is_no_duration_is_refused_when_it_is_read(
    tmp_path: Path, budget: str
) -> None:
    error = refused(tmp_path, f"[tool.perfkit.gate]\nbudget = '{budget}'")

    assert error.what == f"budget = {budget!r} is no duration"
    assert error.fix == 'budget = "90s"'


def test_a_budget_below_nothing_is_refused(tmp_path: Path) -> None:
    assert "'-3s'" in refused(tmp_path, "[tool.perfkit.gate]\nbudget = '-3s'").what


def test_a_budget_is_in_seconds_and_has_a_default() -> None:
    assert Settings(budget="1500ms").seconds == 1.5
    assert Settings().seconds == BUDGET


# Who wins


def test_command_line_goes_before_scenario_and_scenario_before_project() -> None:
    line = Settings(budget="1s")
    scenario = Settings(budget="2s", on_inconclusive=Policy.FAIL)
    given = Project(
        budget="3s", on_inconclusive=Policy.PASS, on_unfit_runner=Policy.FAIL, build=["make"]
    )

    assert line.over(scenario).over(given) == Settings(
        budget="1s", on_inconclusive=Policy.FAIL, on_unfit_runner=Policy.FAIL
    )
    assert Settings().over(Settings()).over(Project()) == Settings()


def test_a_policy_of_the_line_may_undo_that_of_the_project() -> None:
    chosen = Settings(on_inconclusive=Policy.WARN).over(Settings(on_inconclusive=Policy.FAIL))

    assert chosen.on_inconclusive is Policy.WARN


def test_the_nearest_key_comes_from_the_keys_that_are_known() -> None:
    said = settings.explain("unknown field `bugdet` - at `$`", ("budget", "build"))

    assert said == "unknown field `bugdet` - at `$`; did you mean 'budget'?"
    assert settings.explain("Expected `int`", ("budget",)) == "Expected `int`"
