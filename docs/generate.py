"""Write the reference pages that the code already knows: run by conf.py before each build."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import msgspec
import typer.main

import perfkit
from perfkit import (
    checks,
    growth,
    outcome,
    registry,
    result,
    scalability,
    scenario,
    settings,
    sweep,
    work,
    workload,
)
from perfkit.checks import Kind
from perfkit.cli import files
from perfkit.cli.app import make_app
from perfkit.errors import Exit, UnreadableFile
from perfkit.model import Probe, Variant
from perfkit.outcome import Gated
from perfkit.parameters import Parameter, describe
from perfkit.report import missing
from perfkit.report.annotations import WARNINGS
from perfkit.report.gate_words import MARKS
from perfkit.snmp import plan
from perfkit.units import SPELLINGS, Unit, show
from perfkit.verdict import EXITS, Policy, Word, worst

if TYPE_CHECKING:
    import pytest


def write(folder: Path) -> None:
    """Write all generated pages below a folder, and remove those that are no longer made."""
    pages = dict(_pages())
    for path, text in pages.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # An unchanged page keeps its date, so that Sphinx does not read it again.
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    for target in folder.rglob("*.*"):
        if target.relative_to(folder).as_posix() not in pages:
            target.unlink()


def _pages() -> Iterator[tuple[str, str]]:
    own = [name for name, entry in registry.entries().items() if _is_own(entry.module)]
    yield "probes/index.md", probe_index(own)
    for name in own:
        yield f"probes/{name}.md", probe_page(registry.probe(name))
    yield "command-line.md", command_line()
    yield "exit-codes.md", exit_codes()
    yield "result-file.md", result_file()
    yield "result-schema.json", _schema(result.Result)
    yield "checks.md", check_grammar()
    yield "scenario-file.md", scenario_file()
    yield "settings.md", gate_settings()
    yield "verdicts.md", verdicts()
    yield "formats.md", formats()
    yield "gate-file.md", gate_file()
    yield "gate-schema.json", _schema(outcome.Gate)
    yield "sweep-file.md", sweep_file()
    yield "sweep-schema.json", _schema(sweep.Sweep)
    yield "missing-file.md", missing_file()
    yield "snmp-plan-file.md", snmp_plan_file()
    yield "pytest.md", pytest_plugin()
    yield "api.md", public_api()


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "perfkit"


def probe_index(names: list[str]) -> str:
    """List the probes that come with perfkit."""
    rows = [[f"[{name}]({name}.md)", registry.heading(name) or ""] for name in names]
    entries = "\n".join(names)
    return f"""# Probes

One page a probe: its recipe, its parameters, what it counts, and the code that runs.

{_table(["Probe", "Anti-pattern"], rows)}

```{{toctree}}
:hidden:

{entries}
```
"""


def probe_page(probe: Probe[Any, Any]) -> str:
    """Describe a probe: its recipe, then what the code says."""
    found = registry.recipe(probe.name)
    recipe = found.read_text(encoding="utf-8") if found is not None else f"# {probe.title}\n"
    module = sys.modules[probe.variants[0].run.__module__]
    parameters = [
        [f"`{each.name}`", each.text, f"`{_default(each)}`", each.bounds]
        for each in describe(probe.params)
    ]
    counters = [
        [f"`{name}`", words, "the cause" if name == probe.cause else ""]
        for name, words in probe.work.items()
    ]
    return f"""{recipe.rstrip()}

## Parameters

Given as `-s NAME=VALUE`, or in the `[params]` table of a scenario.

{_table(["Name", "Meaning", "Default", "Bounds"], parameters)}

## Counted work

Runs on {probe.backend.__name__}. [How perfkit counts](/explanation/counting.md) says who counts.

{_table(["Counter", "In the report", ""], counters)}

## Variants

{_table(["Variant", "Role", "What it does", "Why"], [_variant(each) for each in probe.variants])}

## Code

This is the module that runs, not a copy of it.

