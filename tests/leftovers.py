"""Find what a run left behind, and wait for what is about to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE = 30.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that no event announces."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def alive(process: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes(folder: Path) -> list[str]:
    """Return the processes that were started with this temporary folder, or work inside it."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("TMPDIR") == str(folder)
            places = process.cwd(), _printing(process)
            if ours or any(Path(place).is_relative_to(folder) for place in places):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return found


def descendants(process: int | None = None) -> dict[psutil.Process, str]:
    """Return the processes below one, or below this one, with their command lines."""
    found = {}
    for each in psutil.Process(process).children(recursive=True):
        # It may end while it is looked at.
        with suppress(psutil.NoSuchProcess):
            found[each] = " ".join(each.cmdline())
    return found


def _printing(process: psutil.Process) -> str:
    """Return the file a process prints to: a server may have overwritten its variables."""
    try:
        return str(Path(f"/proc/{process.pid}/fd/1").readlink())
    except OSError:
        return ""


def folders(place: Path) -> list[Path]:
    """Return perfkit's folders inside a temporary folder."""
    return sorted(place.glob("perfkit-*"))
