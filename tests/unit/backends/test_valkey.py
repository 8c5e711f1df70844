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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import valkey.connection
from leftovers import alive, processes, until
from valkey_servers import PASSWORD, OwnValkey

from perfkit.backends import valkey_server, valkey_service
from perfkit.backends.valkey import Address, Valkey
from perfkit.backends.valkey_service import RUNS, ValkeyService, read_url
from perfkit.errors import CannotRun, ComponentLost, PerfkitError, UsageError
from perfkit.model import Location, Tally

pytestmark = pytest.mark.usefixtures("without_variables", "place")

HOLD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import psutil
from perfkit.backends.valkey import Valkey
from perfkit.model import Location
with Valkey.serve(Location(sys.argv[2])) as service, Valkey.connect(service.address) as queue:
    queue.client.set(queue.key("numbers"), 1)
    guards = [child.pid for child in psutil.Process().children()]
    print(json.dumps([service.address.prefix, guards]), flush=True)
    sys.stdin.read()
"""
HERE = "127.0.0.1"


@contextmanager
def holder(url: str) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """Serve in another process; yield it, its prefix and its guards."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, json.dumps(sys.path), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            prefix, guards = json.loads(process.stdout.readline())
            yield process, prefix, guards
        finally:
            process.kill()


def served(url: str, **more: Any) -> Any:
    return Valkey.serve(Location(url, **more))


def use(service: ValkeyService) -> None:
    """Do what a probe does: write keys of several kinds, read them."""
    with Valkey.connect(service.address) as queue:
        queue.client.xadd(queue.key("log"), {"order": "1"})
        queue.client.xgroup_create(queue.key("log"), "group", id=0)
        (one, another) = queue.clients(2)
        one.rpush(queue.key("list"), "a", "b")
        assert another.lrange(queue.key("list"), 0, -1) == ["a", "b"]


def refusal(url: str, **more: Any) -> PerfkitError:
    with pytest.raises(PerfkitError) as caught, served(url, **more):
        pass
    return caught.value


def shown(error: PerfkitError) -> str:
    return "\n".join((str(error), repr(error), error.what, error.why, error.fix))


