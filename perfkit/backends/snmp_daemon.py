"""Net-snmp's snmpd as one simulated device: found, and told what to serve.

The interface table and the ARP table are ours (see `snmp_pass.py`), the same as those of the
embedded agent; the system group is snmpd's own. It listens on loopback only and writes nothing
outside its folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from perfkit.backends import snmp_pass
from perfkit.backends.snmp_table import ARP_TABLE, INTERFACES, Device
from perfkit.errors import CannotRun

# Where it lies on Linux, which is on the search path of the administrator only.
PLACES = "/usr/sbin:/usr/local/sbin"
MODULES = "vacm_conf,usmConf,system_mib,snmp_mib,pass_persist"
"""What it serves. Its own interface table would take precedence over ours."""
SILENT = {
    "1": ("disableSNMPv2c", "disableSNMPv3"),
    "2c": ("disableSNMPv3",),
    "3": ("disableSNMPv1", "disableSNMPv2c"),
}
"""The versions that a device does not speak, by its highest."""
# snmpd splits a command at each blank and knows no quotes; the shell puts the paths together.
READ_TABLES = '/bin/sh -c exec${IFS}"$PERFKIT_PYTHON"${IFS}-P${IFS}"$PERFKIT_SNMP_PASS"'


def find() -> Path:
    """Return where snmpd is; raises CannotRun."""
    found = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:{PLACES}")
    if found is None:
        raise CannotRun(
            "the program snmpd is not installed here",
            why="the backend 'snmpd' runs net-snmp's agent",
            fix="apt-get install snmpd",
        )
    return Path(found)


def version() -> str:
    """Return the version of the installed snmpd; raises CannotRun."""
    printed = subprocess.run([find(), "-v"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version:\s*(\S+)", printed)
    return match[1] if match else "?"


def prepare(
    folder: Path, device: Device, port: int, secrets: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Write what snmpd needs into a folder; return its command and environment.

    It runs in the foreground and ends at SIGTERM. Raises CannotRun.
    """
    user = secrets["user"]
    keys = f"SHA {secrets['auth_password']} AES {secrets['privacy_password']}"
    lines = [
        f"agentaddress udp:127.0.0.1:{port}",
        *(f"[snmp] {directive} yes" for directive in SILENT[device.version]),
        # Here a longer answer to GET is none at all, and one to GETBULK is cut to what fits.
        f"[snmp] sendMessageMaxSize {device.max_bytes}",
        f"sysName {device.name}",
        f"rocommunity {secrets['community']} 127.0.0.1",
        f"createUser {user} {keys}",
        f"rouser {user} priv",
        f"pass_persist .{'.'.join(map(str, INTERFACES))} {READ_TABLES}",
        f"pass_persist .{'.'.join(map(str, ARP_TABLE))} {READ_TABLES}",
    ]
    # Not snmpd.conf: snmpd writes that file itself, and would read both.
    configuration = folder / "perfkit.conf"
    write(configuration, "".join(f"{line}\n" for line in lines))
    order = folder / "order.json"
    write(order, json.dumps({"path": sys.path, "device": asdict(device)}))
    command = [
        str(find()),
        # Nothing but our file; in the foreground; warnings to stderr.
        *("-C", "-c", str(configuration), "-f", "-LEw", "-r", "-I", MODULES),
    ]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "SNMP_PERSISTENT_DIR": str(folder),
        # No names are looked up, so no files of names are read.
        "MIBS": "",
        "MIBDIRS": str(folder),
        "PERFKIT_PYTHON": sys.executable,
        "PERFKIT_SNMP_PASS": snmp_pass.__file__,
        "PERFKIT_SNMP_ORDER": str(order),
    }
    return command, environment


def write(file: Path, text: str) -> None:
    """Write a file that nobody else may read: it may hold secrets."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
