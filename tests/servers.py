"""A server that is not perfkit's, as the tests of `--backend URL` see it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from leftovers import until

from perfkit.backends import postgres_server
from perfkit.backends.postgres_server import Binaries

PASSWORD = "s3cret-of-the-user"


@dataclass(frozen=True)
class OwnServer:
    """A server that is not perfkit's: it has a password, roles and other people's tables."""

    port: int
    superuser: dict[str, str] = field(repr=False)
    certificate: str = ""
    """The file that clients check the server with, where it offers TLS."""

    def url(self, user: str = "perf", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/shop"

    def admin(self, database: str = "shop") -> closing[psycopg.Connection[Any]]:
        parameters: dict[str, Any] = self.superuser | {"dbname": database}
        return closing(psycopg.connect(**parameters, autocommit=True))

    def schemas(self) -> list[str]:
        """Return the schemas that perfkit made and did not drop."""
        with self.admin() as admin:
            found = admin.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ '^perfkit_[0-9a-f]{12}$'"
            )
            return [name for (name,) in found]

    def everything(self) -> list[tuple[Any, ...]]:
        """Return what the database holds: schemas, relations, rights, roles, and the rows."""
        with self.admin() as admin:
            catalogue = admin.execute(
                "SELECT 'schema', nspname::text, nspowner::text, nspacl::text FROM pg_namespace"
                " WHERE nspname !~ '^pg_(toast_)?temp_'"
                " UNION ALL SELECT 'relation', oid::regclass::text, relfilenode::text,"
                " relacl::text FROM pg_class WHERE relkind IN ('r', 'S', 'v')"
                " UNION ALL SELECT 'role', rolname, rolsuper::text, rolconfig::text FROM pg_roles"
                " UNION ALL SELECT 'extension', extname, extversion, NULL FROM pg_extension"
                " UNION ALL SELECT 'setting', name, setting, source FROM pg_settings"
                " WHERE source NOT IN ('client', 'session')"
                " ORDER BY 1, 2, 3"
            ).fetchall()
            rows = admin.execute("SELECT * FROM public.customers ORDER BY 1").fetchall()
            return catalogue + rows


@contextmanager
def own(binaries: Binaries) -> Iterator[OwnServer]:
    """Run a server and fill it as a user might have done."""
    with postgres_server.start(binaries) as running:
        server = OwnServer(running.port, running.connection_parameters)
        with server.admin("postgres") as admin:
            for role in ("perf", '"Perf Tester"', "guest"):
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            admin.execute("CREATE DATABASE shop")
            admin.execute('GRANT CREATE ON DATABASE shop TO perf, "Perf Tester"')
        with server.admin() as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute("CREATE TABLE customers (id integer, name text)")
            admin.execute("INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')")
            admin.execute("CREATE SCHEMA perfkit_notes AUTHORIZATION perf")
            admin.execute("CREATE TABLE perfkit_notes.important (text text)")
        yield server


def encrypted(server: OwnServer, folder: Path) -> OwnServer:
    """Have a server offer TLS as 'localhost'."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    with server.admin() as admin:
        row = admin.execute("SHOW data_directory").fetchone()
        data = Path(row[0] if row else "")
        for file in (certificate, key):
            installed = Path(shutil.copy(file, data))
            installed.chmod(0o600)
            os.chown(installed, data.stat().st_uid, data.stat().st_gid)
        admin.execute("ALTER SYSTEM SET ssl = on")
        admin.execute("SELECT pg_reload_conf()")
        until(lambda: admin.execute("SHOW ssl").fetchone() == ("on",), "the server offers TLS")
    return replace(server, certificate=str(certificate))
