"""Write the reference pages that the code already knows: run by conf.py before each build."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import typer.main

import perfkit
from perfkit import registry, result
from perfkit.cli.app import make_app
from perfkit.errors import Exit
from perfkit.model import Probe, Variant
from perfkit.parameters import Parameter, describe
from perfkit.units import show


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
    yield "result-schema.json", json.dumps(msgspec.json.schema(result.Result), indent=2) + "\n"
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
    role = f"{variant.role}, partial" if variant.partial else str(variant.role)
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
    tree = ast.parse(inspect.getsource(result))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    ordered = ["Result", *(name for name in classes if name != "Result")]
    tables = "\n\n".join(_struct(classes[name], classes) for name in ordered)
    return f"""# Result file

A result file is JSON, its schema is `{result.SCHEMA}`. It holds every raw value, so that
every verdict can be computed again. A field that this perfkit does not know is refused, and so
is a file whose parts contradict each other. Times are in seconds, sizes in bytes.

{tables}

## JSON schema

```{{literalinclude}} result-schema.json
:language: json
```
"""


def _struct(node: ast.ClassDef, known: Collection[str]) -> str:
    rows = []
    following: list[ast.stmt | None] = [*node.body[1:], None]
    for field, after in zip(node.body, following, strict=True):
        if isinstance(field, ast.AnnAssign):
            kind = ast.unparse(field.annotation)
            inner = next((name for name in known if re.search(rf"\b{name}\b", kind)), "")
            meaning = _words(after) or (f"See [{inner}](#{inner.lower()})." if inner else "")
            rows.append([f"`{ast.unparse(field.target)}`", f"`{kind}`", meaning])
    purpose = ast.get_docstring(node) or ""
    return f"## {node.name}\n\n{purpose}\n\n{_table(['Field', 'Type', 'Meaning'], rows)}"


def _words(statement: ast.stmt | None) -> str:
    """Return the text that stands below a field."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""


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
    text = str(inspect.signature(value)).removesuffix(" -> None")
    # Annotations are strings, and defaults show where they lie in memory.
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    text = re.sub(r"<function (\w+) at \w+>", r"\1", text)
    return text.replace("<factory>", "...")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
