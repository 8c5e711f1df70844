"""What several folders of tests share: a server that stands for the user's own, a calm place."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import OwnServer, encrypted, own
from valkey_servers import OwnValkey
from valkey_servers import own as own_valkey_server

from perfkit.backends import postgres_server, valkey_server
from perfkit.errors import CannotRun

# A shell that starts the tests in the background may have it ignored, and programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnServer]:
    """Run a server and fill it as a user might have done."""
    try:
        binaries = postgres_server.find()
    except CannotRun as missing:
        pytest.skip(missing.what)
    with own(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def encrypted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """Run such a server with TLS, which the wheel's binaries were built without."""
    binaries = postgres_server.system()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed on this system")
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed here")
    with own(binaries) as server:
        yield encrypted(server, tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def own_valkey() -> Iterator[OwnValkey]:
    """Run a Valkey server and fill it as a user might have done."""
    try:
        valkey_server.find()
    except CannotRun as missing:
        pytest.skip(missing.what)
    with own_valkey_server() as server:
        yield server


@pytest.fixture
def place(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Give a run a temporary folder of its own, that every account may enter."""
    # pytest must not make its own folders in there.
    tmp_path_factory.getbasetemp()
    folder = Path(tempfile.mkdtemp(prefix="tests-"))
    folder.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the person who runs the tests has told libpq."""
    for name in [name for name in os.environ if name.startswith(("PG", "PERFKIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGPASSFILE", os.devnull)
