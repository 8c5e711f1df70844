"""Recipes and pages: they fit the probes they tell of, their code runs, their commands exist."""

import asyncio
import re
import shlex
import socket
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main
from pysnmp.hlapi.v3arch.asyncio import CommunityData, SnmpEngine, UdpTransportTarget
from snmp_agents import HERE, SECRETS, agents

from perfkit import registry
from perfkit.backends.postgres import Postgres
from perfkit.backends.postgres_service import PostgresService
from perfkit.backends.snmp import Snmp
from perfkit.backends.snmp_table import Device
from perfkit.backends.valkey import Valkey
from perfkit.cli.app import make_app
from perfkit.model import Location
from perfkit.parameters import arguments, read
from perfkit.run.story import HEADINGS

ROOT = Path(__file__).parents[2]
INSTALLED = sorted(registry.entries())
PROBES = [name for name in INSTALLED if registry.entry(name).module.startswith("perfkit.")]
ON_POSTGRES = [name for name in PROBES if registry.probe(name).backend is Postgres]
ON_VALKEY = [name for name in PROBES if registry.probe(name).backend is Valkey]
ON_SNMP = [name for name in PROBES if registry.probe(name).backend is Snmp]
WIDEST = 72
PAGES = sorted(
    [
        *(ROOT / "recipes").glob("*.md"),
        *(page for page in (ROOT / "docs").rglob("*.md") if "generated" not in page.parts),
        *ROOT.glob("*.md"),
    ]
)
STAND_INS = {"NAME", "db-example", "image-resize", "my-probe"}


def recipe(name: str) -> Traversable:
    found = registry.recipe(name)
    assert found is not None, f"there is no recipe of {name}"
    return found


def section(name: str, heading: str) -> str:
    parts = re.split(r"^## (.+)$", recipe(name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)


def test_no_recipe_lacks_a_probe() -> None:
    told = {page.stem for page in (ROOT / "recipes").glob("*.md")}

    assert told <= set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_recipe_begins_with_the_title_of_its_probe(name: str) -> None:
    first = recipe(name).read_text(encoding="utf-8").splitlines()[0]

    assert first == f"# {registry.probe(name).title}"


@pytest.mark.parametrize("name", PROBES)
def test_recipe_has_exactly_the_agreed_headings(name: str) -> None:
    text = recipe(name).read_text(encoding="utf-8")

    assert re.findall(r"^##? .+$", text, flags=re.MULTILINE)[1:] == [
        f"## {heading}" for heading in HEADINGS
    ]
    assert all(section(name, heading).strip() for heading in HEADINGS)


@pytest.mark.parametrize("name", PROBES)
def test_recipe_fits_a_slide(name: str) -> None:
    lines = recipe(name).read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if len(line) > WIDEST] == []


