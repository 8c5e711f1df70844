"""Simulated SNMP devices for tests, and the datagrams that ask them."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from leftovers import until
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v1, v2c

from perfkit.backends import snmp_agent, snmp_daemon
from perfkit.backends.snmp_table import Device, Oid
from perfkit.errors import CannotRun

HERE = "127.0.0.1"
SECRETS = {
    "community": "s3cret-community",
    "user": "reader",
    "auth_password": "s3cret-auth-password",
    "privacy_password": "s3cret-privacy-password",
}
UP_TIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)


@dataclass(frozen=True)
class Running:
    """A process that is some devices."""

    ports: tuple[int, ...]
    process: subprocess.Popen[str]


@contextmanager
def agents(*devices: Device) -> Iterator[Running]:
    """Serve devices on ports of their own; at the end the process is gone and was silent."""
    with subprocess.Popen(
        [sys.executable, "-P", snmp_agent.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            order = {"path": sys.path, "devices": [asdict(device) for device in devices]}
            process.stdin.write(json.dumps(order | SECRETS) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield Running(tuple(json.loads(line)["ports"]), process)
            process.stdin.close()
            assert process.wait(30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@contextmanager
def daemon(device: Device, folder: Path) -> Iterator[Running]:
    """Serve a device by snmpd, on a port of its own; at the end its process is gone."""
    try:
        snmp_daemon.find()
    except CannotRun:
        pytest.skip("needs snmpd: apt-get install snmpd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    command, environment = snmp_daemon.prepare(folder, device, port, SECRETS)
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=log, text=True
        ) as process,
    ):
        try:
            until(lambda: listens(process, port), "snmpd listens")
            yield Running((port,), process)
            process.terminate()
            process.wait(30)
        finally:
            process.kill()


def listens(process: subprocess.Popen[str], port: int) -> bool:
    """Say whether somebody listens on a UDP port; a closed one is refused."""
    assert process.poll() is None, "snmpd has ended"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((HERE, port))
        client.settimeout(0.05)
        client.send(b"nothing")
        try:
            client.recv(1)
        except ConnectionRefusedError:
            return False
        except TimeoutError:
            return True
    return True


class Answer(NamedTuple):
    """What came back."""

    request: int
    status: int
    position: int
    """The place of the varbind that is to blame, from 1; or 0."""
    varbinds: list[tuple[Oid, object]]
    """Values as the library has them: comparable to plain ones, and to others by type."""


class Manager:
    """Ask one device by datagrams made by hand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((HERE, port))
        self._socket.settimeout(30)
        self._numbers = itertools.count(0x5EED_0000)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        self._socket.send(datagram)

    def receive(self) -> bytes:
        return self._socket.recv(65_536)

    def ask(
        self,
        kind: str,
        *oids: Oid,
        version: str = "2c",
        bulk: tuple[int, int] | None = None,
    ) -> Answer:
        """Return the answer to this request, and forget those to earlier ones."""
        number = next(self._numbers)
        self.send(request(kind, oids, version=version, bulk=bulk, number=number))
        while True:
            with suppress(UnreadableAnswer):
                answer = read(self.receive())
                if answer.request == number:
                    return answer

    def is_silent(self, datagram: bytes, version: str = "2c") -> bool:
        """Say whether a device answers this: it serves in order, so the next answer tells."""
        number = next(self._numbers)
        self.send(datagram)
        if version == "3":
            self.send(discovery(number))
        else:
            self.send(request("Get", [UP_TIME], version=version, number=number))
        return number.to_bytes(4) in self.receive()


class UnreadableAnswer(Exception):
    """An answer that is no SNMPv1 or v2c message."""


def request(
    kind: str,
    oids: Sequence[Oid],
    *,
    version: str = "2c",
    community: str = SECRETS["community"],
    bulk: tuple[int, int] | None = None,
    number: int = 1,
) -> bytes:
    """Return a request as it is sent; `bulk` are non-repeaters and repetitions."""
    api = v1 if version == "1" else v2c
    pdu = getattr(v2c if kind == "GetBulk" else api, f"{kind}RequestPDU")()
    pdu_api = v2c.apiBulkPDU if kind == "GetBulk" else api.apiPDU
    pdu_api.set_defaults(pdu)
    pdu_api.set_request_id(pdu, number)
    pdu_api.set_varbinds(pdu, [(oid, api.null) for oid in oids])
    if bulk is not None:
        v2c.apiBulkPDU.set_non_repeaters(pdu, bulk[0])
        v2c.apiBulkPDU.set_max_repetitions(pdu, bulk[1])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_version(message, 0 if version == "1" else 1)
    v2c.apiMessage.set_community(message, community)
    v2c.apiMessage.set_pdu(message, pdu)
    encoded: bytes = encoder.encode(message)
    return encoded


def discovery(number: int) -> bytes:
    """Return the message that begins SNMPv3: it asks a device who it is."""
    written = number.to_bytes(4)
    return b"".join(
        [
            bytes.fromhex("303e 020103 3011 0204") + written,
            bytes.fromhex("020300ffe3 040104 020103"),
            bytes.fromhex("0410 300e 0400 020100 020100 0400 0400 0400"),
            bytes.fromhex("3014 0400 0400 a00e 0204") + written,
            bytes.fromhex("020100 020100 3000"),
        ]
    )


def read(datagram: bytes) -> Answer:
    """Return what an answer says; raises UnreadableAnswer."""
    try:
        message, _ = decoder.decode(datagram, asn1Spec=v2c.Message())
        pdu = v2c.apiMessage.get_pdu(message)
        varbinds = [(tuple(oid), value) for oid, value in v2c.apiPDU.get_varbinds(pdu)]
    except Exception as error:
        raise UnreadableAnswer from error
    return Answer(int(pdu[0]), int(pdu[1]), int(pdu[2]), varbinds)


def walk(manager: Manager, root: Oid, repetitions: int) -> list[tuple[Oid, object]]:
    """Return all below an OID, by GETBULK."""
    found: list[tuple[Oid, object]] = []
    last = root
    while True:
        for oid, value in manager.ask("GetBulk", last, bulk=(0, repetitions)).varbinds:
            if oid[: len(root)] != root or isinstance(value, v2c.EndOfMibView):
                return found
            assert oid > last, "the OIDs do not increase"
            found.append((oid, value))
            last = oid
