"""Records in, documents and charts out. Pure: returns text and bytes, writes no file, reads no clock.

Every word that comes from outside (parameter values, prompts, answers, errors) is escaped here, in `markup`, `wording`
and `cells`, and nowhere else.
"""
