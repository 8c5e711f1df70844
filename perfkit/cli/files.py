"""Result files as the command line writes them: the format by the ending, all or nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from perfkit.errors import CannotRun, UsageError
from perfkit.result import SCHEMA, Result, encode

FORMATS = (".json", ".md")
MARK = f"<!-- {SCHEMA} -->"
"""How a Markdown report of ours begins."""


def check(paths: Iterable[Path], *, force: bool) -> None:
    """Refuse, before anything is measured, files that could not be written afterwards.

    Raises UsageError for an unknown ending, a missing folder or a file that is not ours.
    """
    for path in paths:
        if path.suffix not in FORMATS:
            raise UsageError(
                f"no report format ends in '{path.suffix or path.name}'",
                why=f"the ending chooses the format: {' or '.join(FORMATS)}",
                fix=f"-o {path.with_suffix('.json')}",
            )
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", fix=f"mkdir -p {path.parent}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", fix=f"-o {path / 'result.json'}")
        if path.is_file() and not force and not _ours(path):
            raise UsageError(
                f"{path} exists, and perfkit did not write it",
                why="it would be overwritten",
                fix="choose another name, or add --force",
            )


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            data = file.read(2**20 if path.suffix == ".md" else -1)
    except OSError:
        return False
    if not data:
        return True
    return SCHEMA.encode() in data if path.suffix == ".json" else data.startswith(MARK.encode())


def write(path: Path, result: Result) -> None:
    """Write a result, replacing the file only when all of it is on the disk.

    Raises CannotRun when the disk is full or the folder cannot be written.
    """
    from perfkit.report.markdown import render

    data = encode(result) if path.suffix == ".json" else render(result).encode()
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            # A pipe or a device has nothing to replace.
            path.write_bytes(data)
            return
        _replace(path.resolve(), data)
    except OSError as error:
        raise CannotRun(
            f"cannot write {path}",
            why=error.strerror or str(error),
            fix="free some space or choose another place, and measure again",
        ) from error


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        mask = os.umask(0)
        os.umask(mask)
        new.chmod(0o666 & ~mask)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
