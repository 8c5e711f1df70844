"""Whom to ask over SNMP, and with which secrets: from a URL, the environment, or a prompt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote

from perfkit.errors import UsageError

COMMUNITY = "PERFKIT_SNMP_COMMUNITY"
USER = "PERFKIT_SNMP_USER"
AUTH_PASSWORD = "PERFKIT_SNMP_AUTH_PASSWORD"  # noqa: S105 (the name of a variable)
PRIVACY_PASSWORD = "PERFKIT_SNMP_PRIVACY_PASSWORD"  # noqa: S105 (the same)
AUTH = "PERFKIT_SNMP_AUTH"
PRIVACY = "PERFKIT_SNMP_PRIVACY"
AUTHS = ("SHA", "SHA224", "SHA256", "SHA384", "SHA512", "MD5")
PRIVACIES = ("AES", "AES192", "AES256", "DES", "none")
PORT = 161
PORTS = range(1, 2**16)
PASSWORD_LEAST = 8
"""Characters of the shortest password that SNMPv3 allows."""
USER_MOST = 32
"""Bytes of the longest name that SNMPv3 has room for."""
HOST_MOST = 253
"""Characters of the longest name that can be looked up."""


@dataclass(frozen=True, slots=True)
class Target:
    """A device and how to talk to it; only its place is ever shown."""

    host: str
    port: int = PORT
    version: str = "2c"
    """ "1", "2c" or "3"."""
    community: str = field(default="", repr=False)
    user: str = ""
    auth_password: str = field(default="", repr=False)
    privacy_password: str = field(default="", repr=False)
    auth: str = "SHA"
    privacy: str = "AES"
    """ "none" sends signed messages that everybody on the way can read."""
    timeout: float = 2.0
    """Seconds to wait for an answer, each time."""
    retries: int = 2
    behind: str = ""
    """What messages call it where host and port are those of a relay."""

    def __str__(self) -> str:
        """Write host:port, as a URL would."""
        if self.behind:
            return self.behind
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read(url: str, ask: Callable[[str], str] | None = None) -> tuple[Target, ...]:
    """Read `snmp://community@host[:port][,host...]` or `snmpv3://user@host...` into its devices.

    What the URL does not say is in the environment, or `ask` is called with a prompt for it.
    Raises UsageError, which repeats nothing of the URL: any part of it may be a secret in the
    wrong place.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"snmp", "snmpv3"}:
        raise _unreadable("it begins with neither snmp:// nor snmpv3://")
    if re.search(r"[/?#\\\s]", rest.removesuffix("/")):
        raise _unreadable(
            "it has no path, query or fragment; in a name those signs are %2F, %3F and %23"
        )
    name, _, hosts = rest.removesuffix("/").rpartition("@")
    if ":" in name:
        raise UsageError(
            "an SNMP URL has no password",
            why="other users of this machine see every command line; a colon in a name is %3A",
            fix=f"SNMPv3: set {AUTH_PASSWORD} and {PRIVACY_PASSWORD}",
        )
    places = [_read_place(place, number) for number, place in enumerate(hosts.split(","), start=1)]
    login = _log_in(scheme, _decode(name), ask)
    return tuple(replace(login, host=host, port=port) for host, port in places)


def _read_place(place: str, number: int) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", place)
    if bracketed:
        # RFC 6874 writes the % before an interface's name as %25.
        host, port = bracketed[1].replace("%25", "%"), bracketed[2]
        try:
            IPv6Address(host)
        except AddressValueError:
            raise _unreadable(f"what is in the brackets of device {number} is no address") from None
    else:
        host, separator, after = place.partition(":")
        port = after if separator else None
        if ":" in after:
            raise _unreadable(f"device {number} is an IPv6 address without its brackets")
        if not _is_name(host):
            raise _unreadable(f"the host of device {number} is neither a name nor an address")
    if port is None:
        return host, PORT
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) not in PORTS:
        raise _unreadable(f"the port of device {number} is not a number from 1 to 65535")
    return host, int(port)


def _is_name(host: str) -> bool:
    if len(host) > HOST_MOST or not re.fullmatch(r"\w[\w.-]*", host):
        return False
    try:
        # What this codec refuses, a look-up cannot ask for.
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _decode(name: str) -> str:
    try:
        decoded = unquote(name, errors="strict")
        decoded.encode()
    except UnicodeError:
        raise _unreadable("what is before the @ is not UTF-8") from None
    return decoded


def _log_in(scheme: str, name: str, ask: Callable[[str], str] | None) -> Target:
    """Return how to talk to any of the devices."""
    if scheme == "snmp":
        community = name or _find(COMMUNITY, "SNMP community", ask)
        return Target("", community=community)
    auth, privacy = _choose(AUTH, AUTHS), _choose(PRIVACY, PRIVACIES)
    user = name or _find(USER, "SNMPv3 user", ask)
    if len(user.encode()) > USER_MOST:
        raise UsageError(
            "the SNMPv3 user is too long", why=f"SNMPv3 allows a name of {USER_MOST} bytes"
        )
    secret = _find_password(AUTH_PASSWORD, "SNMPv3 authentication password", ask)
    private = ""
    if privacy != "none":
        private = _find_password(PRIVACY_PASSWORD, "SNMPv3 privacy password", ask)
    return Target(
        "",
        version="3",
        user=user,
        auth_password=secret,
        privacy_password=private,
        auth=auth,
        privacy=privacy,
    )


def _find(variable: str, what: str, ask: Callable[[str], str] | None) -> str:
    found = os.environ.get(variable, "")
    if not found and ask is not None:
        found = ask(f"{what}: ")
    if not found:
        raise UsageError(
            f"the {what} is missing",
            why=f"the variable {variable} is not set",
            fix=f"export {variable}",
        )
    try:
        found.encode()
    except UnicodeError:
        raise UsageError(f"the {what} is not UTF-8", fix=f"set {variable}") from None
    return found


def _find_password(variable: str, what: str, ask: Callable[[str], str] | None) -> str:
    found = _find(variable, what, ask)
    if len(found) < PASSWORD_LEAST:
        raise UsageError(
            f"the {what} is too short",
            why=f"SNMPv3 asks for at least {PASSWORD_LEAST} characters",
            fix=f"set {variable}",
        )
    return found


def _choose(variable: str, known: tuple[str, ...]) -> str:
    """Return the protocol that a variable names, or the first one."""
    named = os.environ.get(variable) or known[0]
    for protocol in known:
        if protocol.lower() == named.lower():
            return protocol
    # Not repeated: it may be a password in the wrong variable.
    raise UsageError(
        f"the variable {variable} names no protocol of SNMPv3 that is known here",
        fix=f"one of: {', '.join(known)}",
    )


def _unreadable(why: str) -> UsageError:
    return UsageError(
        "the SNMP URL cannot be read",
        why=why,
        fix="snmp://community@host:161,host2 or snmpv3://user@host, with passwords in the"
        " environment",
    )
