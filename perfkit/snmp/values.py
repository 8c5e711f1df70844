"""Make plain values of what pysnmp decodes."""

from __future__ import annotations

from typing import Any

from pyasn1.type import univ
from pysnmp.proto.api import v2c

from perfkit.snmp.session import Value, Varbind


def varbind(oid: Any, value: Any) -> Varbind:
    """Return a varbind of Python's own types."""
    plain: Value
    # The order matters: to pyasn1, a Null is a sort of OctetString, as is an IpAddress.
    if isinstance(value, univ.Null):
        plain = None
    elif isinstance(value, v2c.IpAddress):
        plain = value.prettyPrint()
    elif isinstance(value, univ.OctetString):
        plain = value.asOctets()
    elif isinstance(value, univ.ObjectIdentifier):
        plain = str(value)
    else:
        plain = int(value)
    return Varbind(str(oid), plain, isinstance(value, v2c.EndOfMibView))
