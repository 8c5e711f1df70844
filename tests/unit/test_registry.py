from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit import Probe, registry
from perfkit.errors import CannotRun, UsageError
from perfkit.reference import resolve

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILT_IN = list(PROJECT["entry-points"]["perfkit.probes"])

PROBE = """
from dataclasses import dataclass
from perfkit import Probe
from perfkit.backends.python import Python

@dataclass(frozen=True)
class Nothing: ...

probe = Probe(
    name="song", title="Sing it twice", backend=Python, params=Nothing,
    work={"calls": "calls"}, cause="calls",
)
"""

LIST = """
from dataclasses import asdict
listed = [asdict(line) for line in registry.listed()]
say({line["package"] + ":" + line["name"]: line for line in listed})
"""

Install = Callable[..., Path]
Ask = Callable[[str], Any]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install a package by hand: its files, and the metadata that an installer would leave."""

    def put(value: str, name: str = "song", package: str = "choir", **files: str) -> Path:
        information = tmp_path / f"{package}-2.1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n"
        )
        (information / "entry_points.txt").write_text(f"[perfkit.probes]\n{name} = {value}\n")
        folder = tmp_path / package
        folder.mkdir()
        for module, code in {"__init__": "", **files}.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(code))
        return folder

    return put


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run code in a fresh process that sees the installed packages, and return what it says."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stray.toml").write_text("")
    (elsewhere / "song.md").write_text("# A stray file\n")

    def run(code: str) -> Any:
        head = f"""
import json, sys
sys.path.insert(0, {str(tmp_path)!r})
from perfkit import registry

def say(answer):
    with open("answer.json", "w") as file:
        json.dump(answer, file)
"""
        subprocess.run([sys.executable, "-c", head + code], cwd=elsewhere, check=True, timeout=60)
        return json.loads((elsewhere / "answer.json").read_text())

    return run


# perfkit's own


def test_the_names_are_those_of_the_package_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = project["entry-points"][registry.GROUP]

    assert expected == {name: found.value for name, found in registry.entries().items()}


def test_listing_names_and_titles_imports_no_probe(ask: Ask) -> None:
    names, loaded = ask("""
names = [line.name for line in registry.listed()]
prefixes = ("perfkit.probes", "perfkit.backends", "perfkit.model", "psycopg")
say([names, [module for module in sys.modules if module.startswith(prefixes)]])
""")

    assert set(BUILT_IN) <= set(names)
    assert loaded == []


@pytest.mark.parametrize("name", registry.entries())
def test_a_listed_title_is_that_of_the_probe(name: str) -> None:
    (line,) = (line for line in registry.listed() if line.name == name)

    assert (line.title, line.package, line.error) == (registry.probe(name).title, "perfkit", "")


@pytest.mark.parametrize("name", registry.entries())
def test_a_probe_is_called_as_its_entry_point_and_its_module(name: str) -> None:
    found = registry.entry(name)

    assert (name, f"perfkit.probes.{name.replace('-', '_')}") == (
        registry.probe(name).name,
        found.module,
    )


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        registry.entry("db-fech")

    assert caught.value.what == "no probe 'db-fech'; did you mean 'db-fetch'?"
    assert set(BUILT_IN) <= set(caught.value.why.removeprefix("there are: ").split(", "))
    assert caught.value.fix == "perfkit list"


def test_a_far_name_is_only_refused() -> None:
    with pytest.raises(UsageError) as caught:
        registry.probe("zzz")

    assert caught.value.what == "no probe 'zzz'"


def test_recipes_and_scenarios_lie_beside_the_package_in_a_checkout() -> None:
    recipe = registry.recipe("db-fetch")

    assert recipe is not None
    assert recipe.read_text().startswith("# ")
    assert {path.stem for path in (ROOT / "scenarios").glob("*.toml")} == set(registry.scenarios())


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("perfkit.model:nothing", "AttributeError: .* has no attribute 'nothing'"),
        ("perfkit.nowhere:probe", "ModuleNotFoundError: No module named 'perfkit.nowhere'"),
        ("perfkit.model:Role", "perfkit.model:Role is a EnumType, not a perfkit.Probe"),
        ("", "ValueError: Empty module name"),
    ],
)
def test_a_reference_to_no_probe_says_what_is_there(reference: str, message: str) -> None:
    with pytest.raises(CannotRun, match=message):
        resolve(reference)


def test_a_reference_is_followed_into_classes() -> None:
    assert isinstance(resolve("perfkit.probes.db_fetch:probe"), Probe)


# Those of other packages


def test_a_package_brings_probes_recipes_and_scenarios(install: Install, ask: Ask) -> None:
    folder = install("choir.song:probe", song=PROBE)
    (folder / "recipes").mkdir()
    (folder / "recipes" / "song.md").write_text("# Song\n")
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "concert.toml").write_text("")
    (folder / "scenarios" / "notes.txt").write_text("")

    listed = ask(LIST)
    recipe, scenarios, probe = ask("""
