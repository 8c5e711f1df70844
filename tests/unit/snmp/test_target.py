"""Whom a URL and the environment name, and that no secret ever comes out again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfkit.errors import UsageError
from perfkit.snmp.target import Target, read

SECRET = "Zq-secret-9"
PASSWORDS = {
    "PERFKIT_SNMP_AUTH_PASSWORD": "authentic-Zq",
    "PERFKIT_SNMP_PRIVACY_PASSWORD": "private-Zq",
}


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Have these variables of ours and no others; hypothesis wants them anew for each example."""
    others = {name: v for name, v in os.environ.items() if not name.startswith("PERFKIT_SNMP_")}
    with mock.patch.dict(os.environ, others | variables, clear=True):
        yield


def refusal(url: str, **variables: str) -> UsageError:
    with environment(**variables), pytest.raises(UsageError) as caught:
        read(url)
    return caught.value


def said(error: UsageError) -> str:
    # What `raise ... from` or an error on the way would show under --debug, too.
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return "\n".join((str(error), repr(error), error.what, error.why, error.fix))


# Places


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("switch", [("switch", 161)]),
        ("switch:1161", [("switch", 1161)]),
        ("10.0.0.1:1", [("10.0.0.1", 1)]),
        ("10.0.0.1:65535", [("10.0.0.1", 65_535)]),
        ("[::1]", [("::1", 161)]),
        ("[::1]:1161", [("::1", 1161)]),
        ("[fe80::1%25eth0]:5", [("fe80::1%eth0", 5)]),
        ("[fe80::1%eth0]", [("fe80::1%eth0", 161)]),
        ("a,b:7,[2001:db8::1]:8,c", [("a", 161), ("b", 7), ("2001:db8::1", 8), ("c", 161)]),
        ("core_switch-1.example.org.", [("core_switch-1.example.org.", 161)]),
        ("bücher.example", [("bücher.example", 161)]),
        ("switch/", [("switch", 161)]),
    ],
)
@pytest.mark.parametrize("scheme", ["snmp", "snmpv3"])
def test_a_url_names_places(scheme: str, hosts: str, expected: list[tuple[str, int]]) -> None:
    with environment(**PASSWORDS):
        targets = read(f"{scheme}://name@{hosts}")

    assert expected == [(target.host, target.port) for target in targets]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("", "the host of device 2 is neither a name nor an address"),
        (":161", "the host of device 2 is neither a name nor an address"),
        ("-o", "the host of device 2 is neither a name nor an address"),
        ("a..b", "the host of device 2 is neither a name nor an address"),
        ("a" * 64, "the host of device 2 is neither a name nor an address"),
        (".".join(["a" * 60] * 5), "the host of device 2 is neither a name nor an address"),
        ("host;rm", "the host of device 2 is neither a name nor an address"),
        ("host\0", "the host of device 2 is neither a name nor an address"),
        ("ho[st", "the host of device 2 is neither a name nor an address"),
        ("\udcff", "the host of device 2 is neither a name nor an address"),
        ("::1", "device 2 is an IPv6 address without its brackets"),
        ("[::1]161", "device 2 is an IPv6 address without its brackets"),
        ("[::1", "device 2 is an IPv6 address without its brackets"),
        ("[127.0.0.1]", "what is in the brackets of device 2 is no address"),
        ("[]", "what is in the brackets of device 2 is no address"),
        ("[::g]:161", "what is in the brackets of device 2 is no address"),
        ("host:", "the port of device 2 is not a number from 1 to 65535"),
        ("[::1]:", "the port of device 2 is not a number from 1 to 65535"),
        ("host:0", "the port of device 2 is not a number from 1 to 65535"),
        ("host:65536", "the port of device 2 is not a number from 1 to 65535"),
        ("host:-1", "the port of device 2 is not a number from 1 to 65535"),
        ("host:+1", "the port of device 2 is not a number from 1 to 65535"),
        ("host:1_0", "the port of device 2 is not a number from 1 to 65535"),
        ("host:\u0661", "the port of device 2 is not a number from 1 to 65535"),
        ("host:" + "1" * 10_000, "the port of device 2 is not a number from 1 to 65535"),
    ],
)
def test_a_place_that_cannot_be_is_refused_by_its_number(place: str, why: str) -> None:
    error = refusal(f"snmp://{SECRET}@first,{place}")

    assert error.what == "the SNMP URL cannot be read"
    assert why == error.why
    assert "snmp://community@host:161,host2" in error.fix
    assert SECRET not in said(error)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        f"{SECRET}@host",
        f"http://{SECRET}@host",
        f"SNMP://{SECRET}@host",
        f"snmpv2c://{SECRET}@host",
        f"snmp:{SECRET}@host",
        f"{SECRET}://host",
    ],
)
def test_another_scheme_is_refused(url: str) -> None:
    error = refusal(url)

    assert error.why == "it begins with neither snmp:// nor snmpv3://"
    assert SECRET not in said(error)


