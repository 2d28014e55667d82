"""Runs a sandbox as a process: `python -m convergence_cluster.sandbox.serve llm --port 0 --seed 7`.

The name may be an endpoint of a study, `sandbox://llm/v1/chat/completions?speed=10`, with the options in its query.
Prints one line of JSON when it is ready (`endpoint` is where calls go) and stops cleanly on SIGTERM and SIGINT; with
`--until-eof` also when its standard input ends, so that it never outlives whoever started it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from convergence_cluster.sandbox.compress import CompressSandbox
from convergence_cluster.sandbox.endpoint import arguments_of, is_endpoint
from convergence_cluster.sandbox.faults import SHARES, Faults
from convergence_cluster.sandbox.landscapes import LANDSCAPES, landscape
from convergence_cluster.sandbox.llm import LlmSandbox
from convergence_cluster.sandbox.models import prices
from convergence_cluster.sandbox.truth import compress_truth, llm_truth, weighting_of
from convergence_cluster.sandbox.wire import App, listen

DEFAULT_PATHS = {"llm": "/v1/chat/completions", "compress": "/compress"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = build_parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    path = ""
    try:
        if given and is_endpoint(given[0]):
            expanded, path = arguments_of(given[0])
            given = [*expanded, *given[1:]]
        options = parser.parse_args(given)
        faults = faults_of(options)
        if options.truth:
            _print(_truth(options))
            return 0
    except ValueError as error:
        parser.error(str(error))
    try:
        return asyncio.run(_serve(options, faults, path))
    except OSError as error:
        sys.stderr.write(f"cannot serve on 127.0.0.1:{options.port}: {error.strerror}\n")
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the sandbox's own command line."""
    parser = argparse.ArgumentParser(
        prog="convergence sandbox", description="A local API to try everything on.", allow_abbrev=False
    )
    parser.add_argument("name", choices=("llm", "compress"), help="llm: simulated chat models; compress: real work")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw of the simulation")
    parser.add_argument("--landscape", choices=tuple(LANDSCAPES), default="quickstart")
    parser.add_argument("--speed", type=_positive, default=1.0, help="divides every simulated latency")
    parser.add_argument("--latency-ms", type=_not_negative, default=None, help="the same latency for every call")
    parser.add_argument("--until-eof", action="store_true", help="also stop when standard input ends")
    parser.add_argument("--truth", action="store_true", help="print the real optimum and stop")
    parser.add_argument("--top", type=int, default=5, help="how many configurations --truth prints")
    parser.add_argument("--weights", metavar="NAME=WEIGHT,...", help="of quality, latency_ms and cost_usd, for --truth")
    parser.add_argument("--scales", metavar="NAME=VALUE,...", help="latency_ms and cost_usd whose utility is one half")
    shares = parser.add_argument_group("faults of the llm sandbox", "shares of the attempts, from 0 to 1")
    for name in (*SHARES, "slow"):
        shares.add_argument(f"--{name.replace('_', '-')}", type=float, default=0.0, metavar="SHARE")
    shares.add_argument("--slow-s", type=float, default=5.0, help="what a slow answer takes longer")
    shares.add_argument("--retry-after-s", type=float, default=1.0, help="what a 429 asks for")
    shares.add_argument("--requests-per-s", type=float, default=0.0, help="a real limit; 0: none")
    shares.add_argument("--first-attempts", type=int, default=0, help="only these attempts of a call; 0: all")
    shares.add_argument("--infeasible", action="append", default=[], metavar="PARAMETER", help="answer 400 to it")
    return parser


def faults_of(options: argparse.Namespace) -> Faults:
    """Return the fault switches of a command line.

    Raises:
        ValueError: a share is not one.
    """
    names = (*SHARES, "slow", "slow_s", "retry_after_s", "requests_per_s", "first_attempts", "infeasible")
    return Faults().changed({name: getattr(options, name) for name in names})


async def _serve(options: argparse.Namespace, faults: Faults, path: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.until_eof:
        loop.add_reader(sys.stdin.fileno(), _stop_at_eof, stop)
    app = _app(options, faults)
    server = await listen(app, options.port)
    port = server.sockets[0].getsockname()[1]
    _print(json.dumps(_ready(options, port, path)))
    await stop.wait()
    server.close()
    if isinstance(app, CompressSandbox):
        app.close()
    return 0


def _stop_at_eof(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def _app(options: argparse.Namespace, faults: Faults) -> App:
    if options.name == "compress":
        return CompressSandbox()
    return LlmSandbox(
        landscape=landscape(options.landscape),
        seed=options.seed,
        speed=options.speed,
        latency_s=None if options.latency_ms is None else options.latency_ms / 1000.0,
        faults=faults,
    )


def _ready(options: argparse.Namespace, port: int, path: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    endpoint = url + (path or DEFAULT_PATHS[options.name])
    common = {"sandbox": options.name, "port": port, "url": url, "endpoint": endpoint, "pid": os.getpid()}
    if options.name == "compress":
        return common | {"simulation": False, "about": "real codecs on real files of this Python"}
    chosen = landscape(options.landscape)
    return common | {
        "simulation": True,
        "about": "SIMULATION: no real model answers here",
        "landscape": chosen.name,
        "seed": options.seed,
        "n_configurations": sum(1 for _ in chosen.configurations()),
        "n_cases": chosen.n_cases,
        "prices": prices(chosen.grid["model"]),
    }


def _truth(options: argparse.Namespace) -> str:
    if options.name == "compress":
        return compress_truth(options.weights, options.scales, options.top)
    chosen = landscape(options.landscape)
    weighting = weighting_of(options.weights, options.scales, chosen.weighting, options.speed)
    return llm_truth(chosen, weighting, options.speed, options.top)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if value < 0.0:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
