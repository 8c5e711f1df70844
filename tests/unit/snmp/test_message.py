"""The envelope of a datagram: as another implementation encoded it, as recorded, and as broken."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from perfkit.snmp.message import Malformed, Message, Pdu, read

NUMBERS = {"1": api.SNMP_VERSION_1, "2c": api.SNMP_VERSION_2C}
REQUESTS = {
    Pdu.GET: "GetRequestPDU",
    Pdu.GET_NEXT: "GetNextRequestPDU",
    Pdu.SET: "SetRequestPDU",
}
LARGEST = 2**31 - 1
SMALLEST = -(2**31)

# Recorded on the loopback interface between net-snmp 5.9's commands (snmpget, snmpbulkget,
# snmpset, snmptrap, snmpinform) and an agent made of pysnmp 7.1 or, where it says so, net-snmp's
# snmpd: what the reader says of each is what the command printed or had been asked to do.
RECORDED = {
    "v3 discovery": (
        (
            "303e0201033011020466f69857020300ffe30401040201030410300e0400020100020100040004000400"
            "301404000400a00e02047f4f84a50201000201003000"
        ),
        Message("3", Pdu.GET, 2135917733, 0, 0, 0),
    ),
    "v3 report of the engine's name": (
        (
            "30650201033011020466f69857020300ffe3040100020103041b3019040b80004fb805766d62bc828002"
            "01020201010400040004003030040b80004fb805766d62bc82800400a81f02047f4f84a5020100020100"
            "3011300f060a2b060106030f01010400410101"
        ),
        Message("3", Pdu.REPORT, 2135917733, 1, 0, 0),
    ),
    "v3 encrypted request": (
        (
            "307c0201033011020466f69856020300ffe304010702010304333031040b80004fb805766d62bc828002"
            "0102020101040470657266040c0c430313e5e5ea0d5409ee160408e0158789edb2846a042fe89a3f5f17"
            "eedb070d4d983d58dae533eb125ef6242d0b4fe3f828e109967088e30ffb239f1e795be2e1edf684c8ab"
        ),
        Message("3", Pdu.ENCRYPTED, 1727436886, 0, 0, 0),
    ),
    "v3 encrypted answer": (
        (
            "30818e0201033011020466f69856020300ffe304010302010304333031040b80004fb805766d62bc8280"
            "020102020101040470657266040c54dac310be535478d5415c1e04080aacbb79a5383441044160c21f47"
            "0674834679ae7c993b0084e87b8bec958331d279fb5badf8cfb21b0895e7daa9a9c61eb30fbbdca37c56"
            "17fbcdb6094fbfa4e0e05ac8aef3ba6c5c07e4"
        ),
        Message("3", Pdu.ENCRYPTED, 1727436886, 0, 0, 0),
    ),
    "v3 signed request, to snmpd": (
        (
            "30818c020103301102040be14342020300ffe30401050201030431302f041180001f888066e2d436bf92"
            "046b00000000020101020101040470657266040c9f3cbc5869adba3ab907400e04003041041180001f88"
            "8066e2d436bf92046b000000000400a02a02040aa04966020100020100301c300c06082b060102010103"
            "000500300c06082b060102010105000500"
        ),
        Message("3", Pdu.GET, 178276710, 2, 0, 0),
    ),
    "v3 signed GETBULK, to snmpd": (
        (
            "307c0201033011020404614c04020300ffe30401050201030431302f041180001f888066e2d436bf9204"
            "6b00000000020101020101040470657266040c04782b97cb38f312d7d643c004003031041180001f8880"
            "66e2d436bf92046b000000000400a51a020452880fbb020100020103300c300a06062b06010201010500"
        ),
        Message("3", Pdu.GET_BULK, 1384648635, 1, 0, 3),
    ),
    "v3 signed answer, from snmpd": (
        (
            "308190020103301102040be14342020300ffe30401010201030431302f041180001f888066e2d436bf92"
            "046b00000000020101020101040470657266040cbcc54d18919f4bc45d319ba004003045041180001f88"
            "8066e2d436bf92046b000000000400a22e02040aa049660201000201003020300e06082b060102010103"
            "0043020094300e06082b060102010105000402766d"
        ),
        Message("3", Pdu.RESPONSE, 178276710, 2, 0, 0),
    ),
    "v3 report of a wrong password, from snmpd": (
        (
            "30750201033011020461755448020300ffe304010002010304253023041180001f888066e2d436bf9204"
            "6b00000000020101020101040470657266040004003036041180001f888066e2d436bf92046b00000000"
            "0400a81f020478675e4d0201000201003011300f060a2b060106030f01010500410101"
        ),
        Message("3", Pdu.REPORT, 2020040269, 1, 0, 0),
    ),
    "v3 signed SET, to snmpd": (
        (
            "307f020103301102047d4e2d30020300ffe30401050201030431302f041180001f888066e2d436bf9204"
            "6b00000000020101020102040470657266040ce42950b1529e433159f4f02b04003034041180001f8880"
            "66e2d436bf92046b000000000400a31d02044e938daa020100020100300f300d06082b06010201010500"
            "040178"
        ),
        Message("3", Pdu.SET, 1318292906, 1, 0, 0),
    ),
    "v3 signed refusal (noAccess), from snmpd": (
        (
            "307f020103301102047d4e2d30020300ffe30401010201030431302f041180001f888066e2d436bf9204"
            "6b00000000020101020102040470657266040cf02edbfa709edb8ee8b28b4604003034041180001f8880"
            "66e2d436bf92046b000000000400a21d02044e938daa020106020101300f300d06082b06010201010500"
            "040178"
        ),
        Message("3", Pdu.RESPONSE, 1318292906, 1, 6, 0),
    ),
    "v2c request of two": (
        (
            "303502010104067075626c6963a02802046867c8bb020100020100301a300c06082b0601020101010005"
            "00300a06062b06010909000500"
        ),
        Message("2c", Pdu.GET, 1751632059, 2, 0, 0),
    ),
    "v2c answer without one of two": (
        (
            "304702010104067075626c6963a23a02046867c8bb020100020100302c301e06082b0601020101010004"
            "12706572666b69742064656d6f206167656e74300a06062b06010909008100"
        ),
        Message("2c", Pdu.RESPONSE, 1751632059, 2, 0, 0),
    ),
    "v2c GETBULK": (
        "302a02010104067075626c6963a51d020414e2acd4020100020105300f300d06092b06010201020201010500",
        Message("2c", Pdu.GET_BULK, 350399700, 1, 0, 5),
    ),
    "v2c answer to a GETBULK": (
        (
            "307602010104067075626c6963a269020414e2acd4020100020100305b300f060a2b0601020102020101"
            "01020101300f060a2b06010201020201010202 0102300f060a2b0601020102020101030201033012060a"
            "2b0601020102020102010404657468313012060a2b060102010202010202040465746832"
        ),
        Message("2c", Pdu.RESPONSE, 350399700, 5, 0, 0),
    ),
    "v2c trap": (
        (
            "304502010104067075626c6963a7380204474758c5020100020100302a300f06082b0601020101030043"
            "03455d973017060a2b06010603010104010006092b0601060301010501"
        ),
        Message("2c", Pdu.TRAP2, 1195858117, 2, 0, 0),
    ),
    "v2c inform": (
        (
            "304502010104067075626c6963a63802047c624b8d020100020100302a300f06082b0601020101030043"
            "03455d983017060a2b06010603010104010006092b0601060301010501"
        ),
        Message("2c", Pdu.INFORM, 2086816653, 2, 0, 0),
    ),
    "v1 request of two": (
        (
            "303502010004067075626c6963a02802040d8d9495020100020100301a300c06082b0601020101010005"
            "00300a06062b06010909000500"
        ),
        Message("1", Pdu.GET, 227382421, 2, 0, 0),
    ),
    "v1 refusal (noSuchName)": (
        (
            "303502010004067075626c6963a22802040d8d9495020102020102301a300c06082b0601020101010005"
            "00300a06062b06010909000500"
        ),
        Message("1", Pdu.RESPONSE, 227382421, 2, 2, 0),
    ),
    "v1 trap": (
        (
            "303a02010004067075626c6963a42d06092b06010401bf08020340040a0000010201060201114303455d"
            "96300f300d06082b06010201010500040178"
        ),
        Message("1", Pdu.TRAP, 0, 0, 0, 0),
    ),
}
DATAGRAMS = [bytes.fromhex(text) for text, _ in RECORDED.values()]


def encode(
    version: str,
    name: str,
    request: int = 1,
    varbinds: list[tuple[tuple[int, ...], bytes]] | None = None,
    set_more: Callable[[Any, Any], None] = lambda _module, _pdu: None,
) -> bytes:
    """Encode a message by pysnmp."""
    module = api.PROTOCOL_MODULES[NUMBERS[version]]
    pdu = getattr(module, name)()
    side = module.apiBulkPDU if name == "GetBulkRequestPDU" else module.apiPDU
    side.set_defaults(pdu)
    side.set_request_id(pdu, request)
    side.set_varbinds(pdu, [(oid, module.OctetString(v)) for oid, v in varbinds or []])
    set_more(module, pdu)
    message = module.Message()
    module.apiMessage.set_defaults(message)
    module.apiMessage.set_community(message, "public")
    module.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


def element(tag: int, *parts: bytes) -> bytes:
    """Encode an element of less than 128 bytes."""
    contents = b"".join(parts)
    return bytes([tag, len(contents)]) + contents


def decode(datagram: bytes) -> tuple[str, int, int] | None:
    """Return the version, the request and the number of varbinds that pysnmp sees; or nothing."""
    try:
        number = int(api.decodeMessageVersion(datagram))
        module = api.PROTOCOL_MODULES[number]
        message, rest = decoder.decode(datagram, asn1Spec=module.Message())
        pdu = module.apiMessage.get_pdu(message)
        request = int(module.apiPDU.get_request_id(pdu))
        varbinds = len(module.apiPDU.get_varbinds(pdu))
    except Exception:  # noqa: BLE001 (on broken datagrams it raises TypeError and others, too)
        return None
    return None if rest else ({0: "1", 1: "2c"}[number], request, varbinds)


def mutate(datagram: bytes, chance: random.Random) -> bytes:
    """Return the datagram, or parts of it and of another, with something wrong."""
    new = bytearray(datagram)
    match chance.randrange(5):
        case 0:
            for _ in range(chance.randint(1, 8)):
                new[chance.randrange(len(new))] ^= 1 << chance.randrange(8)
        case 1:
            del new[chance.randrange(len(new)) :]
        case 2:
            other = chance.choice(DATAGRAMS)
            new[chance.randrange(len(new)) :] = other[chance.randrange(len(other)) :]
        case 3:
            # Most small bytes of a message are lengths.
            small = [place for place, byte in enumerate(new) if byte <= len(new)]
            new[chance.choice(small)] = chance.choice((0, 1, 127, 128, 129, 130, 132, 133, 255))
        case 4:
            at = chance.randrange(len(new))
            new[at:at] = chance.randbytes(chance.randint(1, 6))
    return bytes(new)


def calls_of(work: Callable[[], object]) -> int:
    """Count the calls, of Python's and of C's functions, that work makes."""
    seen: Counter[str] = Counter()

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        seen[event] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen["call"] + seen["c_call"]


def fail(datagram: bytes) -> None:
    """Read what is no message, with fewer calls than pytest.raises would make."""
    try:
        read(datagram)
    except Malformed:
        return
    pytest.fail("it is a message")


# As another implementation encodes

requests = st.one_of(
    st.integers(SMALLEST, LARGEST),
    st.sampled_from([SMALLEST, -129, -128, -1, 0, 127, 128, 255, 256, 65_535, LARGEST]),
)
oids = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12).map(lambda t: (1, 3, *t))
varbind_lists = st.lists(st.tuples(oids, st.binary(max_size=300)), max_size=40)
versions = st.sampled_from(["1", "2c"])


@given(versions, st.sampled_from(list(REQUESTS)), requests, varbind_lists)
def test_a_request_is_read_as_it_was_encoded(
    version: str, pdu: Pdu, request: int, varbinds: list[tuple[tuple[int, ...], bytes]]
) -> None:
    datagram = encode(version, REQUESTS[pdu], request, varbinds)

    assert Message(version, pdu, request, len(varbinds), 0, 0) == read(datagram)


@given(versions, requests, varbind_lists, st.integers(0, 5))
def test_an_answer_is_read_with_its_error_status(
    version: str, request: int, varbinds: list[tuple[tuple[int, ...], bytes]], status: int
) -> None:
    name = "GetResponsePDU" if version == "1" else "ResponsePDU"
    datagram = encode(
        version,
        name,
        request,
        varbinds,
        lambda module, pdu: module.apiPDU.set_error_status(pdu, status),
    )

    assert Message(version, Pdu.RESPONSE, request, len(varbinds), status, 0) == read(datagram)


@given(requests, st.integers(0, LARGEST), st.integers(0, LARGEST), varbind_lists)
def test_a_getbulk_has_repetitions_and_never_an_error(
    request: int,
    others: int,
    repetitions: int,
    varbinds: list[tuple[tuple[int, ...], bytes]],
) -> None:
    def ask_many(module: Any, pdu: Any) -> None:
        module.apiBulkPDU.set_non_repeaters(pdu, others)
        module.apiBulkPDU.set_max_repetitions(pdu, repetitions)

    datagram = encode("2c", "GetBulkRequestPDU", request, varbinds, ask_many)

    expected = Message("2c", Pdu.GET_BULK, request, len(varbinds), 0, repetitions)
    assert expected == read(datagram)


def test_a_getbulk_within_snmpv1_is_counted_as_what_it_is() -> None:
    datagram = encode("2c", "GetBulkRequestPDU", 7, [((1, 3, 6), b"")])

    as_v1 = datagram.replace(b"\x02\x01\x01\x04\x06", b"\x02\x01\x00\x04\x06", 1)

    assert read(as_v1)[:3] == ("1", Pdu.GET_BULK, 7)


def test_an_answer_of_60_thousand_bytes_is_counted() -> None:
    datagram = encode(
        "2c", "ResponsePDU", 1, [((1, 3, 6, 1, 9, n), bytes(40)) for n in range(1000)]
    )

    assert read(datagram).varbinds == 1000


def test_a_request_may_be_written_with_a_byte_of_signs_before_its_32_bits() -> None:
    datagram = encode("2c", "GetRequestPDU", SMALLEST)
    assert bytes.fromhex("0205ff80000000") in datagram, "pysnmp writes it so"

    assert read(datagram).request == SMALLEST


def test_a_length_may_be_written_with_more_bytes_than_it_needs() -> None:
    short = DATAGRAMS[-3]

    long = b"\x30\x84\x00\x00\x00" + short[1:]

    assert read(short) == read(long)


# As recorded


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_datagram_says_what_was_sent(name: str) -> None:
    text, expected = RECORDED[name]

    assert expected == read(bytes.fromhex(text))


def test_every_kind_of_pdu_and_every_version_has_been_recorded_but_getnext() -> None:
    messages = [message for _, message in RECORDED.values()]

    assert set(Pdu) - {Pdu.GET_NEXT} == {message.pdu for message in messages}
    assert {"1", "2c", "3"} == {message.version for message in messages}


# As broken


@pytest.mark.parametrize("name", RECORDED)
def test_a_datagram_cut_short_anywhere_is_malformed(name: str) -> None:
    datagram = bytes.fromhex(RECORDED[name][0])

    for length in range(len(datagram)):
        with pytest.raises(Malformed):
            read(datagram[:length])


@pytest.mark.parametrize("name", RECORDED)
def test_bytes_after_the_message_are_malformed(name: str) -> None:
    datagram = bytes.fromhex(RECORDED[name][0])

    with pytest.raises(Malformed):
        read(datagram + b"\x00")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        message = read(data)
    except Malformed:
        return
    assert isinstance(message, Message)


def test_ten_thousand_mutated_datagrams_are_messages_or_malformed() -> None:
    chance = random.Random(20_261_123)
    outcomes: Counter[str] = Counter()

    for _ in range(10_000):
        mutated = mutate(chance.choice(DATAGRAMS), chance)
        try:
            message = read(mutated)
        except Malformed:
            outcomes["malformed"] += 1
            continue
        outcomes["message"] += 1
        assert message.version in {"1", "2c", "3"}
        assert 0 <= message.varbinds <= len(mutated) // 2

    # Both happen often, or the mutations prove nothing.
    assert min(outcomes["malformed"], outcomes["message"]) > 1000


def test_mutated_datagrams_are_read_as_another_implementation_reads_them() -> None:
    chance = random.Random(1157)
    plain = [d for d in DATAGRAMS if read(d).version != "3" and read(d).pdu is not Pdu.TRAP]
    agreed = 0

    for _ in range(1000):
        mutated = mutate(chance.choice(plain), chance)
        expected = decode(mutated)
        if expected is None:
            # pysnmp decodes what is in the varbinds too, so it refuses more.
            continue
        try:
            message = read(mutated)
        except Malformed as error:
            # To pyasn1 an integer without bytes is a zero; X.690 has none such.
            assert str(error) == "an integer of no or too many bytes"  # noqa: PT017
            continue
        assert expected == (message.version, message.request, message.varbinds)
        agreed += 1

    assert agreed > 100


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("a version that does not exist", "020101", "020102"),
        ("a version in the wrong type", "020101", "040101"),
        ("a community in the wrong type", "04067075", "02067075"),
        ("a PDU that does not exist", "a51d", "a91d"),
        ("an indefinite length", "302a", "3080"),
        ("a length of five bytes", "302a", "3085000000002a"),
        ("a length that reaches beyond the end", "302a", "307f"),
        ("a length of 4 GiB", "302a", "3084ffffffff"),
        ("a PDU longer than its message", "a51d", "a51e"),
        ("a PDU shorter than what it holds", "a51d", "a51c"),
        (
            "a request of no bytes",
            "302a02010104067075626c6963a51d020414e2acd4",
            "302602010104067075626c6963a5190200",
        ),
        (
            "a request of six bytes",
            "302a02010104067075626c6963a51d020414e2acd4",
            "302c02010104067075626c6963a51f0206000014e2acd4",
        ),
        ("a varbind that is no sequence", "300d0609", "310d0609"),
        ("a varbind longer than the list", "300d0609", "300e0609"),
        ("a varbind shorter than the list", "300d0609", "300c0609"),
    ],
)
def test_what_is_not_snmp_is_malformed(what: str, old: str, new: str) -> None:
    whole = RECORDED["v2c GETBULK"][0]
    assert old in whole, what

    with pytest.raises(Malformed):
        read(bytes.fromhex(whole.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("v3 encrypted request", "040107", "040105"),
        ("v3 signed GETBULK, to snmpd", "040105", "040107"),
        ("v1 trap", "4004", "4003"),
        ("v1 trap", "4303", "0203"),
        ("v1 trap", "300f", "300e"),
    ],
)
def test_a_version_3_message_or_a_trap_of_another_layout_is_malformed(
    name: str, old: str, new: str
) -> None:
    whole = RECORDED[name][0]
    assert old in whole

    with pytest.raises(Malformed):
        read(bytes.fromhex(whole.replace(old, new, 1)))


ONE, TEXT, FLAGS, PRIVATE = (
    bytes.fromhex(text) for text in ("020101", "040161", "040101", "040102")
)
V2C = bytes.fromhex("0201010400")
V3 = bytes.fromhex("020103")
PDU = element(0xA0, ONE, ONE, ONE, element(0x30))
HEADER = element(0x30, ONE, ONE, FLAGS, ONE)
SECRET_HEADER = element(0x30, ONE, ONE, PRIVATE, ONE)


@pytest.mark.parametrize(
    "parts",
    [
        [V2C, PDU],
        [V3, HEADER, TEXT, element(0x30, TEXT, TEXT, PDU)],
        [V3, SECRET_HEADER, TEXT, TEXT],
    ],
)
def test_the_parts_that_the_next_test_breaks_make_messages(parts: list[bytes]) -> None:
    assert read(element(0x30, *parts)).request == 1


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([V2C], id="no PDU"),
        pytest.param([V2C, PDU, ONE], id="bytes after the PDU"),
        pytest.param([V2C, element(0xA0, ONE, ONE, ONE)], id="no varbind list"),
        pytest.param(
            [V2C, element(0xA0, ONE, ONE, ONE, element(0x30), element(0x30))],
            id="bytes after the varbinds",
        ),
        pytest.param([V2C, element(0xA0, ONE, ONE, element(0x30))], id="an integer too few"),
        pytest.param([V3, element(0x30, ONE, ONE, FLAGS), TEXT, TEXT], id="no security model"),
        pytest.param(
            [V3, element(0x30, ONE, ONE, b"\4\0", ONE), TEXT, TEXT],
            id="flags of no bytes",
        ),
        pytest.param(
            [V3, element(0x30, ONE, ONE, b"\4\2\2\2", ONE), TEXT, TEXT], id="flags of two bytes"
        ),
        pytest.param(
            [V3, element(0x30, ONE, ONE, PRIVATE, ONE, TEXT), TEXT],
            id="bytes after the header",
        ),
        pytest.param([V3, SECRET_HEADER, TEXT, TEXT, ONE], id="bytes after what is encrypted"),
        pytest.param([V3, SECRET_HEADER, TEXT], id="nothing encrypted"),
        pytest.param(
            [V3, HEADER, TEXT, element(0x30, TEXT, TEXT, PDU), ONE], id="bytes after what is scoped"
        ),
        pytest.param([V3, HEADER, TEXT, element(0x30, TEXT, TEXT)], id="nothing scoped"),
        pytest.param([V3, HEADER, TEXT, element(0x30, TEXT, TEXT), PDU], id="a PDU out of scope"),
        pytest.param([V3, HEADER, TEXT, element(0x30, TEXT, PDU)], id="no context"),
        pytest.param([V3, HEADER, TEXT, PDU], id="no scope"),
    ],
)
def test_a_part_too_many_or_too_few_is_malformed(parts: list[bytes]) -> None:
    with pytest.raises(Malformed):
        read(element(0x30, *parts))


def test_an_indefinite_length_is_malformed_even_where_it_ends_in_time() -> None:
    with pytest.raises(Malformed, match="a length of no or too many bytes"):
        read(b"\x30\x80" + V2C + PDU + b"\0\0")
    with pytest.raises(Malformed, match="a length of no or too many bytes"):
        read(element(0x30, V2C, element(0xA0, ONE, ONE, ONE, b"\x30\x80")))


# As a bomb


def test_sequences_nested_a_million_deep_cost_no_more_than_a_few_steps() -> None:
    bomb = b"\x30\x84\x7f\xff\xff\xff" * 1_000_000
    fitting = b"".join(
        b"\x30\x84" + length.to_bytes(4) for length in range(6 * 1_000_000 - 6, -1, -6)
    )

    for datagram in (bomb, fitting):
        assert calls_of(partial(fail, datagram)) < 50


def test_nesting_inside_a_varbind_is_not_followed() -> None:
    whole = RECORDED["v2c GETBULK"][0]
    plain = bytes.fromhex(whole)
    deep = bytes.fromhex(whole.replace("06092b060102010202010105", "300b30093007300530033001"))

    assert read(plain) == read(deep)
    assert calls_of(lambda: read(plain)) == calls_of(lambda: read(deep))


@pytest.mark.parametrize("length", ["00", "01", "ff", "80", "84ffffffff", "8400000000", "ffff"])
def test_a_million_equal_lengths_end_at_once(length: str) -> None:
    datagram = b"\x30" + bytes.fromhex(length) * 1_000_000

    assert calls_of(partial(fail, datagram)) < 50
