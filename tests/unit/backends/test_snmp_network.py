"""The doors in front of devices: what they count, and one request at a time."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from perfkit.backends import snmp_network
from perfkit.backends.snmp_network import Door, Service, Tally, Way, bind, find_ports

SILENCE = 0.05
"""Seconds in which nothing must come: what would fail here comes at once."""


def get(number: int, oids: int = 1, tag: int = 0xA0, width: int = 2) -> bytes:
    """Write a message of SNMPv2c by hand, its request-id so many bytes wide."""
    varbind = bytes.fromhex("300c06082b060102010103000500")
    varbinds = varbind * oids
    pdu = b"\x02" + bytes([width]) + number.to_bytes(width, "big")
    pdu += b"\x02\x01\x00\x02\x01\x00"
    pdu += b"\x30" + bytes([len(varbinds)]) + varbinds
    body = b"\x02\x01\x01\x04\x06public" + bytes([tag, len(pdu)]) + pdu
    return b"\x30" + bytes([len(body)]) + body


def answer(datagram: bytes) -> bytes:
    """Turn a request into its answer."""
    return datagram.replace(b"public\xa0", b"public\xa2").replace(b"public\xa1", b"public\xa2")


@dataclass
class Scene:
    """A door, its device and a client, all in one loop."""

    door: Door
    device: socket.socket
    client: socket.socket
    ways: OrderedDict[tuple[int, Any], Way]
    origin: tuple[str, int] = ("", 0)

    async def ask(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            await asyncio.get_running_loop().sock_sendall(self.client, datagram)

    async def heard(self) -> bytes:
        """Return what reaches the device next."""
        loop = asyncio.get_running_loop()
        data, self.origin = await asyncio.wait_for(loop.sock_recvfrom(self.device, 65_535), 10)
        return data

    async def say(self, datagram: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self.device, datagram, self.origin)

    async def got(self) -> bytes:
        """Return what reaches the client next."""
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.client, 65_535), 10)

    async def nothing(self, heard: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard(), SILENCE)


@asynccontextmanager
async def scene(service: Service | None = None, delay: float = 0.0) -> AsyncIterator[Scene]:
    ways: OrderedDict[tuple[int, Any], Way] = OrderedDict()
    (front,) = bind(1)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        device.bind(("127.0.0.1", 0))
        client.connect(front.getsockname())
        for each in (device, client):
            each.settimeout(0)
        door = Door(front, device.getsockname(), delay, service, ways)
        door.tally = Tally()
        try:
            yield Scene(door, device, client, ways)
        finally:
            door.close()
            assert not ways


def told(scene: Scene) -> dict[str, Any]:
    assert scene.door.tally is not None
    return scene.door.tally.report()


def test_devices_have_addresses_of_their_own_and_one_port() -> None:
    fronts = bind(3)
    places = [front.getsockname() for front in fronts]
    for front in fronts:
        front.close()

    assert len({host for host, _ in places}) == 3
    assert len({port for _, port in places}) == 1
    assert all(host.startswith("127.") for host, _ in places)


def test_free_ports_are_all_different() -> None:
    """One after the other, the kernel would give one of so many twice."""
    assert len(set(find_ports(500))) == 500


def test_a_door_passes_both_ways_and_counts() -> None:
    async def story() -> None:
        async with scene() as stage:
            await stage.ask(get(300), get(301, oids=3, tag=0xA1))
            for _ in range(2):
                await stage.say(answer(await stage.heard()))
            assert {await stage.got(), await stage.got()} == {
                answer(get(300)),
                answer(get(301, oids=3, tag=0xA1)),
            }
            said = told(stage)
            assert said["kinds"] == {"GET": 1, "GETNEXT": 1}
            assert said["oids"] == 4
            assert (said["retries"], said["lost"], said["dropped"]) == (0, 0, 0)

    asyncio.run(story())


def test_bytes_do_not_depend_on_the_number_of_the_message() -> None:
    tallies = [Tally(), Tally()]
    for tally, datagram in zip(tallies, (get(300), get(5, width=1)), strict=True):
        tally.request(("here", 1), datagram)
        tally.answer(("here", 1), answer(datagram))

    assert tallies[0].bytes_out == tallies[1].bytes_out == len(get(300)) - 2
    assert tallies[0].bytes_in == tallies[1].bytes_in == len(get(300)) - 2


def test_an_answer_to_who_asked_before_is_not_counted() -> None:
    tally = Tally()
    tally.request(("here", 1), get(300))
    tally.answer(("there", 1), answer(get(299, oids=5)))
    tally.answer(("here", 1), answer(get(300)))

    said = tally.report()
    assert (said["oids"], said["bytes_in"], said["lost"]) == (1, len(get(300)) - 2, 0)


def test_what_is_sent_twice_is_a_retry_and_what_is_not_answered_is_lost() -> None:
    async def story() -> None:
        async with scene() as stage:
            await stage.ask(get(300), get(300), get(301))
            for _ in range(2):
                await stage.say(answer(await stage.heard()))
            await stage.heard()
            await stage.got()
            await stage.got()
            said = told(stage)
            assert said["kinds"] == {"GET": 3}
            assert (said["retries"], said["lost"]) == (1, 1)

    asyncio.run(story())


def test_garbage_is_passed_on_and_counted_as_what_it_is() -> None:
    async def story() -> None:
        async with scene(Service(0, 0)) as stage:
            await stage.ask(b"garbage")
            assert await stage.heard() == b"garbage"
            await stage.say(b"rubbish")
            assert await stage.got() == b"rubbish"
            assert told(stage)["kinds"] == {"malformed": 1}
            assert (told(stage)["bytes_out"], told(stage)["bytes_in"]) == (7, 7)

    asyncio.run(story())


def test_a_device_of_ours_gets_one_request_at_a_time() -> None:
    async def story() -> None:
        async with scene(Service(0, 0)) as stage:
            await stage.ask(get(300), get(301))
            assert await stage.heard() == get(300)
            await stage.nothing(stage.heard)
            await stage.say(answer(get(300)))
            assert await stage.got() == answer(get(300))
            assert await stage.heard() == get(301)

    asyncio.run(story())


def test_a_device_of_yours_gets_them_as_they_come() -> None:
    async def story() -> None:
        async with scene() as stage:
            await stage.ask(get(300), get(301))
            assert await stage.heard() == get(300)
            assert await stage.heard() == get(301)

    asyncio.run(story())


def test_the_time_of_a_request_is_charged_before_its_answer_and_the_next() -> None:
    async def story() -> None:
        async with scene(Service(per_request=30.0, per_oid=0)) as stage:
            await stage.ask(get(300), get(301))
            await stage.heard()
            await stage.say(answer(get(300)))
            await stage.nothing(stage.got)
            await stage.nothing(stage.heard)
            assert told(stage)["served"] == 0

    asyncio.run(story())


def test_every_variable_of_the_answer_is_charged() -> None:
    async def story() -> None:
        async with scene(Service(per_request=0, per_oid=30.0)) as stage:
            await stage.ask(get(300))
            await stage.heard()
            await stage.say(answer(get(300, oids=0)))
            await stage.got()
            await stage.ask(get(301))
            await stage.heard()
            await stage.say(answer(get(301, oids=1)))
            await stage.nothing(stage.got)

    asyncio.run(story())


def test_a_request_that_the_device_drops_does_not_hold_up_the_others() -> None:
    async def story() -> None:
        async with scene(Service(0, 0)) as stage:
            await stage.ask(get(300), get(301))
            assert await stage.heard() == get(300)
            assert await stage.heard() == get(301)
            await stage.say(answer(get(300)))
            await stage.say(answer(get(301)))
            assert {await stage.got(), await stage.got()} == {answer(get(300)), answer(get(301))}
            assert told(stage)["lost"] == 0

    asyncio.run(story())


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def story() -> None:
        async with scene(Service(0, 0)) as stage:
            await stage.ask(get(300), get(301))
            assert await stage.heard() == get(300)
            # It is given up, and the next one served.
            assert await stage.heard() == get(301)
            await stage.say(answer(get(300)))
            assert await stage.got() == answer(get(300))
            assert told(stage)["served"] == 0
            await stage.say(answer(get(301)))
            assert await stage.got() == answer(get(301))
            assert told(stage)["served"] == 1

    asyncio.run(story())


def test_a_second_answer_passes_while_the_first_is_held_back() -> None:
    async def story() -> None:
        async with scene(Service(per_request=30.0, per_oid=0)) as stage:
            await stage.ask(get(300))
            await stage.heard()
            await stage.say(answer(get(300)))
            await stage.nothing(stage.got)
            await stage.say(answer(get(299)))
            assert await stage.got() == answer(get(299))

    asyncio.run(story())


def test_a_full_queue_drops_what_comes_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp_network, "QUEUE", 2)

    async def story() -> None:
        async with scene(Service(0, 0)) as stage:
            await stage.ask(*(get(300 + number) for number in range(5)))
            assert await stage.heard() == get(300)
            await stage.nothing(stage.heard)
            assert told(stage)["dropped"] == 2
            assert told(stage)["lost"] == 5

    asyncio.run(story())


def test_ways_that_nobody_used_for_long_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp_network, "SOCKETS", 2)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with scene() as stage:
            for number in range(4):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
                    another.connect(stage.client.getpeername())
                    another.settimeout(0)
                    await loop.sock_sendall(another, get(300 + number))
                    await stage.say(answer(await stage.heard()))
                    got = await asyncio.wait_for(loop.sock_recv(another, 65_535), 10)
                    assert got == answer(get(300 + number))
                assert len(stage.ways) <= 2

    asyncio.run(story())


def test_a_device_that_is_not_there_loses_the_request_and_nothing_else() -> None:
    async def story() -> None:
        async with scene() as stage:
            stage.device.close()
            await stage.ask(get(300), get(301))
            await stage.nothing(stage.got)
            assert told(stage)["lost"] == 2

    asyncio.run(story())


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_distance_keeps_the_order(delay: float) -> None:
    async def story() -> None:
        async with scene(delay=delay) as stage:
            sent = [get(300 + number) for number in range(20)]
            await stage.ask(*sent)
            assert [await stage.heard() for _ in sent] == sent

    asyncio.run(story())


def test_distance_holds_back_both_ways() -> None:
    async def story() -> None:
        async with scene(delay=30.0) as stage:
            await stage.ask(get(300))
            await stage.nothing(stage.heard)
            assert told(stage)["kinds"] == {"GET": 1}

    asyncio.run(story())
