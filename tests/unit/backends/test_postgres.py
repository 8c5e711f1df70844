from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from leftovers import alive, folders, processes, until
from servers import PASSWORD, OwnServer

from perfkit.backends import postgres_service
from perfkit.backends.postgres import Address, Postgres
from perfkit.backends.postgres_service import RESTARTING, PostgresService
from perfkit.errors import CannotRun, ComponentLost, PerfkitError, UsageError
from perfkit.model import Location

pytestmark = pytest.mark.usefixtures("without_variables", "place")

SCHEMA = r"^perfkit_[0-9a-f]{12}$"

HOLD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import psutil
from perfkit.backends.postgres import Postgres
from perfkit.model import Location
with Postgres.serve(Location(sys.argv[2])) as service:
    with Postgres.connect(service.address) as database:
        database.connection.execute("CREATE TABLE numbers (n integer)")
        guards = [child.pid for child in psutil.Process().children()]
        print(json.dumps([service.address.schema, guards]), flush=True)
        if sys.stdin.readline().strip() == "work":
            database.connection.execute("INSERT INTO numbers SELECT 1 FROM pg_sleep(1000)")
        sys.stdin.read()
"""


@contextmanager
def holder(url: str) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """Serve in another process; yield it, its schema and its guards."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, json.dumps(sys.path), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            schema, guards = json.loads(process.stdout.readline())
            yield process, schema, guards
        finally:
            process.kill()


def served(url: str, **more: Any) -> Any:
    return Postgres.serve(Location(url, **more))


def use(service: PostgresService) -> None:
    """Do what a probe does: make a table, fill it, read it."""
    with Postgres.connect(service.address) as database:
        connection = database.connection
        connection.execute("CREATE TABLE numbers (n integer)")
        connection.execute("CREATE FUNCTION one() RETURNS integer RETURN 1")
        connection.execute("CREATE SEQUENCE counter")
        connection.execute("INSERT INTO numbers SELECT generate_series(1, 10)")
        assert connection.execute("SELECT sum(n) FROM numbers").fetchone() == (55,)
        with database.pool(2).connection() as another:
            assert another.execute("SELECT count(*) FROM numbers").fetchone() == (10,)


def refusal(url: str, **more: Any) -> PerfkitError:
    with pytest.raises(PerfkitError) as caught, served(url, **more):
        pass
    return caught.value


def shown(error: PerfkitError) -> str:
    return "\n".join((str(error), repr(error), error.what, error.why, error.fix))