say([
    registry.recipe("song").read_text(),
    {name: str(file) for name, file in registry.scenarios().items()},
    registry.probe("song").title,
])
""")

    assert listed["choir:song"] == {
        "name": "song",
        "title": "Sing it twice",
        "package": "choir",
        "error": "",
    }
    assert (recipe, probe) == ("# Song\n", "Sing it twice")
    assert scenarios["concert"] == str(folder / "scenarios" / "concert.toml")
    assert {path.stem for path in (ROOT / "scenarios").glob("*.toml")} < set(scenarios)
    assert "notes" not in scenarios


def test_a_package_without_recipes_and_scenarios_is_fine(install: Install, ask: Ask) -> None:
    install("choir.song:probe", song=PROBE)

    assert ask('say([registry.recipe("song"), "concert" in registry.scenarios()])') == [None, False]


def test_a_probe_may_be_a_single_module(install: Install, ask: Ask, tmp_path: Path) -> None:
    install("solo:probe")
    (tmp_path / "solo.py").write_text(PROBE)

    assert ask(LIST)["choir:song"]["title"] == "Sing it twice"
    assert ask('say([registry.recipe("song"), "stray" in registry.scenarios()])') == [None, False]


BROKEN = {
    "a missing package": ("import not_installed", "ModuleNotFoundError: No module named 'not_inst"),
    "a failing import": ("raise ImportError('no libsong')", "ImportError: no libsong"),
    "a syntax error": ("probe = = 1", "SyntaxError: invalid syntax"),
    "any exception": ("1 / 0", "ZeroDivisionError: division by zero"),
    "an early exit": ("import sys; sys.exit('no voice today')", "SystemExit: no voice today"),
    "another object": ("probe = 'la la'", "choir.song:probe is a str, not a perfkit.Probe"),
    "no such name": ("tune = 1", "AttributeError: module 'choir.song' has no attribute 'probe'"),
    "a bad probe": (
        PROBE.replace('cause="calls"', 'cause="moon"'),
        "ValueError: the cause 'moon' of song is not among its counters",
    ),
}


@pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plug_in_is_one_line_of_the_list(
    install: Install, ask: Ask, code: str, error: str
) -> None:
    install("choir.song:probe", song=code)

    listed = ask(LIST)
    line = listed.pop("choir 2.1:song")

    assert line["error"].startswith(error)
    assert line["title"] == ""
    assert sorted(BUILT_IN) == sorted(found["name"] for found in listed.values())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('hoarse')", "RuntimeError: hoarse"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("syntax error", "SyntaxError: invalid syntax"),
    ],
)
def test_a_package_that_cannot_be_imported_takes_nobody_with_it(
    install: Install, ask: Ask, code: str, error: str
) -> None:
    install("choir.song:probe", __init__=code, song=PROBE)

    listed = ask(LIST)
    recipe, scenarios = ask('say([registry.recipe("song"), list(registry.scenarios())])')

    assert listed["choir 2.1:song"]["error"].startswith(error)
    # Above all not the files of the folder that perfkit was started in.
    assert (recipe, "stray" in scenarios, "orders-page" in scenarios) == (None, False, True)


def test_running_a_broken_plug_in_names_its_package(install: Install, ask: Ask) -> None:
    install("choir.song:probe", song="raise SystemExit('no voice today')")

    what, why = ask("""
from perfkit.errors import CannotRun
try:
    registry.probe("song")
except CannotRun as error:
    say([error.what, error.why])
""")

    assert what == "the probe 'song' of choir cannot be loaded"
    assert why == "SystemExit: no voice today"


@pytest.mark.parametrize("value", ["!!!", "choir", "choir:", ":probe", "choir..song:probe", ".:x"])
def test_metadata_that_is_no_reference_is_one_line_of_the_list(
    install: Install, ask: Ask, value: str
) -> None:
    install(value)

    assert ask(LIST)["choir 2.1:song"]["error"]
    assert "orders-page" in ask("say(list(registry.scenarios()))")


def test_metadata_without_a_name_is_one_line_of_the_list(
    install: Install, ask: Ask, tmp_path: Path
) -> None:
    install("choir.song:probe", song="1 / 0")
    (tmp_path / "choir-2.1.dist-info" / "METADATA").unlink()

    assert ask(LIST)["choir:song"]["error"] == "ZeroDivisionError: division by zero"


def test_a_built_in_name_cannot_be_shadowed(install: Install, ask: Ask) -> None:
    install("choir.song:probe", name="db-fetch", song=PROBE)

    listed = ask(LIST)
    title = ask('say(registry.probe("db-fetch").title)')

    assert listed["perfkit:db-fetch"]["title"] == title != "Sing it twice"
    assert listed["choir 2.1:db-fetch"]["error"] == "the name is taken by perfkit"


def test_the_first_package_in_the_alphabet_keeps_a_disputed_name(
    install: Install, ask: Ask
) -> None:
    install("opera.song:probe", package="opera", song=PROBE)
    install("choir.song:probe", song=PROBE)

    listed = ask(LIST)

    assert listed["choir:song"]["error"] == ""
    assert listed["opera 2.1:song"]["error"] == "the name is taken by choir"


# What is shipped


def test_wheels_carry_recipes_scenarios_and_types(tmp_path: Path) -> None:
    expected = {"perfkit/py.typed"} | {
        f"perfkit/{kind}/{path.name}"
        for kind, pattern in (("recipes", "*.md"), ("scenarios", "*.toml"))
        for path in (ROOT / kind).glob(pattern)
    }

    def build(source: Path, target: str, output: Path) -> Path:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(output)],
            cwd=source,
            check=True,
            capture_output=True,
            timeout=120,
        )
        (built,) = output.iterdir()
        return built

    def shipped(wheel: Path) -> set[str]:
        with zipfile.ZipFile(wheel) as archive:
            return set(archive.namelist())

    from_checkout = shipped(build(ROOT, "wheel", tmp_path / "wheel"))
    archive = build(ROOT, "sdist", tmp_path / "sdist")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(tmp_path)], check=True, timeout=60)
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    from_archive = shipped(build(unpacked, "wheel", tmp_path / "again"))

    assert len(expected) > 6
    assert expected - from_checkout == set()
    assert from_checkout == from_archive