```python
{inspect.getsource(module).rstrip()}
```
"""


def _default(parameter: Parameter) -> str:
    if parameter.unit is None:
        return str(parameter.default)
    return show(parameter.default, parameter.unit)


def _variant(variant: Variant[Any, Any]) -> list[str]:
    partial = ", partial" if variant.partial else ""
    condition = ", not with all parameters" if variant.unless is not None else ""
    role = f"{variant.role}{partial}{condition}"
    return [f"`{variant.name}`", role, variant.label, variant.why]


def command_line() -> str:
    """Describe every command with its arguments and options."""
    root = typer.main.get_command(make_app())
    return "# Command line\n\n" + "\n".join(_command(root, "perfkit", 2))


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    yield f"{'#' * level} `{name}`\n"
    yield _help(command.help or "")
    usage = [part for part in command.collect_usage_pieces(context) if part]
    yield f"```text\n{' '.join([name, *usage])}\n```\n"
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [[f"`{_plain(head)}`", _plain(text)] for head, text in filter(None, records)]
    if rows:
        yield _table(["Argument or option", "Meaning"], rows) + "\n"
    for child, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            yield from _command(inner, f"{name} {child}", min(level + 1, 4))


def _plain(text: str) -> str:
    """Drop the terminal's markup: `[dim]$[/] perfkit list`."""
    return re.sub(r"\[/?(?:dim|bold|italic|b|i)?\]", "", text)


def _help(text: str) -> str:
    """Turn a help text into Markdown: examples, which begin with `$`, become blocks."""
    parts = []
    for paragraph in _plain(inspect.cleandoc(text)).split("\n\n"):
        examples = all(line.lstrip().startswith("$") for line in paragraph.splitlines())
        block = "\n".join(line.strip() for line in paragraph.splitlines())
        parts.append(f"```console\n{block}\n```" if examples and block else paragraph)
    # Neighbouring examples read better as one block.
    return "\n\n".join(parts).replace("\n```\n\n```console\n", "\n") + "\n"


def exit_codes() -> str:
    """Describe every exit code."""
    rows = [[f"{int(code)}", f"`{code.name}`", code.meaning] for code in Exit]
    return f"""# Exit codes

Part of the public interface: a code is never renumbered.

{_table(["Code", "Name", "Meaning"], rows)}
"""


def result_file() -> str:
    """Describe the fields of a result file, from the structs and the words beside them."""
    return f"""# Result file

A result file is JSON, its schema is `{result.SCHEMA}`. It holds every raw value, so that
every verdict can be computed again. A field that this perfkit does not know is refused, and so
is a file whose parts contradict each other. Times are in seconds, sizes in bytes.

{_structs(result, "Result")}

## JSON schema

```{{literalinclude}} result-schema.json
:language: json
```
"""


def gate_file() -> str:
    """Describe the fields of a gate file."""
    return f"""# Gate file

What `perfkit gate --save FILE` and `-o FILE.json` write, with the schema `{outcome.SCHEMA}`: every
check with its verdict, and under `result` and `base` the [results](result-file.md) that it was
judged from. [Verdicts](verdicts.md) has the words. The rules are those of a result file.

{_structs(outcome, "Gate")}

## JSON schema

```{{literalinclude}} gate-schema.json
:language: json
```
"""


def sweep_file() -> str:
    """Describe the fields of a sweep file."""
    return f"""# Sweep file

What `perfkit sweep --json` prints and `-o FILE.json` writes, with the schema `{sweep.SCHEMA}`: a
[result](result-file.md) for each value of the parameter, and a curve for each variant. The rules
are those of a result file.

{_structs(sweep, "Sweep")}

{_structs(growth, "GrowthFit")}

{_structs(scalability, "Scalability")}

## JSON schema

```{{literalinclude}} sweep-schema.json
:language: json
```
"""


def missing_file() -> str:
    """Describe the fields of what `perfkit missing --json` prints."""
    return f"""# Missing numbers

What `perfkit missing --json` prints, with the schema `{missing.FOUND}`. `--plan --json` prints
[Planned](#planned), with `{missing.PLANNED}`, and `--make FILE --json` prints
[Written](#written), with `{missing.WRITTEN}`. Times are in seconds, sizes in bytes.

{_structs(missing, "Found")}
"""


def snmp_plan_file() -> str:
    """Describe the fields of what `perfkit snmp plan --json` prints."""
    return f"""# SNMP plan

What `perfkit snmp plan --json` prints, with the schema `{plan.SCHEMA}`. Times are in seconds.

{_structs(plan, "Plan")}
"""


def _schema(kind: type[msgspec.Struct]) -> str:
    return json.dumps(msgspec.json.schema(kind), indent=2) + "\n"


def _structs(module: ModuleType, first: str) -> str:
    """Describe the structs of a module, the outermost first."""
    classes = _classes(module)
    ordered = [first, *(name for name in classes if name != first)]
    return "\n\n".join(_struct(classes[name], classes) for name in ordered)


