"""The generated reference: all that the code has, and nothing that it no longer has."""

import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from projects import Project as Checkout
from sample_probes import choosy

import perfkit
from perfkit import checks, decide, outcome, registry, result, scenario, stats, work, workload
from perfkit.cli import files
from perfkit.cli.app import COMMANDS, make_app
from perfkit.errors import Exit
from perfkit.gate import fitness
from perfkit.growth import GrowthFit
from perfkit.parameters import describe
from perfkit.report import missing
from perfkit.run import machine, trial
from perfkit.scalability import Law, Scalability
from perfkit.scenario import Scenario
from perfkit.settings import BUDGET, Project, Settings
from perfkit.snmp import plan
from perfkit.sweep import Curve, Sweep
from perfkit.units import SPELLINGS
from perfkit.verdict import EXITS, Policy, Word

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


def test_page_of_a_probe_says_which_variants_have_a_condition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "recipe", lambda _: None)
    page = runpy.run_path(str(DOCS / "generate.py"))["probe_page"](choosy.handless)

    assert "| `many` | naive | many calls |" in page
    assert "| `still-many` | wrong lever, not with all parameters | as many calls |" in page


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


@pytest.mark.parametrize(
    ("page", "schema", "kind", "name"),
    [
        ("result-file.md", "result-schema.json", result.Result, result.SCHEMA),
        ("gate-file.md", "gate-schema.json", outcome.Gate, outcome.SCHEMA),
    ],
)
def test_every_field_of_a_file_is_described(
    folder: Path, page: str, schema: str, kind: type[msgspec.Struct], name: str
) -> None:
    described = text(folder / page)
    definitions = msgspec.json.schema(kind)["$defs"]
    structs = {one for one, found in definitions.items() if "properties" in found}
    # A gate holds results, which have a page of their own.
    elsewhere = set(msgspec.json.schema(result.Result)["$defs"]) - {kind.__name__}
    own = structs if kind is result.Result else structs - elsewhere

    assert name in described
    assert kind.__name__ in own
    for struct in own:
        _, heading, rest = described.partition(f"## {struct}\n")
        assert heading, struct
        assert re.findall(r"^\| `(\w+)` \|", rest.partition("\n## ")[0], re.MULTILINE) == list(
            definitions[struct]["properties"]
        )
    assert msgspec.json.decode((folder / schema).read_bytes())["$defs"].keys() == (
        definitions.keys()
    )


