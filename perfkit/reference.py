"""`module:attribute`, the way a probe is named across processes and in entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from perfkit.errors import CannotRun, NotThere
from perfkit.model import Probe


def resolve(reference: str | Callable[[], Probe[Any, Any]]) -> Probe[Any, Any]:
    """Import a probe from `module:attribute`, or have it built.

    Raises CannotRun naming what went wrong, or NotThere for an absent module or attribute.
    """
    if not isinstance(reference, str):
        return reference()
    found = find(reference)
    if not isinstance(found, Probe):
        raise CannotRun(f"{reference} is a {type(found).__name__}, not a perfkit.Probe")
    return found


def find(reference: str) -> object:
    """Import whatever `module:attribute` names; raises like `resolve`."""
    module, _, attribute = reference.partition(":")
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    # A plug-in may fail in any way, and must not take perfkit with it.
    except (Exception, SystemExit) as error:
        absent = isinstance(error, AttributeError | ModuleNotFoundError)
        missing = getattr(error, "name", None) or ""
        # A module that imports something absent is broken, not absent.
        ours = f"{module}.".startswith(f"{missing}.") or missing in attribute.split(".")
        kind = NotThere if absent and missing and ours else CannotRun
        raise kind(f"{type(error).__name__}: {error}") from error
    return found


def name(probe: Probe[Any, Any]) -> str | Callable[[], Probe[Any, Any]]:
    """Return the `module:attribute` under which another process finds a probe, or what builds it.

    Raises CannotRun for a probe that no module holds by name.
    """
    if probe.source is not None:
        return probe.source
    module = probe.variants[0].run.__module__
    for attribute, value in vars(sys.modules[module]).items():
        if value is probe and module != "__main__":
            return f"{module}:{attribute}"
    raise CannotRun(
        f"no worker process can import the probe '{probe.name}'",
        why="it is defined in the script that runs it"
        if module == "__main__"
        else f"{module} has no module-level name for it",
        fix="assign the probe to a name at the top level of a module that can be imported",
    )
