"""A Valkey server that is not perfkit's, as the tests of `--backend redis://` see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from perfkit.backends import valkey_server
from perfkit.backends.valkey import open_client
from perfkit.backends.valkey_service import GRANT

PASSWORD = "s3cret/of@the:user"


@dataclass(frozen=True)
class OwnValkey:
    """A server that is not perfkit's: it has users, other people's keys and settings."""

    port: int
    options: dict[str, Any] = field(repr=False)

    def url(self, user: str = "perf", more: str = "") -> str:
        return f"redis://{user}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0{more}"

    def admin(self) -> closing[Any]:
        return closing(open_client(self.options))

    def everything(self) -> dict[str, Any]:
        """Return what the server holds: keys with what is in them, users, settings, resets."""
        with self.admin() as admin:
            return {
                "keys": {key: (admin.dump(key), admin.pttl(key)) for key in admin.keys("*")},
                "users": admin.acl_list(),
                "settings": admin.config_get("*"),
                "counted since": admin.info("commandstats")["cmdstat_acl|setuser"]["calls"],
            }

    def ours(self) -> list[str]:
        """Return the keys that perfkit wrote and did not remove."""
        with self.admin() as admin:
            return sorted(admin.keys("perfkit:*"))


@contextmanager
def own() -> Iterator[OwnValkey]:
    """Run a server and fill it as a user might have done."""
    with valkey_server.start(valkey_server.find()) as running:
        server = OwnValkey(running.port, running.options)
        with server.admin() as admin:
            admin.execute_command(
                *("ACL", "SETUSER", "perf", "on", f">{PASSWORD}", "~perfkit:*", *GRANT.split())
            )
            admin.execute_command(
                *("ACL", "SETUSER", "guest", "on", f">{PASSWORD}", "~guests:*", "+@all")
            )
            admin.set("customers", "Ada, Grace")
            admin.xadd("orders", {"order": "theirs"})
            admin.set("perfkit:notes", "important")
            admin.set("perfkit:0123456789ab:of-another-run", "at work")
        yield server
