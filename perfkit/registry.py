"""Find probes, recipes and scenarios: the built-in ones and those of installed packages.

A package offers probes through the entry-point group `perfkit.probes`, and may have folders
called `recipes` and `scenarios` inside it. perfkit's own probes come the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.errors import CannotRun, PerfkitError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from perfkit.model import Probe

GROUP = "perfkit.probes"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list: a probe's title, or why it cannot be loaded."""

    name: str
    title: str
    package: str
    error: str = ""


@cache
def _offered() -> tuple[EntryPoint, ...]:
    # Imported here: a worker process loads one probe by reference and needs no metadata.
    from importlib.metadata import entry_points

    # The first of equal names wins, and perfkit's own come first: nobody can shadow them.
    return tuple(
        sorted(
            entry_points(group=GROUP),
            # A package's own name is in its metadata, which is slow to read; its module's is not.
            key=lambda entry: (_top(entry) != "perfkit", entry.name, _top(entry)),
        )
    )


@cache
def entries() -> dict[str, EntryPoint]:
    """Return every installed probe by name; nothing is imported."""
    named: dict[str, EntryPoint] = {}
    for entry in _offered():
        named.setdefault(entry.name, entry)
    return dict(sorted(named.items()))


def _package(entry: EntryPoint) -> str:
    return (entry.dist and entry.dist.name) or _top(entry)


def _top(entry: EntryPoint) -> str:
    # Not `entry.module`: that raises where a plug-in's metadata is no reference at all.
    return entry.value.partition(":")[0].partition(".")[0].strip()


def _release(entry: EntryPoint) -> str:
    version = entry.dist.version if entry.dist else ""
    return f"{_package(entry)} {version or ''}".strip()


def entry(name: str) -> EntryPoint:
    """Return the entry point of a probe; raises UsageError with the nearest name."""
    known = entries()
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    raise UsageError(
        f"no probe '{name}'" + (f"; did you mean '{close[0]}'?" if close else ""),
        why=f"there are: {', '.join(known) or 'none'}",
        fix="perfkit list",
    )


def probe(name: str) -> Probe[Any, Any]:
    """Import a probe by name; raises UsageError (unknown) or CannotRun (it does not load)."""
    found = entry(name)
    try:
        return _resolve(found)
    except PerfkitError as error:
        raise CannotRun(
            f"the probe '{name}' of {_package(found)} cannot be loaded", why=error.what
        ) from error


def _resolve(found: EntryPoint) -> Probe[Any, Any]:
    # Imported here: listing perfkit's own probes needs no probe model.
    from perfkit.reference import resolve

    return resolve(found.value)


def listed() -> Iterator[Listed]:
    """Yield every probe with its title.

    perfkit's own titles are read from the recipes, so that listing imports no probe; other
    packages' probes are imported, because only that tells whether they load.
    """
    for name, found in entries().items():
        title = heading(name) if _top(found) == "perfkit" else None
        if title is not None:
            yield Listed(name, title, "perfkit")
            continue
        try:
            yield Listed(name, _resolve(found).title, _package(found))
        except CannotRun as error:
            yield Listed(name, "", _release(found), error.what)
    for found in _offered():
        winner = entries()[found.name]
        if winner is not found:
            taken = f"the name is taken by {_package(winner)}"
            yield Listed(found.name, "", _release(found), taken)


def heading(name: str) -> str | None:
    """Return the title of a probe's recipe, its first heading; None without a recipe."""
    found = recipe(name)
    if found is None:
        return None
    with found.open(encoding="utf-8") as lines:
        return next(lines, "").lstrip("#").strip()


def recipe(name: str) -> Path | None:
    """Return the recipe of a probe, from the package that ships the probe; None without one."""
    found = _folder(_top(entry(name)), "recipes") / f"{name}.md"
    return found if found.is_file() else None


def scenarios() -> dict[str, Path]:
    """Return every scenario file by name, of all packages that ship probes."""
    packages = {_top(found) for found in entries().values()}
    found: dict[str, Path] = {}
    for package in sorted(packages, key=lambda package: (package != "perfkit", package)):
        folder = _folder(package, "scenarios")
        for file in sorted(folder.iterdir(), key=str) if folder.is_dir() else ():
            if file.name.endswith(".toml"):
                found.setdefault(file.name.removesuffix(".toml"), file)
    return found


def _folder(package: str, kind: str) -> Path:
    try:
        inside = Path(import_module(package).__path__[0])
    # Importing a broken package to find its folder must not take perfkit with it.
    except (Exception, SystemExit):  # noqa: BLE001
        return Path(os.devnull)
    shipped = inside / kind
    # In a checkout the folders lie beside the package; the wheel carries them inside it.
    return shipped if shipped.is_dir() else inside.parent / kind
