"""The command line. Only argparse is imported here; a command's own module is imported when it is the one to run."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from convergence_cluster import __version__
from convergence_cluster.domain.errors import ConvergenceError, SpecError

COMMANDS = {
    "init": "write a first study, with test cases and an evaluator, that runs at once",
    "optimize": "run a study here and print the answer",
    "submit": "run a study where it belongs: on the cluster if one is configured, else here",
    "watch": "follow a study of the cluster until it ends",
    "cancel": "stop a study of the cluster; what is finished is kept",
    "resume": "go on with an interrupted study, making only the missing calls",
    "import": "make a study of a promptfoo configuration",
    "validate": "check a study file without spending anything",
    "estimate": "say how many calls, tokens and USD a study would take, without spending anything",
    "augment": "make more test cases of those given, in other words, each checked",
    "status": "list the studies, or show one",
    "report": "write a study's reports again",
    "compare": "compare the answers of two studies",
    "legacy": "list, show, export or import what earlier studies learned",
    "cache": "say how many answers of earlier calls are kept, or forget them",
    "sandbox": "start a local API to try everything on, without keys",
    "up": "start a whole cluster on this machine, or scale the one that runs",
    "down": "end the cluster on this machine; its studies go on after the next `up`",
    "worker": "make calls for a cluster, until told to stop",
    "coordinate": "decide for the studies of a cluster, until told to stop",
    "flower": "show workers, queues and tasks of a cluster in a browser, read-only",
    "probe": "say whether a coordinator or worker beside this process is well, for liveness probes",
    "info": "say what this is, where it keeps things and which versions it runs on",
}

_MODULES = {"import": "importing"}
"""Commands whose modules have another name."""

_CLUSTER_PACKAGES = ("celery", "kombu", "redis", "flower", "prometheus_client")
_NO_CLUSTER = "this command needs the cluster's packages; install them with: pip install 'convergence-cluster[cluster]'"
_EPILOG = """\
exit codes: 0 answered, 1 failed, 2 wrong usage or study file, 3 no configuration could be run,
            4 a --fail-if condition holds, 130 interrupted (go on with `convergence resume`)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads only get in each other's way
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = next((word for word in words if not word.startswith("-")), None)
    if command == "version":
        words[words.index(command)] = "--version"
        command = None
    try:
        return _run(words, command)
    except ModuleNotFoundError as error:
        if error.name not in _CLUSTER_PACKAGES:
            raise
        print(f"error: {_NO_CLUSTER} (no module {error.name})", file=sys.stderr)
        return 1
    except ConvergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, SpecError) else 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(words: Sequence[str], command: str | None) -> int:
    parser = _build_parser(command)
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    code: int = _module_of(options.command).run(options)
    return code


def _module_of(command: str) -> ModuleType:
    return import_module(f"convergence_cluster.commands.{_MODULES.get(command, command)}")


def _build_parser(command: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convergence",
        description="Find the best configuration of an API for as few paid calls as possible.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"convergence {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, what in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        if name == command:
            _module_of(name).configure(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