def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(module))
    nodes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        node.name: node for node in nodes if issubclass(getattr(module, node.name), msgspec.Struct)
    }


def _struct(node: ast.ClassDef, known: Collection[str]) -> str:
    purpose = ast.get_docstring(node) or ""
    rows = _fields(node, known)
    return f"## {node.name}\n\n{purpose}\n\n{_table(['Field', 'Type', 'Meaning'], rows)}"


def _fields(node: ast.ClassDef, known: Collection[str]) -> list[list[str]]:
    """Return a row for each field: its name, its type, and the words below it."""
    rows = []
    following: list[ast.stmt | None] = [*node.body[1:], None]
    for field, after in zip(node.body, following, strict=True):
        if isinstance(field, ast.AnnAssign):
            kind = ast.unparse(field.annotation)
            inner = next((name for name in known if re.search(rf"\b{name}\b", kind)), "")
            meaning = _words(after) or (f"See [{inner}](#{inner.lower()})." if inner else "")
            rows.append([f"`{ast.unparse(field.target)}`", f"`{kind}`", meaning])
    return rows


def _words(statement: ast.stmt | None) -> str:
    """Return the text that stands below a field."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""


def verdicts() -> str:
    """Describe every verdict of a gate, the worst first."""
    rows, left = [], list(Word)
    while left:
        word = worst(left)
        left.remove(word)
        code = EXITS[word]
        rows.append(
            [f"`{word}`", MARKS[word].sign, f"{int(code)}", code.meaning, _told(word), _turns(word)]
        )
    head = ["Verdict", "Sign", "Exit code", "Meaning of the code", "On GitHub", "Setting"]
    return f"""# Verdicts

