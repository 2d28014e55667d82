"""Local API servers to try everything on, without keys.

Started by the command line as processes of their own; nothing imports them.
"""