class TestTheUsersOwnServer:
    def test_only_keys_of_ours_are_written_and_they_are_removed(
        self, own_valkey: OwnValkey
    ) -> None:
        before = own_valkey.everything()
        with served(own_valkey.url()) as service:
            use(service)
            prefix = service.address.prefix
            added = own_valkey.everything()["keys"].keys() - before["keys"].keys()
            assert added == {RUNS, f"{prefix}log", f"{prefix}list"}
        assert own_valkey.everything() == before

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_they_are_removed_after(
        self, own_valkey: OwnValkey, error: type[BaseException]
    ) -> None:
        before = own_valkey.everything()
        with ExitStack() as stack:
            service = stack.enter_context(served(own_valkey.url()))
            use(service)
            stack.enter_context(pytest.raises(error))
            stack.push(lambda *_: False)
            raise error
        assert own_valkey.everything() == before

    def test_they_are_removed_when_we_are_killed(self, own_valkey: OwnValkey) -> None:
        before = own_valkey.everything()
        with holder(own_valkey.url()) as (process, prefix, guards):
            assert f"{prefix}numbers" in own_valkey.ours()
            process.kill()
            until(lambda: not any(map(alive, guards)), "the guard ends")
        assert own_valkey.everything() == before

    def test_what_is_left_after_the_guard_was_killed_too_is_swept_after_a_day(
        self, own_valkey: OwnValkey
    ) -> None:
        before = own_valkey.everything()
        with holder(own_valkey.url()) as (process, prefix, guards):
            for guard in guards:
                os.kill(guard, signal.SIGKILL)
            process.kill()
            process.wait()
        with served(own_valkey.url()):
            assert f"{prefix}numbers" in own_valkey.ours()
        with own_valkey.admin() as admin:
            admin.hincrby(RUNS, prefix, -86_401)
        with served(own_valkey.url()):
            assert f"{prefix}numbers" not in own_valkey.ours()
        assert own_valkey.everything() == before

    def test_a_user_who_may_not_is_told_what_to_grant(self, own_valkey: OwnValkey) -> None:
        error = refusal(own_valkey.url("guest"))
        assert isinstance(error, CannotRun)
        assert error.what == "the user of the URL may not do what a probe does"
        assert error.fix == "ACL SETUSER guest ~perfkit:* +@all -@admin +client|list"

    def test_a_user_who_may_not_look_around_can_use_it(self, own_valkey: OwnValkey) -> None:
        with own_valkey.admin() as admin:
            words = ("ACL", "SETUSER", "narrow", "on", f">{PASSWORD}", "~perfkit:*", "+@all")
            admin.execute_command(*words, "-@dangerous")
            try:
                with served(own_valkey.url("narrow")) as service:
                    use(service)
                    assert service.component.version == "unknown"
                    with Valkey.connect(service.address) as queue:
                        with queue.counting() as work:
                            queue.client.ping()
                        assert work["round_trips"] == Tally(1, "valkey-py", {"TCP_INFO": 1})
                        assert "commands" not in work
                        assert work["bytes_out"] == Tally(14, "TCP_INFO")
            finally:
                admin.execute_command("ACL", "DELUSER", "narrow")

    def test_a_read_only_server_is_refused_in_its_own_words(self, own_valkey: OwnValkey) -> None:
        with valkey_server.start(valkey_server.find()) as replica:
            options = replica.options
            url = f"redis://:{options['password']}@{HERE}:{options['port']}"
            with served(url), _client(options) as admin:
                admin.execute_command("CONFIG", "SET", "masterauth", own_valkey.options["password"])
                admin.execute_command("REPLICAOF", HERE, own_valkey.port)
                error = refusal(url)
                admin.execute_command("REPLICAOF", "NO", "ONE")
        assert error.what == "cannot write to the server"
        assert "read only replica" in error.why

    def test_the_environment_can_name_it(
        self, own_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PERFKIT_REDIS_URL", own_valkey.url())
        with served("") as service:
            assert service.component.place == "your server"
            assert own_valkey.ours() != []

    def test_a_server_that_goes_away_is_noticed(self, own_valkey: OwnValkey) -> None:
        with served(own_valkey.url()) as service:
            service.check()
            address = service.address
            gone = replace(address, options={**address.options, "port": unused()})
            with pytest.raises(ComponentLost, match="Valkey went away in the middle of the run"):
                ValkeyService(gone, service.component, None).check()

    def test_two_runs_at_once_do_not_meet(self, own_valkey: OwnValkey) -> None:
        before = own_valkey.everything()
        failures: list[BaseException] = []
        together = threading.Barrier(2)

        def run() -> None:
            try:
                with served(own_valkey.url()) as service:
                    together.wait(30)
                    use(service)
            except BaseException as error:  # noqa: BLE001 (told to the test's own thread)
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert own_valkey.everything() == before


@contextmanager
def _client(options: dict[str, Any]) -> Iterator[Any]:
    with Valkey.connect(Address(options, "", owned=True, title="")) as queue:
        yield queue.client


def unused() -> int:
    with socket.socket() as nobody:
        nobody.bind((HERE, 0))
        port: int = nobody.getsockname()[1]
        return port


class TestDistance:
    def test_a_relay_carries_the_traffic_to_a_users_server(self, own_valkey: OwnValkey) -> None:
        with served(own_valkey.url(), rtt=0.002) as service:
            assert service.address.options["port"] != own_valkey.port
            assert service.component.rtt_asked == 0.002
            assert service.component.rtt is not None
            assert service.component.rtt > 0.002
            use(service)

    def test_without_a_distance_there_is_no_relay(self, own_valkey: OwnValkey) -> None:
        with served(own_valkey.url()) as service:
            assert service.address.options["port"] == own_valkey.port
            assert service.component.rtt_asked == 0

    @pytest.mark.parametrize("rtt", [0.0, 0.001])
    def test_a_socket_in_the_file_system_is_a_server_too(
        self, monkeypatch: pytest.MonkeyPatch, place: Path, rtt: float
    ) -> None:
        place.chmod(0o777)
        monkeypatch.setitem(valkey_server.SETTINGS, "unixsocket", f"{place}/socket")
        with valkey_server.start(valkey_server.find()) as running:
            url = f"unix://{place}/socket?password={running.password}"
            with served(url, rtt=rtt) as service, Valkey.connect(service.address) as queue:
                assert service.component.place == "your server"
                with queue.counting() as work:
                    queue.client.ping()
            assert work["round_trips"].value == 1
            assert work["bytes_out"].value == 14
            assert ("TCP_INFO" in work["round_trips"].others) == bool(rtt)

    def test_there_is_none_to_an_encrypted_server(self) -> None:
        error = refusal("rediss://localhost", rtt=0.001)
        assert isinstance(error, UsageError)
        assert error.what == "there is no distance to an encrypted server"

    def test_there_is_none_to_a_socket_that_only_its_file_guards(self) -> None:
        error = refusal("unix:///run/valkey", rtt=0.001)
        assert isinstance(error, UsageError)
        assert error.what == "there is no distance to a socket without a password"

    def test_a_relay_that_goes_away_is_noticed(self, place: Path) -> None:
        with served("", rtt=0.001) as service:
            service.check()
            (relay,) = [line for line in processes(place) if "relay" in line]
            os.kill(int(relay.split()[0]), signal.SIGKILL)
            with pytest.raises(ComponentLost):
                service.check()


class TestSecrets:
    def test_an_address_shows_no_password(self, own_valkey: OwnValkey) -> None:
        with served(own_valkey.url(), rtt=0.001) as service:
            assert PASSWORD not in repr(service.address) + str(service.address) + repr(service)
            assert pickle.loads(pickle.dumps(service.address)) == service.address
            with Valkey.connect(service.address) as queue:
                assert PASSWORD not in repr(queue) + str(queue)
                assert str(queue) == str(service.component)

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("redis://me:hunter2@localhost:99999999", "no URL of a Valkey or Redis server"),
            ("http://me:hunter2@localhost", "no URL of a Valkey or Redis server"),
            ("hunter2", "no URL of a Valkey or Redis server"),
            ("redis://:1/hunter2@localhost", "is written %40 or %2F"),
            ("redis://localhost?hunter2=1", "a parameter that perfkit does not know"),
            ("redis://localhost?max_connections=1", "a parameter that perfkit does not know"),
            ("unix://?password=hunter2", "it has no path"),
        ],
    )
    def test_a_url_that_cannot_be_read_is_not_repeated(self, url: str, said: str) -> None:
        error = refusal(url)
        assert isinstance(error, UsageError)
        assert said in error.why
        assert "hunter2" not in shown(error)

    def test_a_wrong_password_is_not_repeated(self, own_valkey: OwnValkey) -> None:
        error = refusal(f"redis://perf:hunter2@{HERE}:{own_valkey.port}")
        assert error.what == "cannot connect to Valkey or Redis"
        assert "WRONGPASS" in error.why or "invalid username-password" in error.why
        assert "hunter2" not in shown(error)

    def test_a_server_that_repeats_the_password_is_not_repeated(self) -> None:
        with listening(b"-ERR hunter2?\r\n") as port:
            error = refusal(f"redis://:hunter2@{HERE}:{port}")
        assert "***?" in error.why
        assert "hunter2" not in shown(error)


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    """Listen as a server that is no Valkey: say the same to whoever comes, and hang up."""
    with socket.create_server((HERE, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class TestWhereItIs:
    @pytest.mark.parametrize("host", ["db.invalid", "192.0.2.1"])
    def test_a_server_elsewhere_is_refused(self, host: str) -> None:
        error = refusal(f"redis://:hunter2@{host}/0")
        assert error.what == f"the Valkey server at {host} is not on this machine"
        assert "--allow-remote" in error.fix
        assert "hunter2" not in shown(error)

    def test_it_is_asked_when_the_user_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(valkey_service, "is_here", lambda _: False)
        error = refusal(f"redis://{HERE}:{unused()}", allow_remote=True)
        assert error.what == "cannot connect to Valkey or Redis"
        assert "Connection refused" in error.why

    @pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\0\1\2\r\n"])
    def test_what_is_no_valkey_is_named(self, answer: bytes) -> None:
        with listening(answer) as port:
            error = refusal(f"redis://{HERE}:{port}")
        assert error.what == "cannot connect to Valkey or Redis"
        assert error.why

    @pytest.mark.parametrize(
        ("url", "way", "more"),
        [
            ("redis://localhost", "Connection", {"host": "localhost", "port": 6379}),
            ("valkey://h:7/2", "Connection", {"host": "h", "port": 7, "db": 2}),
            ("rediss://h", "SSLConnection", {"host": "h", "port": 6379}),
            ("valkeys://h/", "SSLConnection", {"host": "h", "port": 6379}),
            ("redis://a:b%40%2F@h", "Connection", {"username": "a", "password": "b@/"}),
            ("unix:///run/valkey?db=3", "UnixDomainSocketConnection", {"path": "/run/valkey"}),
        ],
    )
    def test_every_form_of_url_is_read(self, url: str, way: str, more: dict[str, Any]) -> None:
        options = read_url(url)
        assert options["way"] == way
        assert more.items() <= options.items()

    @pytest.mark.parametrize(
        "url",
        [
            "redis://h?path=/x",
            "redis://h?ssl_ca_certs=x",
            "redis://h?socket_type=abc",
            "redis://h?socket_timeout=-1",
            "redis://h?socket_timeout=nan",
            "redis://h?ssl_check_hostname=maybe",
            "rediss://h?ssl_min_version=9",
            "unix:///x?host=1",
            "unix://",
            "redis://:12#hunter2@h",
            "redis://hunter2?x@h",
            "redis://:hunter2/x@h",
            "redis://h:port",
            "redis://[h",
        ],
    )
    def test_a_url_that_cannot_be_meant_is_refused_and_not_repeated(self, url: str) -> None:
        with pytest.raises(UsageError) as caught:
            read_url(url)
        assert caught.value.what == "the URL of the Valkey server cannot be read"
        assert "hunter2" not in shown(caught.value)

    def test_an_encrypted_server_must_have_the_name_that_it_is_called_by(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[dict[str, Any]] = []
        connect: Any = valkey.connection.SSLConnection.__init__

        def noted(self: Any, **options: Any) -> None:
            given.append(options)
            connect(self, **options)

        monkeypatch.setattr(valkey.connection.SSLConnection, "__init__", noted)
        with listening(b"") as port:
            refusal(f"rediss://localhost:{port}")
            refusal(f"rediss://localhost:{port}?ssl_cert_reqs=none")
        strict = [options.get("ssl_check_hostname") for options in given]
        assert strict == [True, None]


@pytest.fixture(scope="module")
def service() -> Iterator[ValkeyService]:
    with Valkey.serve(Location()) as running:
        yield running


class TestCounting:
    def test_nothing_is_nothing(self, service: ValkeyService) -> None:
        with Valkey.connect(service.address) as queue:
            queue.clients(3)
            for _ in range(3):
                with queue.counting() as work:
                    pass
                assert {name: tally.value for name, tally in work.items()} == dict.fromkeys(
                    ("round_trips", "commands", "bytes_in", "bytes_out"), 0
                )

    def test_all_witnesses_agree_on_what_all_clients_ask(self, service: ValkeyService) -> None:
        with Valkey.connect(service.address) as queue:
            (other,) = queue.clients(1)
            with queue.counting() as work:
                for _ in range(5):
                    queue.client.ping()
                with other.pipeline(transaction=True) as pipe:
                    pipe.ping().ping().execute()
        # PING is 14 bytes, MULTI and EXEC 15 and 14; +PONG 7, +OK 5, +QUEUED 9 and an array of two.
        assert work == {
            "round_trips": Tally(6, "INFO stats", {"valkey-py": 6, "TCP_INFO": 6}),
            "commands": Tally(9, "CLIENT LIST", {"INFO stats": 9}),
            "bytes_in": Tally(76, "CLIENT LIST", {"TCP_INFO": 76}),
            "bytes_out": Tally(127, "CLIENT LIST", {"TCP_INFO": 127}),
        }

    def test_on_a_users_server_other_peoples_work_is_not_counted(
        self, own_valkey: OwnValkey
    ) -> None:
        with (
            served(own_valkey.url()) as service,
            Valkey.connect(service.address) as queue,
            own_valkey.admin() as somebody,
            queue.counting() as work,
        ):
            for _ in range(5):
                queue.client.ping()
                somebody.ping()
        assert work == {
            "round_trips": Tally(5, "valkey-py", {"TCP_INFO": 5}),
            "commands": Tally(5, "CLIENT LIST"),
            "bytes_in": Tally(35, "CLIENT LIST", {"TCP_INFO": 35}),
            "bytes_out": Tally(70, "CLIENT LIST", {"TCP_INFO": 70}),
        }

    def test_a_long_request_is_several_reads_but_one_wait(self, service: ValkeyService) -> None:
        with Valkey.connect(service.address) as queue, queue.counting() as work:
            queue.client.echo("x" * 100_000)
        trips = work["round_trips"]
        assert trips.value > trips.others["valkey-py"] == 1
        assert work["bytes_out"].value > 100_000

    def test_clients_stay_as_they_were(self, service: ValkeyService) -> None:
        with Valkey.connect(service.address) as queue:
            assert queue.clients(2) == queue.clients(3)[:2]
            with queue.counting():
                pass
            connection = queue.client.connection_pool.get_connection("")
            queue.client.connection_pool.release(connection)
            assert not {"send_packed_command", "read_response"} & vars(connection).keys()
