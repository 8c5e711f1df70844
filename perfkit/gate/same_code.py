"""What the self-test runs: the same code under two names, once computing and once waiting."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Annotated

from perfkit.backends.python import Python
from perfkit.model import Probe, count

WORK = {"calls": "calls"}


@dataclass(frozen=True)
class Spin:
    """How long to compute."""

    steps: Annotated[int, count("steps of the loop")] = 40_000


computing = Probe(
    name="computing",
    title="The same loop under two names",
    backend=Python,
    params=Spin,
    work=WORK,
    cause="calls",
)


@computing.naive("the loop")
def spin(_python: Python, params: Spin) -> object:
    """Compute for about three milliseconds."""
    return _spin(params.steps)


@computing.fixed("the same loop")
def spin_again(_python: Python, params: Spin) -> object:
    """Do exactly the same."""
    return _spin(params.steps)


def _spin(steps: int) -> int:
    total = 0
    for step in range(steps):
        total += step * step & 255
    return total


@dataclass(frozen=True)
class Talk:
    """How often to ask."""

    questions: Annotated[int, count("questions, each waiting for its answer")] = 100


waiting = Probe(
    name="waiting",
    title="The same round trips under two names",
    backend=Python,
    params=Talk,
    work=WORK,
    cause="calls",
)


def connect(_python: Python, _params: Talk) -> None:
    """Open the connection to another process that answers."""
    _Peer.open()


class _Peer:
    """The other end of a socket pair, in a process of its own."""

    asking: socket.socket

    @classmethod
    def open(cls) -> None:
        asking, answering = socket.socketpair()
        if not os.fork():
            asking.close()
            while answering.recv(16):
                answering.send(b"yes")
            os._exit(0)
        answering.close()
        cls.asking = asking


@waiting.naive("the round trips", prepare=connect)
def talk(_python: Python, params: Talk) -> object:
    """Ask and wait, again and again."""
    return _talk(params.questions)


@waiting.fixed("the same round trips", prepare=connect)
def talk_again(_python: Python, params: Talk) -> object:
    """Do exactly the same."""
    return _talk(params.questions)


def _talk(questions: int) -> int:
    answered = 0
    for _ in range(questions):
        _Peer.asking.send(b"well?")
        answered += _Peer.asking.recv(16) == b"yes"
    return answered
