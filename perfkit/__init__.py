"""Reproduce, measure and name performance anti-patterns on real components.

The front door is small: what a probe module needs, and nothing else. Names are loaded on first
use, so that `perfkit --help` does not pay for the probe model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.errors import NotApplicable
    from perfkit.model import (
        Backend,
        Bound,
        Location,
        Probe,
        Role,
        Tally,
        count,
        seconds,
        size,
        workers,
    )

__all__ = [
    "Backend",
    "Bound",
    "Location",
    "NotApplicable",
    "Probe",
    "Role",
    "Tally",
    "count",
    "seconds",
    "size",
    "workers",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for."""
    if name not in __all__:
        message = f"module 'perfkit' has no attribute '{name}'"
        raise AttributeError(message)
    from perfkit import errors, model

    return getattr(errors if hasattr(errors, name) else model, name)
