"""Ask/tell mathematics: posterior, bandit, evolution, racing, front, warm start, baselines.

numpy; no I/O, no logging, no clock; chance is a passed Generator.
"""
