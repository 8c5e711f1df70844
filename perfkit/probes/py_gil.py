"""Threads for work in Python: one of them runs, the others wait."""

import hashlib
import hmac
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from perfkit import Bound, NotApplicable, Probe, count, workers
from perfkit.backends.interpreter import (
    Interpreter,
    cores,
    free_threaded,
    gil_is_on,
)


@dataclass(frozen=True)
class Morning:
    """Logins that come at once, each with a password to check."""

    logins: Annotated[int, count("logins", at_most=256)] = 32
    turns: Annotated[
        int, count("turns of the hash for each", at_most=100_000)
    ] = 6_000
    threads: Annotated[
        int, workers("threads or processes", at_most=64)
    ] = 4


Login = tuple[bytes, bytes, int]

probe = Probe(
    name="py-gil",
    title="Threads for work in Python: one runs, the others wait",
    backend=Interpreter,
    params=Morning,
    work={
        "calls": "calls in this process"
        if free_threaded()
        else "calls under one GIL",
        "sent": "bytes to processes",
    },
    cause="calls",
)

HASH = "sha256"
TURN = 0.1
"""Seconds that a thread may run on; Python's own are 0.005."""


def arrive(morning: Morning) -> list[Login]:
    """List the passwords, each with its salt and its turns."""
    return [
        (b"password %d" % number, b"salt %d" % number, morning.turns)
        for number in range(morning.logins)
    ]


def derive(login: Login) -> bytes:
    """Derive the key of a login as RFC 8018 says: PBKDF2."""
    password, salt, turns = login
    keyed = hmac.new(password, digestmod=HASH)
    block = turn(keyed, salt + b"\0\0\0\1")
    key = int.from_bytes(block, "big")
    for _ in range(turns - 1):
        block = turn(keyed, block)
        key ^= int.from_bytes(block, "big")
    return key.to_bytes(len(block), "big")


def turn(keyed: hmac.HMAC, block: bytes) -> bytes:
    """Hash a block once more."""
    again = keyed.copy()
    again.update(block)
    return again.digest()


def derive_natively(login: Login) -> bytes:
    """Derive the same key in C, which needs no GIL for it."""
    return hashlib.pbkdf2_hmac(HASH, *login)


def count_turns(here: Interpreter, morning: Morning) -> None:
    """Say whose calls are to be counted."""
    here.follow(turn)


@probe.naive("one thread", prepare=count_turns)
def derive_in_turn(here: Interpreter, morning: Morning) -> object:
    """Let one login in after the other."""
    return [derive(login) for login in arrive(morning)]


# What people try: more threads, and a knob of theirs.


def count_turns_under_gil(here: Interpreter, morning: Morning) -> None:
    """Leave out what only a GIL makes a wrong lever."""
    if not gil_is_on():
        raise NotApplicable("this Python runs without a GIL")
    count_turns(here, morning)


def one_at_a_time(here: Interpreter, morning: Morning) -> Bound:
    """Predict what threads gain: nothing, whatever their number."""
    return Bound(1, "one thread at a time holds the GIL")


@probe.wrong_lever(
    "threads",
    prepare=count_turns_under_gil,
    bound=one_at_a_time,
    why="One thread at a time holds the GIL; the others wait for it.",
)
def derive_in_threads(here: Interpreter, morning: Morning) -> object:
    """Give the logins to threads."""
    with ThreadPoolExecutor(morning.threads) as pool:
        return list(pool.map(derive, arrive(morning)))


@probe.wrong_lever(
    "longer turns",
    prepare=count_turns_under_gil,
    bound=one_at_a_time,
    why="The GIL changes hands less often, and there is still one.",
)
def derive_in_longer_turns(
    here: Interpreter, morning: Morning
) -> object:
    """Let a thread keep the GIL for longer."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        return derive_in_threads(here, morning)
    finally:
        sys.setswitchinterval(before)


# What helps: leave Python, or use several of them.


@probe.fixed(
    "native code",
    prepare=count_turns,
    why="It is compiled; threads have no part in this gain.",
)
def derive_in_c(here: Interpreter, morning: Morning) -> object:
    """Let C take the turns, in one thread."""
    return [derive_natively(login) for login in arrive(morning)]


@probe.fixed(
    "native, threads",
    prepare=count_turns,
    why="The C code lets go of the GIL, so threads add to its gain.",
)
def derive_in_c_in_threads(
    here: Interpreter, morning: Morning
) -> object:
    """Let C take the turns, in as many threads as before."""
    with ThreadPoolExecutor(morning.threads) as pool:
        return list(pool.map(derive_natively, arrive(morning)))


def open_processes(here: Interpreter, morning: Morning) -> None:
    """Start the processes before the clock, as a server would."""
    here.open_processes(morning.threads)
    count_turns(here, morning)


def a_core_each(here: Interpreter, morning: Morning) -> Bound:
    """Predict what working at once gains, while there are cores."""
    busy, there = min(morning.threads, morning.logins), cores()
    return Bound(min(busy, there), f"{busy} at work, cores: {there}")


@probe.fixed(
    "processes",
    prepare=open_processes,
    bound=a_core_each,
    why="Each process has a GIL of its own; its logins are copied.",
)
def derive_in_processes(here: Interpreter, morning: Morning) -> object:
    """Give the logins to processes."""
    return here.in_processes(derive, arrive(morning))


def count_turns_without_gil(
    here: Interpreter, morning: Morning
) -> None:
    """Leave out what only a Python without a GIL makes a fix."""
    if gil_is_on():
        raise NotApplicable("this Python has a GIL")
    count_turns(here, morning)


@probe.fixed(
    "threads, no GIL",
    prepare=count_turns_without_gil,
    bound=a_core_each,
    partial=True,
    why="As many calls, but they run at the same time.",
)
def derive_in_free_threads(
    here: Interpreter, morning: Morning
) -> object:
    """Give the logins to threads that need not wait."""
    return derive_in_threads(here, morning)
