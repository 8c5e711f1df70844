"""The user's own code as a probe: functions and commands that a scenario names.

    run = "mypkg.bench:load_page"        # a function, found from the current folder or its src
    run = ["python", "app.py"]           # a command: a list of words, never a shell
    [run]                                # several, by the names of variants
    old = "mypkg.bench:load_page"        # the first is what the others are held to
    wrong-cache = "mypkg.bench:cached"   # a wrong lever: the name is, or begins with, "wrong"
    new = "mypkg.bench:load_joined"

A `setup` of the same kind is called once before all of them.

Every worker imports this module, so it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from perfkit.backends.commands import Command, Commands
from perfkit.backends.functions import Function, Functions, FunctionsAndMemory
from perfkit.errors import UnreadableFile, UsageError
from perfkit.model import Probe, Role, Variant

Given = bool | int | float | str
"""A parameter as TOML has it."""
Run = str | list[str]
"""A function's reference, or a command's words, as TOML has them."""
Words = str | tuple[str, ...]
"""The same, as they are kept."""
ALONE = "run"
"""What a single variant is called."""
TIMEOUT = 60.0
"""Seconds a call may take, unless the scenario says otherwise."""
FUNCTIONS = {
    "calls": "calls",
    "builtin_calls": "built-in calls",
    "statements": "SQL statements",
    "round_trips": "round trips",
    "rows": "rows",
    "bytes_in": "bytes received",
    "bytes_out": "bytes sent",
    "connections": "connections opened",
}
"""What is counted of functions; SQL only where they talk it."""
MEMORY = {"allocations": "allocations", "peak_memory": "bytes at the peak"}
"""What else is counted of functions on request, each with a call of its own."""
COMMANDS = {"output_bytes": "bytes printed"}
"""What is counted of commands."""

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Workload(NamedTuple):
    """What a scenario says of the user's code; `compared` says whether answers are."""

    title: str
    runs: tuple[tuple[str, Words], ...]
    setup: Words
    """Empty where there is none."""
    params: Mapping[str, Given]
    environment: Mapping[str, str]
    timeout: float
    compared: bool
    memory: bool

    @property
    def name(self) -> str:
        """What is measured: `mypkg.bench:load_page`, or `python app.py`."""
        return ", ".join(dict.fromkeys(shown(run) for _, run in self.runs))


def shown(run: str | Sequence[str]) -> str:
    """Write a function or a command on one line."""
    import shlex

    return run if isinstance(run, str) else shlex.join(run)


def read(
    run: Run | Mapping[str, Run],
    *,
    title: str,
    setup: Run = "",
    params: Mapping[str, Given],
    environment: Mapping[str, str],
    timeout: float,
    compared: bool,
    memory: bool = False,
) -> Workload:
    """Return what a scenario's `run` means; raises UnreadableFile."""
    named = run if isinstance(run, Mapping) else {ALONE: run}
    if not named:
        raise UnreadableFile("[run] is empty", why="it names one function or command a variant")
    _require_names(list(named))
    places = {"run" if name == ALONE else f"run.{name}": one for name, one in named.items()}
    places |= {"setup": setup} if setup else {}
    for place, one in places.items():
        _require_sound(place, one)
    if len({type(one) for one in places.values()}) > 1:
        raise UnreadableFile(
            f"{' and '.join(places)} are both functions and commands",
            why="what is counted of one is not counted of the other",
            fix='make all of them functions ("module:function") or all commands (lists of words)',
        )
    runs = tuple((name, one if isinstance(one, str) else tuple(one)) for name, one in named.items())
    first: Words = setup if isinstance(setup, str) else tuple(setup)
    if not isinstance(runs[0][1], str):
        if memory:
            raise UnreadableFile(
                "memory = true is for functions",
                why="nobody here can look into what a command allocates",
                fix="check peak_rss, which is measured of both",
            )
        first, *rest = _filled([first, *(words for _, words in runs)], params)
        runs = tuple((name, words) for (name, _), words in zip(runs, rest, strict=True))
    return Workload(title, runs, first, dict(params), dict(environment), timeout, compared, memory)


def _is_wrong(name: str) -> bool:
    return re.match(r"wrong([-_]|$)", name) is not None