class TestTheUsersOwnServer:
    def test_only_a_schema_of_ours_is_made_and_it_is_dropped(self, own_server: OwnServer) -> None:
        before = own_server.everything()
        with served(own_server.url()) as service:
            use(service)
            assert own_server.schemas() == [service.address.schema]
            added = set(own_server.everything()) - set(before)
            assert {name for kind, name, *_ in added if kind == "schema"} == {
                service.address.schema
            }
            assert all(service.address.schema in row[1] for row in added)
        assert own_server.everything() == before

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_the_schema_is_dropped_after(
        self, own_server: OwnServer, error: type[BaseException]
    ) -> None:
        before = own_server.everything()
        with ExitStack() as stack:
            service = stack.enter_context(served(own_server.url()))
            use(service)
            stack.enter_context(pytest.raises(error))
            stack.push(lambda *_: False)
            raise error
        assert own_server.everything() == before

    def test_the_schema_is_dropped_when_we_are_killed(self, own_server: OwnServer) -> None:
        before = own_server.everything()
        with holder(own_server.url()) as (process, schema, guards):
            assert own_server.schemas() == [schema]
            process.kill()
            until(lambda: not any(map(alive, guards)), "the guard ends")
        assert own_server.everything() == before

    def test_the_schema_is_dropped_when_we_are_killed_at_work(self, own_server: OwnServer) -> None:
        before = own_server.everything()
        with holder(own_server.url()) as (process, schema, guards):
            assert process.stdin is not None
            process.stdin.write("work\n")
            process.stdin.flush()
            until(lambda: busy(own_server, schema), "the server works on the statement")
            process.kill()
            until(lambda: not any(map(alive, guards)), "the guard ends")
        assert own_server.everything() == before
        assert not busy(own_server, schema)

    def test_nothing_but_our_own_work_is_ended(self, own_server: OwnServer) -> None:
        """A backup that reads our tables holds the drop up; it is not ours to end."""
        run = holder(own_server.url())
        with own_server.admin() as backup, run as (process, schema, guards):
            backup.execute("BEGIN")
            backup.execute(f"LOCK TABLE {schema}.numbers IN ACCESS SHARE MODE")
            process.kill()
            until(lambda: waits_for_lock(own_server, schema), "the guard waits for the backup")
            backup.execute("COMMIT")
            until(lambda: not any(map(alive, guards)), "the guard ends")
        assert own_server.schemas() == []

    def test_what_is_left_after_the_guard_was_killed_too_is_swept(
        self, own_server: OwnServer
    ) -> None:
        before = own_server.everything()
        with holder(own_server.url()) as (process, schema, guards):
            for guard in guards:
                os.kill(guard, signal.SIGKILL)
            process.kill()
            process.wait()
        assert own_server.schemas() == [schema]
        until(lambda: not held(own_server, schema), "the server notices")
        with served(own_server.url()) as service:
            assert own_server.schemas() == [service.address.schema]
        assert own_server.everything() == before

    def test_a_sweep_leaves_the_schema_of_a_living_run(self, own_server: OwnServer) -> None:
        with holder(own_server.url()) as (process, schema, _):
            with served(own_server.url()) as service:
                assert set(own_server.schemas()) == {schema, service.address.schema}
            assert own_server.schemas() == [schema]
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        assert own_server.schemas() == []

    def test_a_sweep_goes_on_when_somebody_reads_what_was_left(self, own_server: OwnServer) -> None:
        left = "perfkit_0123456789ab"
        with own_server.admin() as reader:
            reader.execute(f"CREATE SCHEMA {left} AUTHORIZATION perf")
            reader.execute(f"CREATE TABLE {left}.numbers (n integer)")
            reader.execute("BEGIN")
            reader.execute(f"LOCK TABLE {left}.numbers IN ACCESS SHARE MODE")
            with served(own_server.url()):
                assert left in own_server.schemas()
            reader.execute("COMMIT")
        with served(own_server.url()):
            assert left not in own_server.schemas()

    def test_a_sweep_leaves_other_peoples_schemas(self, own_server: OwnServer) -> None:
        """A superuser could drop them, and another role's run may be coming back to them."""
        theirs = "perfkit_abcdefabcdef"
        superuser = own_server.url("postgres", own_server.superuser["password"])
        with own_server.admin() as admin:
            admin.execute(f"CREATE SCHEMA {theirs} AUTHORIZATION perf")
            with served(superuser):
                pass
            assert own_server.schemas() == [theirs]
        with served(own_server.url()):
            assert theirs not in own_server.schemas()

    def test_a_role_with_capitals_and_blanks_can_use_it(self, own_server: OwnServer) -> None:
        url = own_server.url(user=quote("Perf Tester"))
        with holder(url) as (process, schema, guards):
            for guard in guards:
                os.kill(guard, signal.SIGKILL)
            process.kill()
            process.wait()
        until(lambda: not held(own_server, schema), "the server notices")
        with served(url) as service:
            use(service)
            assert own_server.schemas() == [service.address.schema]
        assert own_server.schemas() == []

    def test_a_role_that_may_not_create_is_told_the_grant(self, own_server: OwnServer) -> None:
        error = refusal(own_server.url(user="guest"))
        assert isinstance(error, CannotRun)
        assert error.what == "the user 'guest' may not create a schema in the database 'shop'"
        assert error.fix == 'GRANT CREATE ON DATABASE "shop" TO "guest";'
        with own_server.admin() as admin:
            admin.execute(error.fix)
            with served(own_server.url(user="guest")) as service:
                use(service)
            admin.execute(error.fix.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))

    def test_its_statistics_are_not_reset_and_not_read(self, own_server: OwnServer) -> None:
        query = "SELECT stats_reset FROM pg_stat_statements_info"
        with own_server.admin() as admin:
            before = admin.execute(query).fetchone()
            with served(own_server.url()) as service, Postgres.connect(service.address) as database:
                with database.counting() as work:
                    database.connection.execute("SELECT 1")
                assert work["statements"].witness == "libpq trace"
                assert "fsyncs" not in work
            assert admin.execute(query).fetchone() == before

    def test_a_read_only_server_is_refused_in_its_own_words(self, own_server: OwnServer) -> None:
        url = own_server.url() + "?options=-cdefault_transaction_read_only%3Don"
        error = refusal(url)
        assert error.what == "cannot create a schema for this run"
        assert error.why == "cannot execute CREATE SCHEMA in a read-only transaction"

    def test_a_server_that_ends_idle_sessions_leaves_ours(self, own_server: OwnServer) -> None:
        url = own_server.url() + "?options=-cidle_session_timeout%3D50ms"
        with served(url) as service, closing(psycopg.connect(url, autocommit=True)) as other:
            process = other.info.backend_pid
            # It went idle after ours did, so ours would have gone before.
            until(lambda: not connected(own_server, process), "the server ends an idle session")
            assert held(own_server, service.address.schema)

    def test_the_environment_can_name_it(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PERFKIT_PG_DSN", own_server.url())
        with served("") as service:
            assert service.component.place == "your server"
            assert own_server.schemas() == [service.address.schema]

    def test_libpqs_own_variables_reach_it(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPORT", str(own_server.port))
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        before = dict(os.environ)
        with served("postgresql://perf@127.0.0.1/shop") as service:
            use(service)
        assert dict(os.environ) == before

    def test_a_server_that_goes_away_is_noticed(self, own_server: OwnServer) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        with served(own_server.url()) as service:
            service.check()
            address = Address(
                service.address.parameters | {"port": str(port)},
                service.address.schema,
                owned=False,
                title=service.address.title,
            )
            with pytest.raises(ComponentLost, match="went away in the middle of the run"):
                PostgresService(address, service.component, None).check()

    def test_two_runs_at_once_do_not_meet(self, own_server: OwnServer) -> None:
        failures: list[BaseException] = []
        together = threading.Barrier(3)

        def run() -> None:
            try:
                with served(own_server.url()) as service:
                    together.wait(30)
                    use(service)
            except BaseException as error:  # noqa: BLE001 (told to the test's own thread)
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert own_server.schemas() == []


def busy(own_server: OwnServer, schema: str) -> bool:
    with own_server.admin() as admin:
        found = admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'active'",
            (schema,),
        )
        return found.fetchone() is not None


def waits_for_lock(own_server: OwnServer, schema: str) -> bool:
    with own_server.admin() as admin:
        found = admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
            (f"DROP SCHEMA%{schema}%",),
        )
        return found.fetchone() is not None


