"""Tell whether a host is this machine."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address


def is_here(host: str) -> bool:
    """Return whether a name or address is this machine's; what cannot be looked up is not."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        import socket

        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(host, None)
            return all(ip_address(address[4][0]).is_loopback for address in found)
        return False
