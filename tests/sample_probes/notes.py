"""Let worker processes tell a test what they did, past everything that is under test."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Notes:
    """Where to write, and what the variants are to do."""

    file: str = ""
    wish: str = ""


def write(notes: Notes, what: str, **more: object) -> None:
    """Append one line; an append of one line is not torn by others."""
    if notes.file:
        with Path(notes.file).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "process": os.getpid(), **more}) + "\n")


def read(file: str | Path) -> list[dict[str, Any]]:
    """Return what was written so far."""
    path = Path(file)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
