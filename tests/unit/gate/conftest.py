"""A project that this process stands in, and that gates leave as they found it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import projects
import pytest
from leftovers import folders, processes
from projects import Project

from perfkit import registry


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Stand in a project whose probe is installed; nothing may be left of what is run."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    made = projects.make(tmp_path / "my shop")
    monkeypatch.chdir(made.folder)
    monkeypatch.syspath_prepend(made.folder)
    _forget()
    yield made
    _forget()
    assert folders(place) == []
    assert processes(place) == []


def _forget() -> None:
    """Forget which probes are installed, and the modules of the project."""
    registry._offered.cache_clear()
    registry.entries.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]
