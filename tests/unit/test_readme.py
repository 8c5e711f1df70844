"""The README: its commands are the ones that CI runs, its picture is what perfkit draws."""

import importlib.util
import re
from pathlib import Path

import pytest

from perfkit import registry

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    (command,) = [command for command in commands if ".venv/bin/pytest" in command]

    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_both_commands_and_the_picture_are_on_the_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:30])

    assert ".venv/bin/perfkit probe db-fetch" in first_screen
    assert ".venv/bin/pytest" in first_screen
    assert "uv run" in first_screen
    assert "report-dark.svg" in first_screen


def test_every_probe_is_in_the_readme() -> None:
    ours = [name for name, found in registry.entries().items() if "perfkit." in found.value[:8]]

    assert ours
    assert [name for name in ours if f"| `{name}` |" not in README] == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_picture_is_what_perfkit_draws(theme: str) -> None:
    specification = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    assert specification is not None
    assert specification.loader is not None
    picture = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(picture)

    drawn = picture.draw()[theme]

    assert drawn == (ROOT / "docs" / "images" / f"report-{theme}.svg").read_text(encoding="utf-8")
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", drawn), "it must not load anything"


def test_constraints_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+", line) for line in lines)
