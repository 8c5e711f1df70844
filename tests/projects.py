"""A project of a user: a package with a probe of its own, scenarios, and a history in git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STORY = """
from dataclasses import dataclass
from typing import Annotated

from perfkit import Probe, count
from perfkit.backends.python import Python

@dataclass(frozen=True)
class Basket:
    items: Annotated[int, count("items")] = 10

probe = Probe("shop", "A call an item", Python, Basket, work={"calls": "calls"}, cause="calls")

def price(items=1):
    return items

@probe.naive("a call an item")
def ask_each(_python, basket):
    total = 0
    for _ in range(basket.items):
        total += price()
    return total

@probe.wrong_lever("a call an item, backwards", why="It is as many.")
def ask_each_backwards(_python, basket):
    total = 0
    for _ in range(basket.items, 0, -1):
        total += price()
    return total

@probe.fixed("one call")
def ask_once(_python, basket):
    return price(basket.items)
"""
"""11 calls, 11 calls and 2 calls."""
EACH = "    for _ in range(basket.items):\n"
ONE_MORE = "    price()\n" + EACH
"""The naive code with one call more, and the same answer."""
ONCE = "    return price(basket.items)\n"


@dataclass(frozen=True)
class Project:
    """A folder with the package `shop` in it."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file, with its folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def edit(self, old: str, new: str, name: str = "shop/story.py") -> None:
        """Replace what stands in a file."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def scenario(self, checks: str, name: str = "basket", more: str = "") -> Path:
        """Write a scenario with these checks."""
        head = f'probe = "shop"\ntitle = "The {name}"\nstory = "Ten items."\n{more}\n'
        return self.write(f"scenarios/{name}.toml", f"{head}[checks]\n{checks}\n")

    def git(self, *words: str) -> str:
        """Run git in the project."""
        named = ("-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *named, *words],
            cwd=self.folder,
            env=_clean(),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "state") -> str:
        """Commit all that there is; return the hash."""
        if not (self.folder / ".git").exists():
            self.git("init", "-q", "-b", "main")
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def make(folder: Path) -> Project:
    """Write the package, and the metadata that an installer would leave."""
    project = Project(folder)
    project.write("shop/__init__.py", "")
    project.write("shop/story.py", STORY)
    project.write(
        "shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"
    )
    project.write(
        "shop-1.0.dist-info/entry_points.txt", "[perfkit.probes]\nshop = shop.story:probe\n"
    )
    project.write(".gitignore", "__pycache__\n/tmp\n/state\n/*.json\n")
    return project


def _clean() -> dict[str, str]:
    """Return our environment without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Hold a folder to staying as it is, to the last byte and time stamp."""
    before = _everything(folder)
    yield
    assert before == _everything(folder)


def _everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }
