"""A probe that says how the garbage collector stands, and registers something for the end."""

from __future__ import annotations

import atexit
import gc
from pathlib import Path

from perfkit.backends.python import Python
from perfkit.model import Probe
from sample_probes.notes import Notes

probe = Probe(
    "collector", "Calls", Python, Notes, work={"calls": "calls"}, cause="calls", session=True
)
FROZEN: list[bool] = []


@probe.naive("looks at the collector")
def look(_python: Python, notes: Notes) -> object:
    """Return whether garbage is collected; note the end of the process."""
    FROZEN.append(gc.get_freeze_count() > 0)
    if len(FROZEN) == 1:
        atexit.register(Path(notes.file).write_text, "ended")
    return gc.isenabled()


@probe.fixed("what was frozen during the values so far")
def remember(_python: Python, _notes: Notes) -> object:
    """Return what `look` saw, in the same process."""
    return list(FROZEN)
