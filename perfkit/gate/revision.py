"""The base of a comparison: another revision of the project, checked out beside this one.

A clone that borrows the objects (`git clone --shared`), not a `git worktree`: it writes nothing
into the user's repository, so a read-only checkout will do and there is nothing to prune.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from perfkit.backends.guarded import Guarded, Order
from perfkit.errors import CannotRun, UsageError
from perfkit.run.course import BASE, CHANGE, Side

LINES = 12
"""Of a failed build, the last lines are shown."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision checked out: as the user wrote it, its hash, and both sides of the comparison."""

    name: str
    sha: str
    sides: tuple[Side, Side]

    def __str__(self) -> str:
        """Name it as the user did, with its hash: `main (1a2b3c4d5e)`."""
        return self.name if self.sha.startswith(self.name) else f"{self.name} ({self.sha[:10]})"


@contextmanager
def checked_out(
    name: str, build: Sequence[str] = (), tell: Callable[[str], None] = lambda _: None
) -> Iterator[Revision]:
    """Check a revision of the current project out and build it; gone when the block ends.

    Raises UsageError (no such revision, no repository) and CannotRun (git, or its build, failed).
    """
    here = Path.cwd()
    if not name or name.startswith("-"):
        raise UsageError(f"{name!r} is no revision", fix="--base origin/main")
    top = _top(here)
    sha = _resolve(name, here)
    prefix = here.resolve().relative_to(top)
    if not _has(f"{sha}:./", here):
        raise CannotRun(f"{name} has no folder {prefix}", why="it came with a later revision")
    with Guarded("base") as guarded:
        clone = guarded.folder / "checkout"
        base = clone / prefix
        tell(f"building {name}" if build else f"checking out {name}")
        steps = [
            ["git", "clone", "-q", "--shared", "--no-checkout", str(top), str(clone)],
            ["git", "-C", str(clone), "checkout", "-q", "--detach", sha],
        ]
        if build:
            steps.append([sys.executable, "-c", _IN_FOLDER, str(base), *build])
        try:
            # By the guard, so that git and the build end with us, however we go.
            guarded.start(Order(steps=steps, environment=_environment()))
        except CannotRun as error:
            raise _failed(error.why, name, build) from error
        _require_whole(clone, name)
        sides = _side(CHANGE, here, top, top), _side(BASE, base, clone, top)
        yield Revision(name, sha, sides)


_IN_FOLDER = """
import os, sys
os.chdir(sys.argv[1])
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot start {sys.argv[2]}: {error.strerror}")
"""


def _failed(said: str, name: str, build: Sequence[str]) -> CannotRun:
    program, _, words = said.partition(" ")
    if program != Path(sys.executable).name:
        return CannotRun(f"cannot check out {name}", why=said)
    ended, _, printed = words.partition(": ")
    return CannotRun(
        f"{name} does not build: {' '.join(build)} {ended}",
        why="\n".join(printed.splitlines()[-LINES:]),
        fix="a base that does not build cannot be compared with; choose another revision",
    )


def _require_whole(clone: Path, name: str) -> None:
    """Raise CannotRun for files that git could not check out: it says so, and ends with 0."""
    absent = _git("ls-files", "--deleted", inside=clone).splitlines()
    if absent:
        raise CannotRun(
            f"cannot check out all of {name}",
            why=f"the repository was fetched without its files: {', '.join(absent[:LINES])}",
            fix="fetch them too: no --filter in git clone, no filter: in actions/checkout",
        )


def _side(name: str, folder: Path, root: Path, top: Path) -> Side:
    """Return a side that imports the repository from its root, and all else as this process does.

    Folders of the repository on the import path are replaced by the side's own; what is not part
    of the revision, such as a virtual environment inside the project, stays.
    """

    def own(entry: str) -> str:
        place = Path(entry).resolve()
        if not place.is_relative_to(top):
            return entry
        mine = root / place.relative_to(top)
        return str(mine) if mine.exists() else entry

    heads = [str(mine) for mine in (folder, folder / "src") if mine.is_dir()]
    told = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return Side(
        name,
        folder,
        path=tuple(dict.fromkeys([*heads, *map(own, sys.path)])),
        environment={"PYTHONPATH": os.pathsep.join(dict.fromkeys([*heads, *map(own, told)]))},
        root=root,
        installed=_installed(top),
    )


def _installed(top: Path) -> frozenset[str]:
    """Return the packages that an installer copied from the repository."""
    return frozenset(
        Path(file).parts[0].removesuffix(".py")
        for found in distributions()
        if _comes_from(found, top)
        for file in found.files or ()
        if file.suffix == ".py" or len(file.parts) > 1
    )


def _comes_from(found: Distribution, top: Path) -> bool:
    """Say whether a package was installed from a folder of the repository.

    Source: "Recording the Direct URL Origin" in the Python packaging specifications.
    """
    try:
        origin = str(json.loads(found.read_text("direct_url.json") or "{}").get("url"))
    except (AttributeError, ValueError):
        return False
    place = url2pathname(urlsplit(origin).path) if origin.startswith("file:") else ""
    return bool(place) and Path(place).resolve().is_relative_to(top)


def _top(here: Path) -> Path:
    try:
        return Path(_git("rev-parse", "--show-toplevel", inside=here)).resolve()
    except CannotRun as error:
        if "not a git repository" not in error.why:
            raise
        raise UsageError(
            f"{here} is in no git repository", why="--base takes a revision of the project"
        ) from error


def _has(name: str, here: Path) -> bool:
    try:
        _git("cat-file", "-e", name, inside=here)
    except CannotRun:
        return False
    return True


def _resolve(name: str, here: Path) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", inside=here)
    except CannotRun:
        pass
    shallow = _git("rev-parse", "--is-shallow-repository", inside=here) == "true"
    raise UsageError(
        f"there is no revision '{name}' here",
        why="the checkout is shallow: older revisions were not fetched"
        if shallow
        else "git does not know it",
        fix="fetch it: fetch-depth: 0 in actions/checkout, GIT_DEPTH: 0 in GitLab"
        if shallow
        else f"git fetch origin {name.removeprefix('origin/')}; git branch -a",
    )


def _git(*words: str, inside: Path) -> str:
    """Run git and return what it printed; raises CannotRun with git's own words."""
    try:
        done = subprocess.run(
            ["git", *words],  # noqa: S607 (the user's git, wherever it is)
            cwd=inside,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise CannotRun("there is no git here", why="--base asks it for the revision") from error
    if done.returncode:
        raise CannotRun(
            f"git {words[0]} failed", why=done.stderr.strip() or f"it ended with {done.returncode}"
        )
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """Return our environment without what another git set for its hooks: it names a repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return kept | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
