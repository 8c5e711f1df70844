"""Optional packages: imported where they are needed, with a clear word where they are missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from perfkit.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """Import a module that belongs to perfkit's optional part `extra`.

    Called inside the function that needs it, so that nothing else pays for the import. Raises
    MissingExtra, which says what to install; a fault inside an installed package stays itself.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtra(error.name, extra) from error