What a check, a scenario and a whole gate can end in; of several, the first in this list counts.
The last line of the output is `verdict: ` and the word. The [exit code](exit-codes.md) is the
verdict's own, unless a [setting](settings.md) makes it a pass or a fail.
[What to do](/howto/gate.md#what-the-verdicts-mean) is in the guide.

{_table(head, rows)}
"""


def _told(word: Word) -> str:
    if word is Word.PASS:
        return ""
    return "a warning" if word in WARNINGS else "an error"


def _turns(word: Word) -> str:
    """Name the settings that can make a pass of a verdict, by trying them."""
    if word is Word.PASS:
        return ""
    ended = Gated(name="", file="", title="", verdict=word, judged=())
    policies = [name for name in settings.Settings.__struct_fields__ if name.startswith("on_")]
    turned = {
        name: msgspec.structs.replace(ended, **{name: Policy.PASS}).counts_as for name in policies
    }
    return ", ".join(f"`{name}`" for name in policies if turned[name] is Word.PASS)


_BYTES = [
    name
    for name in (*workload.FUNCTIONS, *workload.MEMORY, *workload.COMMANDS)
    if checks.unit(name) is Unit.BYTES
]
TARGETS = {
    Kind.ABSOLUTE: ("fixed", "a figure of one variant"),
    Kind.RATIO: ("fixed/naive", "the first divided by the second, in the same run"),
    Kind.CHANGE: ("fixed@base", "the variant now divided by itself at the base"),
}
CLOCKS = {
    "time": "processor time where all that is compared computes, else wall time",
    "cpu": "processor time",
    "wall": "wall time",
}
ROLES = {
    "naive": "the naive variant; of your own code the first",
    "fixed": "the first fix that is not partial",
    "wrong": "every wrong lever, each a check of its own",
}


def check_grammar() -> str:
    """Describe what a check may say, by what the parser takes."""
    targets = [[f"`{form}`", f"{kind}", text] for kind, (form, text) in TARGETS.items()]
    clocks = [[f"`{name}`", CLOCKS[name]] for name in checks.CLOCKS]
    clocks.append([f"`{checks.PEAK_RSS}`", "the most memory that the process held"])
    counters = [[f"`{name}`", words, "functions"] for name, words in workload.FUNCTIONS.items()]
    counters += [
        [f"`{name}`", words, "functions, with `memory = true`"]
        for name, words in workload.MEMORY.items()
    ]
    counters += [[f"`{name}`", words, "commands"] for name, words in workload.COMMANDS.items()]
    units = [
        [f"`{metric}`", *(_units(kind, metric) for kind in Kind)]
        for metric in (*checks.CLOCKS, checks.PEAK_RSS, *_BYTES, "statements")
    ]
    statistics = [[f"`{name}`", text] for name, text in checks.STATISTICS.items()]
    return f"""# Checks

```text
METRIC[.STATISTIC] COMPARISON NUMBER[UNIT]
```

Checks stand in lists under `[checks]` of a [scenario file](scenario-file.md), each list under its
target. All are read before anything is run.

## Targets

{_table(["Such as", "Kind", "What is judged"], targets)}

A target names variants, or a role:

{_table(["Role", "Stands for"], [[f"`{role}`", ROLES[role]] for role in checks.ROLES])}

Roles stand for variants that run with the scenario's parameters. A check that speaks of a variant
that does not is an error, which says why.

## Measured figures

{_table(["Metric", "Meaning"], clocks)}

Times have statistics. Without one it is the `{_floor()}`.

{_table(["Statistic", "Meaning"], statistics)}

## Counted work

What a probe counts is on [its page](probes/index.md). Of your own code:

{_table(["Counter", "In the report", "Of"], counters)}

Statements and what follows them are counted where the code talks to PostgreSQL through psycopg, or,
connections and statements only, to SQLite.

## Comparisons

{", ".join(f"`{sign}`" for sign in checks.COMPARISONS)}. `==` is for counted work only.

## Units

{_table(["Metric", *(str(kind) for kind in Kind)], units)}

A change of `5%` is a factor of `1.05x`: `time < 5%` allows less than five per cent more. All other
counters of pieces have the units of `statements`.
"""


def _floor() -> str:
    return checks.parse("fixed", f"{checks.CLOCKS[0]} < 1ms", "the reference").statistic


def _units(kind: Kind, metric: str) -> str:
    """Return the units that the parser takes, by asking it."""
    spelled = dict.fromkeys(unit for units in SPELLINGS.values() for unit in units)
    taken = []
    for unit in (*spelled, "%", "x"):
        with suppress(UnreadableFile):
            checks.parse(TARGETS[kind][0], f"{metric} < 1{unit}", "the reference")
            taken.append(f"`{unit}`" if unit else "none")
    return ", ".join(taken)


def scenario_file() -> str:
    """Describe the keys of a scenario file."""
    fields = msgspec.structs.fields(scenario.Scenario)
    meanings = _meanings(scenario, "Scenario")
    rows = [
        [
            f"`{field.name}`",
            meanings[field.name],
            "needed" if field.required else _default_of(field),
        ]
        for field in fields
    ]
    return f"""# Scenario file

A TOML file in the folder `{scenario.FOLDER}` of a project, or of an installed package. Its name is
the name of the scenario. A key that is not in this list is refused, with the nearest that is.

{_table(["Key", "Meaning", "By default"], rows)}

Either `probe` or `run` is needed too. [Checks](checks.md) says what may stand under `[checks]`, and
[Settings](settings.md) what under `[gate]`.

## Code of your own

The first variant of `run` has the role `naive`. One whose name is `wrong`, or begins with `wrong-`,
is a wrong lever; all others are fixes. Without names there is one variant, and it is called
`{workload.ALONE}`. Functions are looked for in the current folder and its `src` first; commands
start in the current folder, without a shell. All must be functions, or all commands.
"""


def gate_settings() -> str:
    """Describe what can be set, and where."""
    own = settings.Settings.__struct_fields__
    meanings = _meanings(settings, "Settings") | _meanings(settings, "Project")
    defaults = dict.fromkeys(own, f"`{Policy.WARN}`") | {
        "budget": f"`{settings.Settings().seconds:g}s`"
    }
    rows = [
        [
            f"`{name}`",
            meaning,
            "`[gate]`" if name in own else "",
            f"`--{name.replace('_', '-')}`" if name in own else "",
            defaults.get(name, ""),
        ]
        for name, meaning in meanings.items()
    ]
    head = ["Key", "Meaning", "In a scenario", "Command line", "By default"]
    policies = ", ".join(f"`{policy}`" for policy in Policy)
    return f"""# Settings

All of these can be set under `[tool.perfkit.gate]` in the `{settings.PROJECT}` of the current
folder. A scenario goes before the project, and the command line before both.

{_table(head, rows)}

A policy is one of {policies}. `{Policy.WARN}` keeps the verdict's own exit code.
"""


def _meanings(module: ModuleType, name: str) -> dict[str, str]:
    """Return the words below each field of a struct."""
    rows = _fields(_classes(module)[name], ())
    return {field.strip("`"): meaning for field, _, meaning in rows}


def _default_of(field: msgspec.structs.FieldInfo) -> str:
    return f"`{field.default}`" if isinstance(field.default, str) and field.default else ""


def formats() -> str:
    """Describe what `-o FILE` writes, by the ending of its name."""
    results = _endings(files.RESULT_FORMATS)
    sweeps = _endings(files.SWEEP_FORMATS)
    gates = _endings(files.GATE_FORMATS)
    return f"""# Output formats

`-o FILE` may be given several times, and the ending of each name chooses what is written. A file is
replaced when all of the new one is on the disk. One that perfkit did not write is left alone,
unless `--force` is given. What needs a library comes with `pip install 'perfkit[ci]'`, and
matplotlib with `pip install 'perfkit[plot]'`.

## Of `perfkit gate` and `perfkit compare`

{_table(["Ending", "What it is", "Library"], gates)}

`perfkit show gate.json -o FILE` writes any of them later.

## Of `perfkit probe`

{_table(["Ending", "What it is", "Library"], results)}

## Of `perfkit sweep`

{_table(["Ending", "What it is", "Library"], sweeps)}

`perfkit show sweep.json -o FILE` writes any of them later.
"""


def _endings(known: Mapping[str, str]) -> list[list[str]]:
    rows = []
    for ending, place in known.items():
        module, _, name = place.partition(":")
        written = import_module(module)
        # A module that draws says what it draws; one that does more has it at the function.
        says = written if name == "render" else getattr(written, name)
        text = " ".join((inspect.getdoc(says) or "").partition("\n\n")[0].split())
        rows.append([f"`{ending}`", text, f"`{files.PACKAGES.get(ending, '')}`".strip("`")])
    return rows


def pytest_plugin() -> str:
    """Describe what perfkit adds to pytest."""
    from perfkit import pytest_plugin as plugin

    offered = _Options()
    plugin.pytest_addoption(cast("pytest.Parser", offered))
    counters = [
        [f"`{name}`", kind]
        for kind, names in (("SQL", work.SQL), ("calls", work.CALLS), ("memory", work.MEMORY))
        for name in names
    ]
    options = [[f"`{name}`", text] for name, text in offered.found.items()]
    return f"""# pytest plug-in

Installed with perfkit. [The guide](/howto/gate.md#in-pytest) shows it at work.

A scenario file in a folder `{plugin.FOLDER}`, or one that is named, is collected: `pytest
{plugin.FOLDER}/`. Each of its checks is a test.

## Options

{_table(["Option", "Meaning"], options)}

## Fixture `perfkit_work`

{inspect.getdoc(plugin.perfkit_work)}

{_member("Work", work.Work)}

## Counters

{_table(["Counter", "Of"], counters)}
"""


class _Options:
    """Takes the place of pytest's parser, and remembers what it was given."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def getgroup(self, _name: str, _text: str) -> _Options:
        """Return the group: there is only one."""
        return self

    def addoption(self, name: str, *, metavar: str, help: str, **_rest: Any) -> None:  # noqa: A002
        """Remember an option."""
        self.found[f"{name} {metavar}"] = help


def public_api() -> str:
    """Describe what `import perfkit` offers."""
    parts = "\n\n".join(_member(name, getattr(perfkit, name)) for name in perfkit.__all__)
    return f"""# Public API

What a probe module needs, and nothing else. Everything that is not named here may change in
any release.

{parts}
"""


def _member(name: str, value: Any) -> str:
    kind = "class" if inspect.isclass(value) else "def"
    parts = [
        f"## `{name}`",
        f"```python\n{kind} {name}{_signature(value)}\n```",
        inspect.getdoc(value) or "",
    ]
    if inspect.isclass(value):
        parts += [
            f"### `{name}.{method}`\n\n```python\ndef {method}{_signature(function)}\n```\n\n"
            f"{inspect.getdoc(function)}"
            for method, function in _methods(value)
        ]
    return "\n\n".join(part for part in parts if part)


def _methods(value: type[Any]) -> Iterator[tuple[str, Any]]:
    for name, member in vars(value).items():
        function = inspect.unwrap(getattr(member, "__func__", member))
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def _signature(value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, StrEnum):
        return "(" + ", ".join(repr(str(member)) for member in value) + ")"
    if getattr(value, "_is_protocol", False):
        return "(Protocol)"
    text = re.sub(r"ForwardRef\(('[^']*')\)", r"\1", str(inspect.signature(value)))
    # Annotations are strings, and defaults show where they lie in memory.
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    text = re.sub(r"<function (\w+) at \w+>", r"\1", text).removesuffix(" -> None")
    return text.replace("<factory>", "...")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
