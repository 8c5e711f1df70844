"""End a process of ours without taking the interpreter apart."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process at once; what was registered for its end is done, what was written is out.

    Freeing every module first takes time that each command and each sample would pay for; the
    kernel does it for nothing.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 (there is no public way to do only this)
    for stream in (sys.stdout, sys.stderr):
        # A reader that has left has nothing more to hear.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