@pytest.mark.parametrize("name", PROBES)
def test_recipe_mentions_every_wrong_lever(name: str) -> None:
    told = section(name, "Wrong levers")
    levers = [v.label for v in registry.probe(name).variants if v.role == "wrong lever"]

    assert [label for label in levers if label not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_compiles(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        compile(block, str(page), "exec")


@pytest.fixture(scope="module")
def service() -> Iterator[PostgresService]:
    with Postgres.serve(Location()) as running:
        yield running


@pytest.fixture
def connection(
    service: PostgresService, request: pytest.FixtureRequest
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees the data of the test's probe, and the server's statistics."""
    probe = registry.probe(request.getfixturevalue("name"))
    with Postgres.connect(service.address) as database:
        assert probe.load is not None
        probe.load(database, probe.params())
        database.connection.execute(
            "SELECT set_config('search_path', current_setting('search_path') || ',public', false)"
        )
        yield database.connection


@pytest.mark.parametrize("name", ON_POSTGRES)
def test_recipes_own_check_tells_the_fix_from_the_naive_code(
    name: str, connection: psycopg.Connection[Any]
) -> None:
    before, after, *_ = blocks(section(name, "Fix"), "python")
    code: dict[str, Any] = {}
    exec("\n".join([after, *blocks(section(name, "Verify"), "python")]), code)
    checks = [check for called, check in code.items() if called.startswith("test_")]
    assert checks

    for check in checks:
        check(connection)
    exec(before, code)

    for check in checks:
        with pytest.raises(AssertionError):
            check(connection)


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of a Valkey server that nobody else uses."""
    with Valkey.serve(Location()) as service, Valkey.connect(service.address) as queue:
        yield queue.client


@pytest.mark.parametrize("name", ON_VALKEY)
def test_recipes_own_check_tells_whole_batches_from_single_messages(name: str, client: Any) -> None:
    before, after, *_ = blocks(section(name, "Fix"), "python")
    code = run("\n".join([after, *blocks(section(name, "Verify"), "python")]))
    checks = [check for called, check in code.items() if called.startswith("test_")]
    assert checks

    for check in checks:
        client.flushall()
        check(client)
    exec(before, code)

    for check in checks:
        client.flushall()
        with pytest.raises(AssertionError):
            check(client)


@pytest.mark.parametrize("name", ON_VALKEY)
def test_recipes_successor_finishes_what_a_killed_consumer_had_read(name: str, client: Any) -> None:
    _, after, *_ = [run(block) for block in blocks(section(name, "Fix"), "python")]
    for number in range(5):
        client.xadd("orders", {"id": number, "shop": 1})
    client.xgroup_create("orders", "enrichers", id=0)
    client.xreadgroup("enrichers", "killed", {"orders": ">"}, count=3)

    after["consume"](client, "successor")
    after["take_over"](client, "successor", 0)

    assert sorted(client.lrange("results", 0, -1)) == [f"{n} of shop 1" for n in range(5)]
    assert client.xpending("orders", "enrichers")["pending"] == 0


PORTS = 30
OCTETS = "1.3.6.1.2.1.2.2.1.10"
Code = dict[str, Any]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a device with more interfaces than an answer of 25 values has."""
    with agents(Device("switch", interfaces=PORTS)) as running:
        yield running.ports[0]


def asking(port: int, ask: Callable[..., Awaitable[Any]], patience: float = 20.0) -> Any:
    """Call what wants an engine, a login and a device, and then close the engine."""

    async def asked() -> Any:
        engine = SnmpEngine()
        try:
            device = await UdpTransportTarget.create((HERE, port), timeout=patience, retries=0)
            return await ask(engine, CommunityData(SECRETS["community"]), device)
        finally:
            engine.close_dispatcher()

    # A library may ask for ever.
    return asyncio.run(asyncio.wait_for(asked(), 60))


def found(name: str, code: Code, port: int, patience: float = 20.0) -> list[Any]:
    """Return the columns that a recipe's code reads: some rows, and all."""

    async def ask(engine: SnmpEngine, login: object, device: object) -> list[Any]:
        if name == "snmp-inventory":
            devices = await code["inventory"](engine, login, [device, device])
            return [column for columns in devices for column in columns]
        ways = engine, login, device, OCTETS
        return [await code["values"](*ways, rows) for rows in (1, 10, PORTS)]

    columns: list[Any] = asking(port, ask, patience)
    return columns


@pytest.mark.parametrize("name", ON_SNMP)
def test_recipe_finds_the_same_before_and_after(name: str, port: int) -> None:
    before, after, *_ = [run(block) for block in blocks(section(name, "Fix"), "python")]

    expected = found(name, before, port)
    assert expected == found(name, after, port)
    assert max(map(len, expected)) == PORTS


@pytest.mark.parametrize("name", ON_SNMP)
@pytest.mark.parametrize("which", ["before", "after"])
def test_recipe_ends_when_a_device_falls_silent(name: str, which: str) -> None:
    before, after, *_ = blocks(section(name, "Fix"), "python")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HERE, 0))

        code = run(before if which == "before" else after)
        with pytest.raises(OSError, match="No SNMP response"):
            found(name, code, silent.getsockname()[1], patience=0.1)


@pytest.mark.parametrize("name", ON_SNMP)
def test_recipes_own_check_counts_the_requests(name: str, port: int) -> None:
    before, after, *_ = blocks(section(name, "Fix"), "python")
    code = run("\n".join([after, *blocks(section(name, "Verify"), "python")]))
    checks = [check for called, check in code.items() if called.startswith("test_")]
    assert checks

    for check in checks:
        asking(port, check)
    exec(before, code)

    for check in checks:
        with pytest.raises(AssertionError):
            asking(port, check)


def run(block: str) -> Code:
    """Run a block of code and return what it defines."""
    code: Code = {}
    exec(block, code)
    return code


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `perfkit` of each command on a page, in blocks and in sentences."""
    text = page.read_text(encoding="utf-8")
    fenced = re.compile(r"^ *```.*?^ *```$", flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced.findall(text) for line in block.splitlines()]
    spoken = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", fenced.sub("", text))]
    for line in [*lines, *spoken]:
        command = re.match(r"\s*(?:\$ )?(?:\.venv/bin/)?perfkit (.+)", line)
        if command:
            yield shlex.split(command[1], comments=True)


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words name, and the words after it; None if there is none."""
    command: Any = typer.main.get_command(make_app())
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        command, words = command.commands.get(words[0]), words[1:]
    return command, words


def complaint(words: list[str]) -> str:
    """Say what is wrong with a command, if anything."""
    command, rest = resolve(words)
    if command is None:
        return f"no command: perfkit {' '.join(words)}"
    known = {"-h", "--help", *(option for each in command.params for option in each.opts)}
    options = [word for word in rest if word.startswith("-") and word != "-"]
    foreign = [word for word in options if word.split("=")[0] not in known]
    if foreign:
        return f"no such option: perfkit {' '.join(words)}"
    named = next(iter(rest), "")
    takes_probe = words[0] in {"probe", "explain", "check"} and re.fullmatch(r"[a-z-]+", named)
    if takes_probe and not named.startswith("-") and named not in {*INSTALLED, *STAND_INS}:
        return f"no such probe: perfkit {' '.join(words)}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_exist(page: Path) -> None:
    assert list(filter(None, map(complaint, commands(page)))) == []


@pytest.mark.parametrize(
    "words",
    [
        "prob db-fetch",
        "probe db-fetsh",
        "probe db-fetch --rt 2ms",
        "new prob x",
        "show --what FILE",
    ],
)
def test_wrong_command_would_be_noticed(words: str) -> None:
    assert complaint(words.split())


def test_parameters_on_the_pages_are_accepted() -> None:
    given = [words for page in PAGES for words in commands(page) if "-s" in words]
    assert given

    for words in given:
        settings = [value for flag, value in pairwise(words) if flag == "-s"]
        read(registry.probe(words[1]).params, arguments(settings, words[1]), words[1])
