"""The only code that runs a trial's calls: configuration and case -> request -> answer -> metrics.

Reads no clock and no chance of its own; all network I/O is the provider's. The same code runs in process and on
workers.
"""
