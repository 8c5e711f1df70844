"""The GitHub action and the CI snippets of the documentation: sound, and doing what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfkit.cli.files import GATE_FORMATS
from perfkit.errors import Exit

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
GATE = next(step for step in STEPS if step.get("id") == "gate")
PAGE = (ROOT / "docs" / "howto" / "ci.md").read_text(encoding="utf-8")
SNIPPETS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]

INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")


def every_step(part: Any) -> list[dict[str, Any]]:
    """Return every step of a workflow, wherever it stands."""
    if isinstance(part, list):
        return [step for one in part for step in every_step(one)]
    if not isinstance(part, dict):
        return []
    own = [part] if "uses" in part or "run" in part else []
    return own + [step for one in part.values() for step in every_step(one)]


def test_no_input_is_written_into_a_script() -> None:
    for step in STEPS:
        assert "${{" not in step.get("run", "")


def test_every_input_is_used_and_none_is_made_up() -> None:
    given = {
        name
        for step in STEPS
        for value in (*step.get("env", {}).values(), *step.get("with", {}).values())
        for name in INPUT.findall(value)
    }
    given |= {name for step in STEPS for name in INPUT.findall(step.get("working-directory", ""))}

    assert given == ACTION["inputs"].keys()


def test_foreign_actions_are_pinned_by_major_version() -> None:
    foreign = [step["uses"] for step in (*STEPS, *every_step(SNIPPETS)) if "uses" in step]

    assert len(foreign) > 3
    for action in foreign:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|main)", action), action


def test_snippets_give_inputs_that_the_action_has() -> None:
    ours = [step for step in every_step(SNIPPETS) if "/perfkit@" in step.get("uses", "")]

    assert ours
    for step in ours:
        assert step.get("with", {}).keys() <= ACTION["inputs"].keys()
        for report in step.get("with", {}).get("reports", "").split():
            assert any(report.endswith(ending) for ending in GATE_FORMATS)


def test_gitlab_allows_the_verdicts_that_say_nothing_about_the_code() -> None:
    (job,) = [snippet["perfkit"] for snippet in SNIPPETS if "perfkit" in snippet]

    assert job["allow_failure"]["exit_codes"] == [int(Exit.UNCLEAR), int(Exit.UNFIT)]
    assert job["variables"]["GIT_DEPTH"] == 0
    assert any(job["artifacts"]["reports"]["junit"] in line for line in job["script"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a project with one function that makes two calls."""
    (tmp_path / "work.py").write_text(
        "def twice():\n    once()\n    once()\n\n\ndef once():\n    pass\n"
    )
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "calls.toml").write_text(
        'title = "Two calls"\nstory = "And no more."\nrun = "work:twice"\n'
        '[checks]\nrun = ["calls <= 3"]\n"run@base" = ["calls <= 1x"]\n'
    )
    (scenarios / "fewer.toml").write_text(
        'title = "One call"\nstory = "It makes two."\nrun = "work:twice"\n'
        '[checks]\nrun = ["calls <= 2"]\n'
    )
    return tmp_path


def gate(project: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's script as a runner does, with its inputs in the environment."""
    defaults = {
        name: ACTION["inputs"][source]["default"]
        for name, value in GATE["env"].items()
        for source in INPUT.findall(value)
    }
    python = Path(sys.executable).parent
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", GATE["run"]],
        cwd=project,
        env=os.environ
        | {"PATH": f"{python}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(project / "output")}
        | defaults
        | inputs,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_script_runs_the_gate_and_leaves_its_verdict_and_reports(project: Path) -> None:
    ended = gate(
        project, SCENARIOS="calls", ARGS="--counted\n--seed 7", REPORTS=" gate.xml  gate.json "
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "verdict: pass"
    assert "seed 7" in ended.stdout
    assert (project / "output").read_text() == "verdict=pass\nexit-code=0\n"
    assert (project / "gate.xml").is_file()
    assert (project / "gate.json").is_file()


def test_script_takes_the_project_s_own_scenarios_and_fails_as_the_gate_does(project: Path) -> None:
    ended = gate(project, ARGS="--counted")

    assert ended.returncode == Exit.FOUND
    assert "2 scenarios" in ended.stdout
    assert "verdict=fail" in (project / "output").read_text()


def test_script_hands_the_base_on_and_fails_where_there_is_none(project: Path) -> None:
    ended = gate(project, BASE="no-such-revision")

    assert ended.returncode not in {0, Exit.FOUND}
    assert ended.stdout.splitlines()[-1] == "verdict: error"


@pytest.mark.parametrize("word", ["$(touch made)", "`touch made`", "; touch made", "*.py"])
def test_script_expands_nothing_of_what_it_is_given(project: Path, word: str) -> None:
    ended = gate(project, SCENARIOS=word)

    assert ended.returncode == Exit.NOTHING
    assert f"no scenario '{word.split(maxsplit=1)[0]}'" in ended.stderr
    assert not (project / "made").exists()


def test_script_makes_a_warning_of_a_verdict_that_says_nothing_about_the_code(
    project: Path,
) -> None:
    """A check that varies and whose limit lies between both counts is inconclusive."""
    (project / "work.py").write_text(
        "import os\n\n"
        "seen = os.open('seen', os.O_CREAT | os.O_APPEND | os.O_WRONLY)\n"
        "os.write(seen, b'x')\n"
        "processes = os.fstat(seen).st_size\n\n\n"
        "def twice():\n    for _ in range(processes % 2 * 3):\n        once()\n\n\n"
        "def once():\n    pass\n"
    )

    ended = gate(project, SCENARIOS="calls", ARGS="--counted")

    assert "verdict=inconclusive" in (project / "output").read_text(), ended.stdout
    assert ended.returncode == 0

    held = gate(project, SCENARIOS="calls", ARGS="--counted --on-inconclusive=fail")

    assert held.returncode == Exit.FOUND