def rows(page: str) -> dict[str, list[str]]:
    """Return the rows of all tables that begin with a name."""
    lines = re.findall(r"^\| (`.*) \|$", page, re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    return {first.strip("`"): [first, *rest] for first, *rest in cells}


def test_every_key_of_a_scenario_is_described(folder: Path) -> None:
    described = rows(text(folder / "scenario-file.md"))

    assert list(described) == list(Scenario.__struct_fields__)
    for name, (_, meaning, default) in described.items():
        assert meaning.endswith("."), name
        assert (default == "needed") == (name in {"title", "story"})
    assert f"{workload.TIMEOUT:g}s" in described["timeout"][2]
    assert f"`{workload.ALONE}`" in text(folder / "scenario-file.md")


def test_every_setting_is_described_with_the_places_where_it_can_be_set(folder: Path) -> None:
    described = rows(text(folder / "settings.md"))
    _, gate = next(
        (name, command)
        for name, command in every_command(typer.main.get_command(make_app()), "perfkit")
        if name == "perfkit gate"
    )
    options = {option for parameter in gate.params for option in parameter.opts}

    assert list(described) == list(Project.__struct_fields__)
    for name, (_, meaning, table, option, _) in described.items():
        assert meaning.endswith("."), name
        assert bool(table) == bool(option) == (name in Settings.__struct_fields__)
        assert not option or option.strip("`") in options
    assert described["budget"][4] == f"`{BUDGET:g}s`"
    assert all(f"`{policy}`" in text(folder / "settings.md") for policy in Policy)


def test_every_verdict_is_described_with_its_exit_code_the_worst_first(folder: Path) -> None:
    described = rows(text(folder / "verdicts.md"))

    assert described.keys() == set(Word)
    first, *_, last = described
    assert (first, last) == (Word.FAIL, Word.PASS)
    for word, (_, _, code, meaning, _, setting) in described.items():
        assert (code, meaning) == (str(int(EXITS[Word(word)])), EXITS[Word(word)].meaning)
        assert bool(setting) == (word in {Word.INCONCLUSIVE, Word.UNFIT})
        assert setting.strip("`") in {"", *Settings.__struct_fields__}


def test_guide_says_what_to_do_about_every_verdict() -> None:
    described = rows(text(DOCS / "howto" / "gate.md"))

    for word in Word:
        _, code, says, advice = described[word]
        assert code == str(int(EXITS[word]))
        assert says.endswith(".")
        assert advice


def test_every_part_of_the_check_grammar_is_described(folder: Path) -> None:
    page = text(folder / "checks.md")
    described = rows(page)
    units = {unit for each in SPELLINGS.values() for unit in each if unit} | {"x", "%"}

    for name in (
        *checks.CLOCKS,
        checks.PEAK_RSS,
        *checks.STATISTICS,
        *checks.ROLES,
        *workload.FUNCTIONS,
        *workload.MEMORY,
        *workload.COMMANDS,
    ):
        assert len(described[name]) > 1, name
        assert described[name][1], name
    for form in ("fixed", "fixed/naive", f"fixed@{checks.BASE}"):
        assert re.search(rf"^\| `{form}` \| ({'|'.join(checks.Kind)}) \|", page, re.MULTILINE)
    for sign in checks.COMPARISONS:
        assert f"`{sign}`" in page
    assert {unit for unit in units if f"`{unit}`" not in page} == set()
    assert described["statements"][1:] == ["none, `k`, `M`", "`x`", "`%`, `x`"]


def test_every_format_is_described_with_the_package_that_it_takes(folder: Path) -> None:
    gates, _, rest = text(folder / "formats.md").partition("## Of `perfkit probe`")
    results, _, sweeps = rest.partition("## Of `perfkit sweep`")

    assert list(rows(gates)) == list(files.GATE_FORMATS)
    assert list(rows(results)) == list(files.RESULT_FORMATS)
    assert list(rows(sweeps)) == list(files.SWEEP_FORMATS)
    for ending, (_, says, package) in (rows(gates) | rows(sweeps)).items():
        assert says.endswith("."), ending
        assert package == files.PACKAGES.get(ending, "")


def test_pytest_page_has_every_option_and_counter(folder: Path) -> None:
    page = text(folder / "pytest.md")
    source = inspect.getsource(__import__("perfkit.pytest_plugin").pytest_plugin)

    options = re.findall(r'"(--perfkit-[\w-]+)"', source)
    assert options
    assert all(f"`{option} " in page for option in options)
    assert {*work.SQL, *work.CALLS, *work.MEMORY} <= rows(page).keys()
    assert "perfkit_work" in page


def test_every_command_of_the_gate_is_in_the_readme() -> None:
    readme = text(ROOT / "README.md")

    assert [name for name in COMMANDS if f"`perfkit {name}" not in readme] == []


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


def test_explanation_of_the_gate_states_the_constants_of_the_code() -> None:
    page = " ".join(text(DOCS / "explanation" / "gate.md").split())
    *most, last = stats.LOOKS
    look = decide.ERROR / len(stats.LOOKS)

    assert f"after {', '.join(map(str, most))} and {last} rounds" in page
    assert f"error of a run is {decide.ERROR:.0%}".replace("%", " %") in page
    assert f"confidence of {1 - look:.0%}".replace("%", " %") in page
    assert f"{look:.0%} divided by `m`".replace("%", " %") in page
    assert f"at least {decide.COMPUTES:.0%} of its wall time".replace("%", " %") in page
    assert f"no more than {decide.PARALLEL} of them" in page
    assert f"up to about {trial.HURRIED * 1000:g} ms" in page
    assert "nine times in ten" in page
    assert decide.POWER == 0.9
    assert f"more than {fitness.CROWDED:g} times its fastest" in page
    assert machine.BURN_IN == 7
    assert "timed seven times" in page
    assert f"at most {fitness.STOLEN:.0%} of the processors".replace("%", " %") in page
    assert f"at most {fitness.THROTTLED:.0%} of the time".replace("%", " %") in page


GUIDE = text(DOCS / "howto" / "gate.md")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Write the project of the guide, as the guide shows it, and commit it."""
    blocks = re.findall(
        r"```\{code-block\} (?:python|toml)\n:caption: (\S+)\n\n(.*?)```", GUIDE, re.DOTALL
    )
    assert len(blocks) > 5
    for name, content in blocks:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    Checkout(tmp_path).commit()
    return tmp_path


def ran(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the guide, with the project as if it were installed."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_project_of_the_guide_passes_its_exact_checks_against_its_base(shop: Path) -> None:
    ended = ran(shop, "perfkit", "gate", "--counted", "--base", "main", "orders-*")

    assert ended.returncode == Exit.FINE, ended.stdout + ended.stderr
    assert "statements 1 against 1" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "verdict: pass"


def test_planted_fault_of_the_guide_is_caught_by_the_gate_and_in_pytest(shop: Path) -> None:
    module = shop / "src" / "shop" / "bench.py"
    module.write_text(
        module.read_text().replace("pages.orders_page(", "pages.orders_page_one_by_one(")
    )

    gated = ran(shop, "perfkit", "gate", "--counted", "orders-page")
    tested = ran(shop, "pytest", "-p", "no:cacheprovider", "tests")

    assert gated.returncode == Exit.FOUND, gated.stdout + gated.stderr
    assert "run: statements == 1  statements 201" in gated.stdout
    assert "run: statements == 1  statements 201" in GUIDE
    assert tested.returncode == 1
    said = [line for line in tested.stdout.splitlines() if line.startswith(("E  ", ">  "))]
    assert len(said) > 3
    assert "\n".join(said) in GUIDE


def test_every_check_of_the_guide_can_be_read_and_its_settings_match(shop: Path) -> None:
    found = scenario.inside(shop / "scenarios")
    (pattern,) = re.findall(r'gate\.checks\."(.+)"\]', GUIDE)

    assert len(found) == 4
    for name, file in found.items():
        assert scenario.load(file).expected(name)
    assert any(fnmatchcase(name, pattern) for name in found)


def test_scenario_of_the_readme_can_be_read() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", text(ROOT / "README.md"), re.DOTALL)

    assert len(scenario.decode(block, "README.md").expected("README.md")) == 3


def test_every_field_that_perfkit_missing_prints_is_described(folder: Path) -> None:
    page = text(folder / "missing-file.md")

    for document in (missing.Found, missing.Tried, missing.Planned, missing.Written):
        _, heading, rest = page.partition(f"## {document.__name__}\n")
        assert heading, document
        fields = re.findall(r"^\| `(\w+)` \|", rest.partition("\n## ")[0], re.MULTILINE)
        assert fields == list(document.__struct_fields__)


def test_every_field_of_a_plan_is_described(folder: Path) -> None:
    page = text(folder / "snmp-plan-file.md")
    definitions = msgspec.json.schema(plan.Plan)["$defs"]

    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == set(definitions)
    for struct, definition in definitions.items():
        described = page.partition(f"## {struct}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", described, re.MULTILINE) == list(
            definition["properties"]
        )


def test_every_field_of_a_sweep_is_described(folder: Path) -> None:
    page = text(folder / "sweep-file.md")

    for struct in (Sweep, Curve, GrowthFit, Scalability, Law):
        described = page.partition(f"## {struct.__name__}\n")[2].partition("\n## ")[0]
        fields = re.findall(r"^\| `(\w+)` \|", described, re.MULTILINE)
        assert fields == list(struct.__struct_fields__)


def test_guide_to_snmp_names_every_subtree_that_has_a_name() -> None:
    page = text(DOCS / "howto" / "snmp.md")

    assert [name for name in plan.NAMES if f"`{name}`" not in page] == []


FOLLOWS = r"measured best|It reads|per OID\.$|GETBULK is|To walk|Further|\d: |^requests to "


def shape(said: str) -> set[str]:
    """Return the lines of a plan without its figures, and without what hangs on them."""
    found = set()
    for line in said.splitlines():
        # The best method, its sentences, and which sizes were tried, follow from the figures;
        # a slow machine hears how far it is.
        if re.search(FOLLOWS, line):
            continue
        figures = re.sub(r"[\d.,]+(?: → \d+)?(?: (?:s|ms|µs))?", "#", line.removeprefix(" ▸"))
        found.add(re.sub(r"\s+", " ", figures).strip())
    return found


def test_commands_of_the_page_on_snmp_print_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("pysnmp")
    page = text(DOCS / "howto" / "snmp.md")
    blocks = re.findall(r"```\{code-block\} console\n(.*?)```", page, re.DOTALL)
    (begin, printed), *others = re.findall(
        r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE
    )
    community, host = re.findall(r"^snmp://(.*)@(.*)$", printed, re.MULTILINE)[0]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(Path.home()),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "TMPDIR": str(tmp_path),
    }
    assert len(others) == 3

    with subprocess.Popen(
        begin.split(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as agent:
        try:
            assert agent.stdout
            assert agent.stderr
            url = agent.stdout.readline()
            about = agent.stderr.readline()
            ours = re.findall(r"^snmp://(.*)@(.*)$", url)[0]
            for command, shown in others:
                ended = subprocess.run(
                    command.replace(community, ours[0]).replace(host, ours[1]).split(),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    check=False,
                    timeout=120,
                )
                assert shape(shown) == shape(ended.stdout), command
        finally:
            agent.terminate()
    assert shape(printed) == shape(url.replace(ours[0], community) + about)


def without_times(said: str) -> str:
    """Leave out what differs from run to run."""
    return re.sub(r"[\d.]+ (?:GB/s|s|ms|µs)\b", "...", said)


def test_commands_of_the_page_on_missing_numbers_print_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    page = text(DOCS / "howto" / "missing.md")
    blocks = re.findall(r"```\{code-block\} console\n(.*?)```", page, re.DOTALL)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(Path.home()),
        "LC_ALL": "C.UTF-8",
    }
    assert len(blocks) > 5

    for command, shown in re.findall(
        r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE
    ):
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        assert without_times(shown) == without_times(ended.stdout), command


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
