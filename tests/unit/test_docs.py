"""The generated reference: all that the code has, and nothing that it no longer has."""

import inspect
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

import perfkit
from perfkit import registry, stats
from perfkit.cli.app import make_app
from perfkit.errors import Exit
from perfkit.parameters import describe
from perfkit.result import SCHEMA, Result

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ADRS = sorted((DOCS / "adr").glob("0*.md"))
PROBES = sorted(
    name for name, entry in registry.entries().items() if entry.module.startswith("perfkit.")
)

Write = Callable[[Path], None]


@pytest.fixture(scope="module")
def write() -> Write:
    written: Write = runpy.run_path(str(DOCS / "generate.py"))["write"]
    return written


@pytest.fixture(scope="module")
def folder(write: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("generated")
    write(made)
    return made


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROBES)
def test_page_of_a_probe_has_its_recipe_code_and_counters(folder: Path, name: str) -> None:
    probe, recipe = registry.probe(name), registry.recipe(name)
    page = text(folder / "probes" / f"{name}.md")

    assert recipe is not None
    assert page.startswith(recipe.read_text(encoding="utf-8").rstrip())
    for variant in probe.variants:
        assert f"| `{variant.name}` |" in page
        assert inspect.getsource(variant.run).rstrip() in page
    for counter, words in probe.work.items():
        assert f"| `{counter}` | {words} |" in page
    for parameter in describe(probe.params):
        assert f"| `{parameter.name}` | {parameter.text} |" in page
        assert parameter.bounds in page


def test_list_of_probes_has_them_all(folder: Path) -> None:
    page = text(folder / "probes" / "index.md")

    rows = re.findall(r"^\| \[([\w-]+)\]\([\w-]+\.md\) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(name, registry.probe(name).title) for name in PROBES]


def test_every_exit_code_is_described(folder: Path) -> None:
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)` \| (.+) \|$", text(folder / "exit-codes.md"), re.MULTILINE
    )

    assert rows == [(str(int(code)), code.name, code.meaning) for code in Exit]


def every_command(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, f"{name} {child}")


def test_every_command_is_described_with_its_options(folder: Path) -> None:
    page = text(folder / "command-line.md")
    for name, command in every_command(typer.main.get_command(make_app()), "perfkit"):
        _, heading, rest = page.partition(f"# `{name}`\n")
        described = rest.partition("\n##")[0]

        assert heading, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in described, f"{name} {parameter.opts[0]}"


def test_no_terminal_markup_is_left(folder: Path) -> None:
    assert re.findall(r"\[/?(?:dim|bold)?\](?!\()", text(folder / "command-line.md")) == []


def test_every_field_of_a_result_is_described(folder: Path) -> None:
    page = text(folder / "result-file.md")
    definitions = msgspec.json.schema(Result)["$defs"]

    assert SCHEMA in page
    for name, definition in definitions.items():
        _, heading, rest = page.partition(f"## {name}\n")
        described = rest.partition("\n## ")[0]
        if "properties" in definition:
            assert heading, name
            assert re.findall(r"^\| `(\w+)` \|", described, re.MULTILINE) == list(
                definition["properties"]
            )
    assert msgspec.json.decode((folder / "result-schema.json").read_bytes())["$defs"].keys() == (
        definitions.keys()
    )


def test_every_public_name_is_described(folder: Path) -> None:
    headings = re.findall(r"^## `(\w+)`$", text(folder / "api.md"), re.MULTILINE)

    assert headings == list(perfkit.__all__)
    assert " at 0x" not in text(folder / "api.md")


def test_writing_again_changes_nothing_and_removes_what_is_stale(
    write: Write, folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "generated"
    shutil.copytree(folder, again)
    (again / "probes" / "gone.md").write_text("# A probe that is no more\n")
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*.md")}

    write(again)

    after = {path: path.stat().st_mtime_ns for path in again.rglob("*.md")}
    del before[again / "probes" / "gone.md"]
    assert after == before


def test_explanation_states_the_constants_of_the_code() -> None:
    page = " ".join(text(DOCS / "explanation" / "measuring.md").split())
    *most, last = stats.LOOKS

    assert f"after {', '.join(map(str, most))} and {last} rounds" in page
    assert f"low end is above {stats.FASTER:.2f}" in page
    assert f"above 1 / {stats.SAME:.2f} and the high end below {stats.SAME:.2f}" in page
    assert f"is below {stats.PRECISE:.0%}".replace("%", " %") in page
    draws = inspect.signature(stats.floor_ratio).parameters["draws"].default
    assert f"{draws} bootstrap draws" in page


def test_python_of_the_result_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "tests" / "golden" / "db-fetch.json", tmp_path / "result.json")
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"```python\n(.*?)```", text(DOCS / "howto" / "result-files.md"), re.DOTALL)
    assert found

    for block in found:
        exec(block, {})


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_decision_is_short_and_complete(page: Path) -> None:
    lines = text(page).splitlines()

    assert lines[0].startswith(f"# {int(page.stem[:4])}. ")
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]
    assert 15 <= len(lines) <= 35


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.stem[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))