@pytest.mark.parametrize(
    "rest",
    ["host/path", "host//", "host?a=b", "host#a", "ho st", "host\n", "a\\b", "host/?", "a/b@host"],
)
@pytest.mark.parametrize("scheme", ["snmp", "snmpv3"])
def test_a_path_a_query_and_a_fragment_are_refused(scheme: str, rest: str) -> None:
    error = refusal(f"{scheme}://{SECRET}@{rest}", **PASSWORDS)

    assert "no path, query or fragment" in error.why
    assert SECRET not in said(error)


# Communities


@pytest.mark.parametrize(
    ("written", "community"),
    [
        ("public", "public"),
        ("a%40b%2Fc%3Ad%25", "a@b/c:d%"),
        ("public@100", "public@100"),
        ("caf%C3%A9", "café"),
        ("plus+stays", "plus+stays"),
    ],
)
def test_a_community_is_decoded(written: str, community: str) -> None:
    with environment(PERFKIT_SNMP_COMMUNITY="another"):
        (target,) = read(f"snmp://{written}@host")

    assert Target("host", community=community) == target
    assert (target.version, target.timeout, target.retries) == ("2c", 2.0, 2)


@pytest.mark.parametrize("url", ["snmp://host", "snmp://@host"])
def test_a_community_that_is_not_in_the_url_is_in_the_environment(url: str) -> None:
    with environment(PERFKIT_SNMP_COMMUNITY="a%40b"):
        (target,) = read(url, ask=lambda _: "another")

    assert target.community == "a%40b", "what is in a variable is no part of a URL"


def test_a_community_that_is_nowhere_is_asked_for_once() -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    with environment(PERFKIT_SNMP_COMMUNITY=""):
        targets = read("snmp://host,host2", ask=ask)

    assert asked == ["SNMP community: "]
    assert [target.community for target in targets] == [SECRET, SECRET]


@pytest.mark.parametrize("ask", [None, lambda _prompt: ""])
def test_a_missing_community_names_the_variable(ask: None) -> None:
    with environment(), pytest.raises(UsageError) as caught:
        read("snmp://host", ask=ask)

    assert caught.value.what == "the SNMP community is missing"
    assert caught.value.fix == "export PERFKIT_SNMP_COMMUNITY"


@pytest.mark.parametrize("name", ["%ff", "\udcff", f"{SECRET}%C3"])
def test_a_name_that_is_not_utf_8_is_refused(name: str) -> None:
    error = refusal(f"snmp://{name}@host")

    assert error.why == "what is before the @ is not UTF-8"
    assert SECRET not in said(error)


def test_a_variable_that_is_not_utf_8_is_refused() -> None:
    error = refusal("snmp://host", PERFKIT_SNMP_COMMUNITY=f"{SECRET}\udcff")

    assert (error.what, error.fix) == (
        "the SNMP community is not UTF-8",
        "set PERFKIT_SNMP_COMMUNITY",
    )
    assert SECRET not in said(error)


# Users and passwords


def test_version_3_takes_its_user_from_the_url_and_the_rest_from_the_environment() -> None:
    with environment(**PASSWORDS, PERFKIT_SNMP_USER="another"):
        targets = read("snmpv3://op%40site@host,host2:7", ask=lambda _: "another")

    expected = Target(
        "host",
        version="3",
        user="op@site",
        auth_password="authentic-Zq",
        privacy_password="private-Zq",
        auth="SHA",
        privacy="AES",
    )
    assert expected == targets[0]
    assert (targets[1].host, targets[1].port, targets[1].user) == ("host2", 7, "op@site")


def test_a_user_that_is_not_in_the_url_is_in_the_environment() -> None:
    with environment(**PASSWORDS, PERFKIT_SNMP_USER="operator"):
        (target,) = read("snmpv3://host")

    assert target.user == "operator"


@pytest.mark.parametrize("auth", ["SHA", "SHA224", "SHA256", "SHA384", "SHA512", "MD5"])
@pytest.mark.parametrize("privacy", ["AES", "AES192", "AES256", "DES", "none"])
def test_protocols_are_chosen_by_the_environment_in_any_case(auth: str, privacy: str) -> None:
    variables = {"PERFKIT_SNMP_AUTH": auth.lower(), "PERFKIT_SNMP_PRIVACY": privacy.upper()}
    with environment(**PASSWORDS, **variables):
        (target,) = read("snmpv3://operator@host")

    assert (auth, privacy) == (target.auth, target.privacy)
    assert ("" if privacy == "none" else "private-Zq") == target.privacy_password


def test_without_privacy_no_password_for_it_is_asked() -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "long-enough"

    with environment(PERFKIT_SNMP_PRIVACY="none"):
        read("snmpv3://operator@host", ask=ask)

    assert asked == ["SNMPv3 authentication password: "]


