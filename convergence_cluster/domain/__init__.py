"""The words of the product as frozen values: spaces, calls, answers, decisions, errors, identity, time.

Imports nothing of ours and does no I/O. A word that two packages use lives here; a word of one package lives there.
"""
