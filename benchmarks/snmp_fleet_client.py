"""Poll a fleet once, in a process of its own: run as a script.

It reads one JSON line: `client` and `devices` (the fields of a `Target`). It prints an empty one
when it has asked the first device, and waits for another. Then it polls and prints how many OIDs
were read, seconds of wall and processor time, and the most bytes of memory it had.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from perfkit.snmp import poll
from perfkit.snmp.session import Client
from perfkit.snmp.target import Target

TABLE = "1.3.6.1.2.1.2.2"
REPETITIONS = 25
PEAK = r"VmHWM:\s*(\d+) kB"


async def walk(client: Client, device: Target) -> int:
    """Walk one device's table, and return how many OIDs it has."""
    session = await client.open(device)
    return len(await poll.walk(session, TABLE, REPETITIONS))


async def at_once(devices: Sequence[Target]) -> list[int]:
    """Walk all devices at the same time."""
    client = Client()
    try:
        return await asyncio.gather(*(walk(client, device) for device in devices))
    finally:
        client.close()


async def in_turn(devices: Sequence[Target]) -> list[int]:
    """Walk one device after the other."""
    client = Client()
    try:
        return [await walk(client, device) for device in devices]
    finally:
        client.close()


async def compiled_at_once(devices: Sequence[Target]) -> list[int]:
    """Walk all devices at the same time with gufo-snmp; it does not ask again."""
    from gufo.snmp.aio import SnmpSession

    async def ask(device: Target) -> int:
        session = SnmpSession(
            device.host, device.port, device.community, timeout=device.timeout * 4
        )
        return len([found async for found in session.getbulk(TABLE, REPETITIONS)])

    return await asyncio.gather(*(ask(device) for device in devices))


CLIENTS = {"at once": at_once, "in turn": in_turn, "compiled at once": compiled_at_once}


def main() -> None:
    """Poll as told on stdin."""
    order = json.loads(sys.stdin.readline())
    devices = [Target(**device) for device in order["devices"]]
    poll_fleet = CLIENTS[order["client"]]
    with asyncio.Runner() as runner:
        # What is imported on first use is not the poll.
        runner.run(poll_fleet(devices[:1]))
        print(flush=True)
        sys.stdin.readline()
        begun, spent = time.perf_counter(), time.process_time()
        oids = runner.run(poll_fleet(devices))
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    # Not what getrusage says, which begins with the memory of who started us.
    peak = re.search(PEAK, Path("/proc/self/status").read_text())
    memory = 1024 * int(peak[1]) if peak else 0
    print(json.dumps({"oids": sum(oids), "wall": wall, "cpu": cpu, "memory": memory}))


if __name__ == "__main__":
    main()
