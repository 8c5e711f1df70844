"""Speak SNMP as a manager: whom to ask, one question, many questions, and what is on the wire.

A `Target` says whom to ask and with which secrets; a `Client` opens a `Session` to it, which asks
one question and returns its varbinds; `poll` reads many known OIDs, or a subtree, in few questions.
`message` reads the envelope of a datagram and needs nothing else. The rest needs the optional part
`snmp`.
"""