def connected(own_server: OwnServer, process: int) -> bool:
    with own_server.admin() as admin:
        found = admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (process,))
        return found.fetchone() is not None


def held(own_server: OwnServer, schema: str) -> bool:
    with own_server.admin() as admin:
        found = admin.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
            " AND objid::bigint = hashtext(%s)::bigint & 4294967295",
            (schema,),
        )
        return found.fetchone() is not None


class TestDistance:
    def test_a_relay_carries_the_traffic_to_a_users_server(self, own_server: OwnServer) -> None:
        with served(own_server.url(), rtt=0.002) as service:
            address = service.address
            assert address.parameters["port"] != str(own_server.port)
            assert address.parameters["hostaddr"] == "127.0.0.1"
            assert service.component.rtt_asked == 0.002
            assert service.component.rtt is not None
            use(service)
            with Postgres.connect(address) as database:
                row = database.connection.execute("SELECT inet_server_port()").fetchone()
                assert row == (own_server.port,)
                assert database.connection.info.port == int(address.parameters["port"])

    def test_without_a_distance_there_is_no_relay(self, own_server: OwnServer) -> None:
        with served(own_server.url()) as service:
            assert service.address.parameters["port"] == str(own_server.port)
            assert service.component.rtt_asked == 0
            assert service.component.rtt is not None

    def test_a_password_from_a_file_works_through_a_relay(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "pgpass"
        file.write_text(f"127.0.0.1:{own_server.port}:shop:perf:{PASSWORD}\n")
        file.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(file))
        url = f"postgresql://perf@127.0.0.1:{own_server.port}/shop"
        with served(url, rtt=0.001) as service:
            use(service)
        assert own_server.schemas() == []

    def test_of_several_hosts_the_one_that_answered_is_relayed(self, own_server: OwnServer) -> None:
        url = (
            f"postgresql://perf:{PASSWORD}@localhost:1,127.0.0.1:{own_server.port}/shop"
            "?target_session_attrs=primary"
        )
        with served(url, rtt=0.001) as service:
            use(service)

    def test_a_service_works_through_a_relay(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "services"
        file.write_text(
            f"[shop]\nhost=127.0.0.1\nport={own_server.port}\nuser=perf\ndbname=shop\n"
            f"password={PASSWORD}\n"
        )
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        with served("service=shop", rtt=0.001) as service:
            use(service)

    @pytest.mark.parametrize("rtt", [0.0, 0.001])
    def test_a_certificate_is_checked_against_the_servers_name(
        self, encrypted_server: OwnServer, rtt: float
    ) -> None:
        url = (
            f"host=localhost port={encrypted_server.port} user=perf password={PASSWORD}"
            " dbname=shop sslmode=verify-full channel_binding=require"
            f" sslrootcert={encrypted_server.certificate}"
        )
        with served(url, rtt=rtt) as service:
            use(service)
            with Postgres.connect(service.address) as database:
                assert database.connection.pgconn.ssl_in_use
        wrong = url.replace("host=localhost", "host=127.0.0.1")
        assert "127.0.0.1" in refusal(wrong, rtt=rtt).why

    def test_a_relay_that_goes_away_is_noticed(self, place: Path) -> None:
        with served("", rtt=0.001) as service:
            service.check()
            (relay,) = [line for line in processes(place) if "relay" in line]
            os.kill(int(relay.split()[0]), signal.SIGKILL)
            with pytest.raises(ComponentLost):
                service.check()


class TestSecrets:
    def test_an_address_shows_no_password(self, own_server: OwnServer) -> None:
        with served(own_server.url(), rtt=0.001) as service:
            assert PASSWORD not in repr(service.address) + str(service.address) + repr(service)
            assert pickle.loads(pickle.dumps(service.address)) == service.address
            with Postgres.connect(service.address) as database:
                assert PASSWORD not in f"{database} {database!r}"

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://perf:{password}@127.0.0.1:{port}/shop",
            "postgresql://perf:{password}@127.0.0.1:1/shop",
            "postgresql://perf:{password}@127.0.0.1:{port}/nowhere",
            "postgresql://perf:{password}@[127.0.0.1:{port}/shop",
            "postgresql://perf:{password}@127.0.0.1:{port}/shop?nonsense={password}",
            "postgresql://perf:{password}%zz@127.0.0.1:{port}/shop",
            "postgresql://perf:{password}@127.0.0.1:{port}/shop?sslmode={password}",
            "postgresql://perf:{password}@127.0.0.1:{port}/shop?connect_timeout={password}",
            "postgresql://perf:{password}@127.0.0.1:99999999/shop",
            "postgresql://perf:half@{password}@127.0.0.1:{port}/shop",
            "postgresql://perf:half@{password}:x@127.0.0.1:{port}/shop",
            "postgresql://perf:half/{password}@127.0.0.1:{port}/shop",
            "postgresql://127.0.0.1:{password}/half@127.0.0.1:{port}/shop",
            "postgresql://perf:{password}\udcff@127.0.0.1:{port}/shop",
            "host=127.0.0.1 port={port} user=perf password={password}",
            "host=127.0.0.1 port={port} user=perf password='{password}",
            "host=127.0.0.1 port=1,2 user=perf password={password}",
            "mysql://perf:{password}@127.0.0.1:{port}/shop",
            "service={password}",
            "{password}",
        ],
    )
    def test_no_error_repeats_the_password(self, own_server: OwnServer, url: str) -> None:
        secret = "pw-that-nobody-may-see"
        error = refusal(url.format(password=secret, port=own_server.port))
        assert isinstance(error, CannotRun | UsageError)
        assert error.why
        assert error.fix
        if not url.startswith("service="):
            assert secret not in shown(error)

    def test_a_password_of_the_environment_is_not_repeated(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", "perf")
        error = refusal(f"postgresql://perf@127.0.0.1:{own_server.port}/shop")
        assert error.why.endswith('password authentication failed for user "***"')


class TestFarServers:
    @pytest.mark.parametrize(
        ("url", "variables"),
        [
            ("postgresql://u@192.0.2.1:5432/d", {}),
            ("postgresql://u@127.0.0.1,192.0.2.1/d", {}),
            ("postgresql://u@localhost/d?hostaddr=192.0.2.1", {}),
            ("host=/tmp,192.0.2.1 dbname=d", {}),
            ("host=a,b hostaddr=127.0.0.1,192.0.2.1", {}),
            ("host=192.0.2.1,localhost hostaddr=,127.0.0.1", {}),
            ("postgresql:///d", {"PGHOST": "192.0.2.1"}),
            ("postgresql:///d", {"PGHOSTADDR": "192.0.2.1"}),
            ("postgresql://u@localhost/d", {"PGHOSTADDR": "192.0.2.1"}),
            ("dbname=d", {"PGSERVICE": "far"}),
            ("service=far", {}),
            ("postgresql://u@[2001:db8::1]/d", {}),
            ("postgresql://u@no-such-host.invalid/d", {}),
            ("host=" + 70 * "a", {}),
        ],
    )
    def test_are_refused_before_anything_is_sent(
        self,
        url: str,
        variables: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        services = tmp_path / "services"
        services.write_text("[far]\nhost=192.0.2.1\n")
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        tried: list[object] = []
        monkeypatch.setattr(psycopg, "connect", lambda **given: tried.append(given))
        error = refusal(url)
        assert error.what.endswith("is not on this machine")
        assert "--allow-remote" in error.fix
        assert tried == []

    def test_are_reached_when_allowed(self, own_server: OwnServer) -> None:
        """A name that does not resolve to loopback is let through, and libpq decides."""
        url = f"host=far.example hostaddr=127.0.0.1 port={own_server.port} user=perf dbname=shop"
        with served(f"{url} password={PASSWORD}", allow_remote=True) as service:
            use(service)

    def test_are_recognised_by_where_the_connection_went(
        self, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Should a name change its mind between our look and libpq's."""
        monkeypatch.setattr(postgres_service, "_places", lambda _: ["near.example"])
        monkeypatch.setattr(postgres_service, "_is_here", lambda place: place == "near.example")
        assert refusal(own_server.url()).what.endswith("is not on this machine")
        assert own_server.schemas() == []

    @pytest.mark.parametrize(
        "place", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1", "/var/run", "@abstract"]
    )
    def test_are_not_these(self, place: str) -> None:
        assert postgres_service._is_here(place)

    def test_a_socket_is_here_whatever_the_environment_says(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGHOST", "192.0.2.1")
        error = refusal("host=/nonexistent dbname=d")
        assert error.what == "cannot connect to PostgreSQL"


class TestTheEmbeddedServer:
    def test_the_users_variables_do_not_disturb_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: Path
    ) -> None:
        services = tmp_path / "services"
        services.write_text("[far]\nsslmode=verify-full\nclient_encoding=LATIN1\n")
        disturbing = {
            "PGHOST": "192.0.2.1",
            "PGHOSTADDR": "192.0.2.1",
            "PGPORT": "1",
            "PGUSER": "nobody",
            "PGPASSWORD": "wrong",
            "PGDATABASE": "nowhere",
            "PGSSLMODE": "require",
            "PGSSLNEGOTIATION": "direct",
            "PGSSLMINPROTOCOLVERSION": "nonsense",
            "PGGSSENCMODE": "require",
            "PGCHANNELBINDING": "require",
            "PGREQUIREAUTH": "none",
            "PGTARGETSESSIONATTRS": "standby",
            "PGCLIENTENCODING": "LATIN1",
            "PGDATESTYLE": "SQL, DMY",
            "PGTZ": "Asia/Tokyo",
            "PGOPTIONS": "-c default_transaction_read_only=on",
            "PGSERVICE": "nowhere",
            "PGSERVICEFILE": str(services),
            "PGCONNECT_TIMEOUT": "nonsense",
            "PGAPPNAME": "disturbing",
        }
        for name, value in disturbing.items():
            monkeypatch.setenv(name, value)
        with served("embedded") as service:
            use(service)
            with Postgres.connect(service.address) as database:
                with database.counting() as work:
                    database.connection.execute("SELECT 1")
                assert work["statements"].witness == "pg_stat_statements"
                shown = [
                    database.connection.execute(f"SHOW {name}").fetchone()
                    for name in ("client_encoding", "datestyle", "timezone")
                ]
            service.check()
        assert shown == [("UTF8",), ("ISO, MDY",), ("UTC",)]
        assert {name: os.environ[name] for name in disturbing} == disturbing
        assert folders(place) == []
        assert processes(place) == []

    def test_the_systems_server_can_be_wished_for(self) -> None:
        from perfkit.backends import postgres_server

        if postgres_server.system() is None:
            pytest.skip("no PostgreSQL server is installed on this system")
        with served("system") as service:
            assert service.component.place == "system binaries"
            use(service)

    def test_its_end_is_noticed_and_its_log_quoted(self) -> None:
        with served("") as service:
            service.check()
            assert service.server is not None
            os.kill(service.server.process, signal.SIGQUIT)
            until(lambda: not service.server.guarded.alive(), "the server ends")
            with pytest.raises(ComponentLost, match="went away in the middle") as caught:
                service.check()
        assert "received immediate shutdown request" in caught.value.why

    def test_a_lost_connection_does_not_hide_the_error(self) -> None:
        def lose() -> None:
            with served("") as service, Postgres.connect(service.address):
                os.kill(service.server.process, signal.SIGKILL)
                message = "the probe's own"
                raise ValueError(message)

        with pytest.raises(ValueError, match="the probe's own"):
            lose()


def test_a_worker_sees_nothing_but_its_schema(own_server: OwnServer) -> None:
    with served(own_server.url()) as service, Postgres.connect(service.address) as database:
        row = database.connection.execute("SHOW search_path").fetchone()
        assert row == (service.address.schema,)
        assert database.connection.autocommit
        with pytest.raises(psycopg.errors.UndefinedTable):
            database.connection.execute("SELECT * FROM customers")
        with database.pool(3).connection() as another:
            assert another.execute("SHOW search_path").fetchone() == row
            assert another.autocommit
        assert database.pool(3) is database.pool(3)


def test_a_workers_connections_close_with_the_block(own_server: OwnServer) -> None:
    with served(own_server.url()) as service:
        with Postgres.connect(service.address) as database:
            first = database.connection
            with database.pool(2).connection() as another:
                pass
        assert first.closed
        assert another.closed
        until(lambda: own_connections(own_server, service) == 0, "the server sees them go")


def own_connections(own_server: OwnServer, service: PostgresService) -> int:
    with own_server.admin() as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
            (service.address.schema,),
        ).fetchone()
        return int(row[0]) if row else -1


@pytest.mark.parametrize(("said", "tries"), [("Connection refused", 1), (RESTARTING, 3)])
def test_only_a_server_that_starts_again_is_waited_for(
    said: str, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(*_words: object, **_named: object) -> None:
        tried.append(said)
        raise CannotRun("cannot connect to PostgreSQL", why=said if len(tried) < 3 else "gone")

    monkeypatch.setattr(postgres_service, "open_connection", refuse)
    with pytest.raises(CannotRun):
        postgres_service.drop_schema({"parameters": {}, "schema": "perfkit_0"})

    assert len(tried) == tries
