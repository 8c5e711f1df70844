"""`module:attribute`, the way a probe is named across processes and in entry points."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from perfkit.errors import CannotRun, NotThere
from perfkit.model import Probe


def resolve(reference: str) -> Probe[Any, Any]:
    """Import a probe from `module:attribute`.

    Raises CannotRun naming what went wrong, or NotThere for an absent module or attribute.
    """
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
    if not isinstance(found, Probe):
        raise CannotRun(f"{reference} is a {type(found).__name__}, not a perfkit.Probe")
    return found


def name(probe: Probe[Any, Any]) -> str:
    """Return the `module:attribute` under which another process finds a probe.

    Raises CannotRun for a probe that no module holds by name.
    """
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
