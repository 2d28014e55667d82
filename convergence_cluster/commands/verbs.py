"""Commands of several verbs."""

import argparse


def add_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    """Return the parser of one verb of a command, which says in both its helps what it does."""
    return verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
