"""Ask, submit, collect, persist, tell: the one writer of a study's state.

Knows no queue, no vendor and no database: those come as the Protocols of `protocols`. No I/O of its own.
"""
