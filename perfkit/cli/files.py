"""Files that the command line writes and reads: the format by the ending, all or nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit import outcome
from perfkit import result as results
from perfkit import sweep as sweeps
from perfkit.errors import CannotRun, UnreadableFile, UsageError
from perfkit.extras import require

if TYPE_CHECKING:
    from perfkit.outcome import Gate
    from perfkit.result import Result
    from perfkit.sweep import Sweep

RESULT_FORMATS: Mapping[str, str] = {
    ".json": "perfkit.result:encode",
    ".md": "perfkit.report.markdown:render",
}
"""Endings of results, and what writes each."""
GATE_FORMATS: Mapping[str, str] = {
    ".json": "perfkit.outcome:encode",
    ".md": "perfkit.report.gate_markdown:render",
    ".xml": "perfkit.report.junit:render",
    ".pyperf.json": "perfkit.report.pyperf_file:render",
    ".base.pyperf.json": "perfkit.report.pyperf_file:render_base",
    ".prom": "perfkit.report.openmetrics:render",
    ".om": "perfkit.report.openmetrics:render",
    ".benchmark.json": "perfkit.report.benchmark_action:render",
    ".bencher.json": "perfkit.report.bencher:render",
}
"""Endings of gates, and what writes each."""
SWEEP_FORMATS: Mapping[str, str] = {
    ".json": "perfkit.sweep:encode",
    ".md": "perfkit.report.sweep_markdown:render",
    ".svg": "perfkit.report.sweep_picture:render",
}
"""Endings of sweeps, and what writes each."""
PACKAGES = {
    ".xml": "junitparser",
    ".pyperf.json": "pyperf",
    ".base.pyperf.json": "pyperf",
    ".prom": "prometheus_client",
    ".om": "prometheus_client",
    ".svg": "matplotlib",
}
"""What an ending needs of an optional part: of `ci`, unless another has it."""
_PARTS = {"matplotlib": "plot"}
_OTHERS = {True: "gates", False: "sweeps"}
_SCHEMAS = (results.SCHEMA.encode(), outcome.SCHEMA.encode(), sweeps.SCHEMA.encode())
_HEADS = {
    ".md": tuple(b"<!-- %b -->" % schema for schema in _SCHEMAS),
    ".xml": (b'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="%b"' % _SCHEMAS[1],),
    ".prom": (b"# HELP perfkit_gate_info ",),
    ".om": (b"# HELP perfkit_gate_info ",),
}
"""How files of ours begin; the others, JSON and SVG, name a schema somewhere."""


def check(paths: Iterable[Path], *, force: bool, formats: Collection[str] = RESULT_FORMATS) -> None:
    """Refuse, before anything is measured, files that could not be written afterwards.

    Raises UsageError for an unknown ending, a missing folder or a file that is not ours,
    CannotRun for a folder that must not be written, and MissingExtra for a missing package.
    """
    for path in paths:
        ending = _ending(path)
        if ending not in formats:
            wrong = ending or path.suffix
            known = " or ".join(", ".join(formats).rsplit(", ", 1))
            raise UsageError(
                f"no report format ends in '{wrong or path.name}'"
                + (f" here: that is for {_OTHERS[ending in GATE_FORMATS]}" if ending else ""),
                why=f"the ending chooses the format: {known}",
                fix=f"-o {path.with_name(path.name.removesuffix(wrong) + '.json')}",
            )
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", fix=f"mkdir -p {path.parent}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", fix=f"-o {path / 'result.json'}")
        if path.is_file() and not force and not _ours(path, ending):
            raise UsageError(
                f"{path} exists, and perfkit did not write it",
                why="it would be overwritten",
                fix="choose another name, or add --force",
            )
        if not (_is_special(path) or os.access(path.resolve().parent, os.W_OK)):
            raise CannotRun(f"cannot write {path}", why=f"the folder {path.parent} is read-only")
        if ending in PACKAGES:
            package = PACKAGES[ending]
            require(package, _PARTS.get(package, "ci"))


def _ending(path: Path) -> str:
    """Return the longest known ending of a file's name; empty where there is none."""
    known = (
        end
        for end in (*RESULT_FORMATS, *GATE_FORMATS, *SWEEP_FORMATS)
        if path.name.endswith(end) and path.name != end
    )
    return max(known, key=len, default="")


def _ours(path: Path, ending: str) -> bool:
    heads = _HEADS.get(ending)
    try:
        with path.open("rb") as file:
            data = file.read(-1 if heads is None else 2**10)
    except OSError:
        return False
    if not data:
        return True
    if heads is None:
        return any(schema + end in data for schema in _SCHEMAS for end in (b'"', b" -->"))
    return data.startswith(heads)


def load(path: Path) -> Result | Gate | Sweep:
    """Read a file that a probe, a gate or a sweep left; raises UnreadableFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}", why=error.strerror or str(error)) from error
    head = results.parse(data, str(path))
    schema = str(head.get("schema")) if isinstance(head, dict) else ""
    if schema.startswith("perfkit.gate/"):
        return outcome.decode(data, str(path))
    if schema.startswith("perfkit.sweep/"):
        return sweeps.decode(data, str(path))
    return results.decode(data, str(path))


def write(path: Path, result: Result) -> None:
    """Write a result, replacing the file only when all of it is on the disk.

    Raises CannotRun when the disk is full or the folder cannot be written.
    """
    _write(path, _drawn(RESULT_FORMATS[_ending(path)], result))


def write_gate(path: Path, gate: Gate) -> None:
    """Write a gate in the format of the file's ending, replacing the file as `write` does.

    Raises CannotRun where it cannot be written, or the format has no room for such a gate.
    """
    _write(path, _drawn(GATE_FORMATS[_ending(path)], gate))


def write_sweep(path: Path, sweep: Sweep) -> None:
    """Write a sweep in the format of the file's ending, replacing the file as `write` does.

    Raises CannotRun where it cannot be written.
    """
    _write(path, _drawn(SWEEP_FORMATS[_ending(path)], sweep))


def _drawn(place: str, known: Result | Gate | Sweep) -> bytes:
    module, _, name = place.partition(":")
    draw: Callable[[Result | Gate | Sweep], str | bytes] = getattr(import_module(module), name)
    drawn = draw(known)
    return drawn if isinstance(drawn, bytes) else drawn.encode()


def _write(path: Path, data: bytes) -> None:
    try:
        if _is_special(path):
            path.write_bytes(data)
            return
        _replace(path.resolve(), data)
    except OSError as error:
        raise CannotRun(
            f"cannot write {path}",
            why=error.strerror or str(error),
            fix="free some space or choose another place, and measure again",
        ) from error


def _is_special(path: Path) -> bool:
    """Say whether it is a pipe or a device, which has nothing to replace."""
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


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