def test_what_version_3_lacks_is_asked_for_in_order() -> None:
    answers = {
        "SNMPv3 user: ": "operator",
        "SNMPv3 authentication password: ": "authentic-1",
        "SNMPv3 privacy password: ": "private-2",
    }
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return answers[prompt]

    with environment():
        (target,) = read("snmpv3://host", ask=ask)

    assert list(answers) == asked
    assert list(answers.values()) == [target.user, target.auth_password, target.privacy_password]


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("PERFKIT_SNMP_USER", "the SNMPv3 user is missing"),
        ("PERFKIT_SNMP_AUTH_PASSWORD", "the SNMPv3 authentication password is missing"),
        ("PERFKIT_SNMP_PRIVACY_PASSWORD", "the SNMPv3 privacy password is missing"),
    ],
)
def test_what_is_missing_for_version_3_is_named(missing: str, what: str) -> None:
    variables = PASSWORDS | {"PERFKIT_SNMP_USER": "operator"}
    del variables[missing]

    error = refusal("snmpv3://host", **variables)

    assert (what, f"export {missing}") == (error.what, error.fix)


@pytest.mark.parametrize("variable", PASSWORDS)
def test_a_password_shorter_than_snmpv3_allows_is_refused(variable: str) -> None:
    with environment(**PASSWORDS | {variable: "eightlet"}):
        read("snmpv3://operator@host")

    error = refusal("snmpv3://operator@host", **PASSWORDS | {variable: "seven-Z"})

    assert error.what.endswith("password is too short")
    assert f"set {variable}" == error.fix
    assert "seven-Z" not in said(error)


def test_a_user_longer_than_snmpv3_has_room_for_is_refused() -> None:
    with environment(**PASSWORDS):
        read(f"snmpv3://{'u' * 32}@host")

    error = refusal(f"snmpv3://{'u' * 31}é@host", **PASSWORDS)

    assert error.what == "the SNMPv3 user is too long"


@pytest.mark.parametrize("variable", ["PERFKIT_SNMP_AUTH", "PERFKIT_SNMP_PRIVACY"])
def test_an_unknown_protocol_is_refused_and_not_repeated(variable: str) -> None:
    error = refusal("snmpv3://operator@host", **PASSWORDS, **{variable: SECRET})

    assert f"the variable {variable} names no protocol" in error.what
    assert error.fix.startswith("one of: ")
    assert SECRET not in said(error)


@pytest.mark.parametrize("scheme", ["snmp", "snmpv3"])
@pytest.mark.parametrize(
    "name", [f"operator:{SECRET}", f":{SECRET}", f"{SECRET}:", f"a@b:{SECRET}"]
)
def test_a_password_in_the_url_is_refused_and_not_repeated(scheme: str, name: str) -> None:
    error = refusal(f"{scheme}://{name}@host", **PASSWORDS)

    assert error.what == "an SNMP URL has no password"
    assert "PERFKIT_SNMP_AUTH_PASSWORD" in error.fix
    assert SECRET not in said(error)


# Secrets stay secrets

secrets = st.text(min_size=1, max_size=20).map(lambda text: f"Zq{text}9%Zq")
"""Nothing that a text of ours holds by chance."""


@given(secrets, secrets, secrets)
def test_a_target_shows_no_secret(community: str, auth: str, privacy: str) -> None:
    target = Target("host", community=community, auth_password=auth, privacy_password=privacy)

    for shown in (str(target), repr(target), f"{target}", repr([target]), f"{target!s}"):
        assert "Zq" not in shown


def test_a_target_is_shown_by_its_place() -> None:
    assert str(Target("switch", port=7)) == "switch:7"
    assert str(Target("::1")) == "[::1]:161"


def test_a_target_stays_what_it_is() -> None:
    with pytest.raises(FrozenInstanceError):
        Target("host").community = "b"  # type: ignore[misc]


def shown(url: str) -> str:
    """Return all that is to be seen of what a URL says, or of why it cannot be read."""
    try:
        return " ".join(map(str, read(url)))
    except UsageError as error:
        return said(error)


SHAPES = ["snmp://{}@{}", "snmpv3://{}@{}", "snmp://{1}", "http://{}@{}", "{}@{}", "{}"]


@given(
    secrets | secrets.map(lambda text: quote(text, safe="")),
    st.sampled_from(SHAPES),
    st.text(max_size=20),
)
@example("Zq@Zq", "snmp://{}@{}", "host:99999")
@example("Zq:Zq", "snmp://{}@{}", "host")
@example("Zq", "snmp://{}@{}", "host/Zq")
def test_no_url_however_wrong_is_repeated(secret: str, shape: str, hosts: str) -> None:
    with environment(**PASSWORDS, PERFKIT_SNMP_COMMUNITY="a-Zq"):
        assert "Zq" not in shown(shape.format(secret, hosts))


@given(
    st.dictionaries(
        st.sampled_from(
            [*PASSWORDS, "PERFKIT_SNMP_USER", "PERFKIT_SNMP_AUTH", "PERFKIT_SNMP_PRIVACY"]
        ),
        secrets.filter(str.isprintable),
    )
)
def test_no_variable_however_wrong_is_repeated(variables: dict[str, str]) -> None:
    with environment(**variables):
        assert "Zq" not in shown("snmpv3://operator@host")