def _require_names(names: Sequence[str]) -> None:
    """Raise UnreadableFile for names that checks could not tell apart."""
    spelled = [name.replace("_", "-") for name in names]
    fixes = [name for name in spelled[1:] if not _is_wrong(name)]
    for name in spelled:
        if not re.fullmatch(r"[\w-]+", name) or name == "base":
            raise UnreadableFile(
                f"[run] has a variant called {name!r}",
                why="checks name variants: letters, digits and -, and not 'base'",
            )
        if spelled.count(name) > 1:
            raise UnreadableFile(f"[run] has '{name}' twice", why="_ and - are the same there")
    if "naive" in spelled[1:] or "fixed" in spelled[:1] or "fixed" in fixes[1:]:
        raise UnreadableFile(
            f"[run] calls its variants {', '.join(spelled)}",
            why="in checks 'naive' is the first and 'fixed' the next that is not wrong",
            fix="put them in that order, or choose other names",
        )


def _require_sound(place: str, run: Run) -> None:
    if isinstance(run, list):
        if not run or not run[0].strip():
            raise UnreadableFile(f"{place} is an empty command", fix='run = ["python", "app.py"]')
    elif not _REFERENCE.fullmatch(run):
        words = run.split()
        raise UnreadableFile(
            f"{place} = {run!r} is no function",
            why="a function is 'module:name'; a command is a list of words, there is no shell",
            fix=f"run = {words!r}".replace("'", '"')
            if len(words) > 1
            else 'run = "mypkg.bench:load_page"',
        )


def _filled(commands: Sequence[Words], params: Mapping[str, Given]) -> list[Words]:
    """Put parameters into the words of commands, for `{name}`; other braces stay."""
    used: set[str] = set()

    def value(found: re.Match[str]) -> str:
        if found[1] not in params:
            return found[0]
        used.add(found[1])
        return str(params[found[1]])

    filled: list[Words] = [
        tuple(re.sub(r"\{(\w+)\}", value, word) for word in words) for words in commands
    ]
    for name in params:
        if name not in used:
            raise UnreadableFile(
                f"no command has a place for the parameter '{name}'",
                why=f"a command gets it where a word says {{{name}}}",
                fix=f'run = ["python", "app.py", "--{name}={{{name}}}"]',
            )
    return filled


def probe(workload: Workload) -> Probe[Any, Any]:
    """Build the probe; the user's code is only imported by the workers."""
    functions = isinstance(workload.runs[0][1], str)
    setup = _own(workload, "setup", workload.setup) if workload.setup else None
    interpreter = FunctionsAndMemory if workload.memory else Functions
    return Probe(
        name=workload.name,
        title=workload.title,
        backend=interpreter if functions else Commands,
        params=dict,
        work=FUNCTIONS | (MEMORY if workload.memory else {}) if functions else COMMANDS,
        cause="",
        answer=(_reduced if functions else _lines) if workload.compared else _ignored,
        variants=[
            _variant(workload, place, name, run) for place, (name, run) in enumerate(workload.runs)
        ],
        load=setup.load if setup is not None else None,
        source=partial(probe, workload),
    )


def _variant(workload: Workload, place: int, name: str, run: Words) -> Variant[Any, Any]:
    role = Role.NAIVE if not place else Role.WRONG_LEVER if _is_wrong(name) else Role.FIXED
    own = _own(workload, name, run)
    return Variant(role, own.label, own, prepare=own.prepare)


def _own(workload: Workload, name: str, run: Words) -> Function | Command:
    if isinstance(run, str):
        return Function(name, run, workload.params, workload.environment, workload.timeout)
    return Command(name, run, workload.environment, workload.timeout)


def _ignored(_answer: object) -> None:
    """Compare nothing."""


def _lines(printed: bytes) -> list[bytes]:
    """Return what a command printed in lines, however they end, so that a change can be placed."""
    return printed.splitlines()


def _reduced(answer: object) -> object:
    """Return an answer as plain values, which are equal where the answers are.

    The user's classes stay in the worker: another process may not import them, or not the same
    revision of them. What cannot be taken apart is compared by its pickled bytes. Raises UsageError
    for an answer that cannot be compared.
    """
    import msgspec

    try:
        return msgspec.to_builtins(
            answer, order="deterministic", builtin_types=(bytes,), enc_hook=_pickled
        )
    except (TypeError, RecursionError) as error:
        raise _incomparable(answer, error) from error


def _pickled(part: Any) -> object:
    import hashlib
    import pickle

    try:
        data = pickle.dumps(part)
    # Anything can be in an answer, and pickle raises what its own class raises.
    except Exception as error:
        raise _incomparable(part, error) from error
    return [f"{type(part).__module__}.{type(part).__qualname__}", hashlib.sha256(data).hexdigest()]


def _incomparable(answer: object, error: Exception) -> UsageError:
    return UsageError(
        f"an answer that is a {type(answer).__name__} cannot be compared",
        why=f"{type(error).__name__}: {error}",
        fix='return plain values (numbers, texts, lists, dictionaries), or set answer = "ignore"',
    )
