"""Which integers of a range are missing from a file? Exact solvers that read it as a stream.

A solver is a state that numbers are added to: `update` takes a block of them, `merge` adds the
state of another part of the input, `again` ends a pass over it, and `solve` names what is missing,
or raises BrokenPromise or CannotDecode. Needs the optional part `solve`.
"""
