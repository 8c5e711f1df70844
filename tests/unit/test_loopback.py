"""Which hosts are this machine; nothing is looked up outside of it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from perfkit.loopback import is_here


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_is_here(host: str) -> None:
    assert is_here(host)


def test_localhost_is_here_whatever_the_resolver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("looked up"))

    assert is_here("localhost")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%lo", "0.0.0.0"])
def test_any_other_address_is_not(host: str) -> None:
    assert not is_here(host)


@pytest.mark.parametrize(
    ("expected", "addresses"),
    [
        (True, ["127.0.0.1", "::1"]),
        (False, ["127.0.0.1", "192.0.2.1"]),
        (False, ["192.0.2.1"]),
    ],
)
def test_a_name_is_here_when_all_its_addresses_are(
    *, expected: bool, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(host: str, _port: object) -> list[Any]:
        assert host == "switch.example"
        return [(None, None, None, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert expected == is_here("switch.example")


@pytest.mark.parametrize("error", [socket.gaierror("unknown"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_looked_up_is_not_here(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_host: str, _port: object) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert not is_here("switch.example")
