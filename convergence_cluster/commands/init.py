"""`convergence init`: write a first study, its test cases and its evaluator."""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.openapi_source import read_openapi
from convergence_cluster.commands.asking import Terminal
from convergence_cluster.commands.reading import (
    checked,
    read_count,
    read_goal,
    read_models,
    read_name,
    read_price,
    read_text,
    read_unsure_price,
    read_usd,
    read_variable,
)
from convergence_cluster.domain.errors import ConvergenceError, SpecError
from convergence_cluster.drafting.from_openapi import (
    draft_openapi,
    find_operation,
    listing,
    name_of,
    none_searchable,
    searchable,
)
from convergence_cluster.drafting.knobs import is_model
from convergence_cluster.drafting.openapi import OpenApi, Operation
from convergence_cluster.drafting.presets import Preset, draft_preset, preset, presets
from convergence_cluster.drafting.proposing import Proposal, propose
from convergence_cluster.drafting.wishes import GOALS, Wishes
from convergence_cluster.drafting.writing import Draft, key_name
from convergence_cluster.spec.loading import LoadedStudy, load_study

Answer = TypeVar("Answer")

_OPENAPI = "openapi"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: each is a question that need not be asked."""
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to write into; default: the name")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--preset", metavar="NAME", help="start from a shipped study; --list shows them")
    start.add_argument("--from-openapi", metavar="FILE|URL", help="draft from an OpenAPI 3.x document, JSON or YAML")
    parser.add_argument("--operation", metavar="ID", help="which of the document: its operationId, or 'POST /path'")
    parser.add_argument("--list", action="store_true", help="list the presets, or the document's operations, and stop")
    parser.add_argument("--name", type=checked(read_name), help="what the study is called")
    parser.add_argument("--endpoint", metavar="URL", help="where the API is; of a document: what its paths start from")
    parser.add_argument(
        "--key-env", type=checked(read_variable), metavar="NAME", help="environment variable that holds the key"
    )
    parser.add_argument("--key-header", metavar="NAME", help="header that carries the key, if the document names none")
    parser.add_argument("--models", type=checked(read_models), metavar="A,B", help="models to compare")
    parser.add_argument("--goal", choices=list(GOALS), help="what counts most; default: balanced")
    parser.add_argument("--usd", type=checked(read_usd), metavar="USD", help="most that it may spend; default: 1")
    parser.add_argument(
        "--usd-per-call", type=checked(read_price), metavar="USD", help="what a call costs, if no price list knows"
    )
    parser.add_argument("--calls", type=checked(read_count), metavar="N", help="most calls; default: 400")
    parser.add_argument("--workers", type=checked(read_count), metavar="N", help="calls at once; default: 4")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing, take every default")


def run(options: argparse.Namespace) -> int:
    """Ask what was not said, write the files, say what to do next."""
    _check(options)
    terminal = _terminal(options)
    if options.list:
        print("\n".join(_listing(options)))
        return 0
    if terminal is not None:
        terminal.say("A first study, in a few questions. Enter takes what stands in brackets, Ctrl-C leaves.\n")
    draft, name = _draft(options, terminal)
    folder = _ask(options.output, terminal, "Which folder?", name, Path)
    study = _write(draft, folder)
    if terminal is not None:
        terminal.say()
    _report(draft, folder, study)
    return 0


def _draft(options: argparse.Namespace, terminal: Terminal | None) -> tuple[Draft, str]:
    """Return what is to be written, and the study's name."""
    source = _source(options, terminal)
    if isinstance(source, Preset):
        wishes = _ask_preset(options, terminal, source)
        return draft_preset(source, wishes), wishes.name
    wishes = _ask_openapi(options, terminal, source[1])
    return draft_openapi(source[1], wishes), wishes.name


def _terminal(options: argparse.Namespace) -> Terminal | None:
    """Return whom to ask, or None where nobody is there or nothing is to be asked."""
    return Terminal() if not options.yes and sys.stdin.isatty() and sys.stdout.isatty() else None


def _check(options: argparse.Namespace) -> None:
    """Refuse flags that would be left unheard."""
    if not options.from_openapi:
        for name in ("operation", "key_header", "usd_per_call"):
            if getattr(options, name) is not None:
                raise SpecError(f"--{name.replace('_', '-')} is about a document: give --from-openapi FILE|URL as well")


def _check_preset(options: argparse.Namespace, found: Preset) -> None:
    if options.endpoint and found.endpoint is None:
        raise SpecError(f"--endpoint: the preset {found.name} has no single URL; edit the study afterwards")
    if options.models and not found.models:
        raise SpecError(f"--models: the preset {found.name} has prices or conditions for each model; edit the study")
    if options.usd and not found.has_usd:
        raise SpecError(f"--usd: calls of the preset {found.name} have no price; limit them by --calls")


def _listing(options: argparse.Namespace) -> list[str]:
    if options.from_openapi:
        api = read_openapi(options.from_openapi)
        return listing(searchable(api), limit=None) or [str(none_searchable(api))]
    return [f"{each.name:<17} {each.what}" for each in presets()]


def _source(options: argparse.Namespace, terminal: Terminal | None) -> Preset | tuple[OpenApi, Proposal]:
    """Return where to start from: a shipped study, or a document with the proposal for one of its operations."""
    name, address = options.preset, options.from_openapi
    if terminal is not None and name is None and address is None:
        choices = [(each.name, each.what) for each in presets()]
        choices.append((_OPENAPI, "Another HTTP API, from its OpenAPI document"))
        name = terminal.choose("What do you want to tune?", choices, "openai")
        if name == _OPENAPI:
            address = terminal.ask("Which document? File or URL:", "", read_text)
    if address is None:
        return preset(name or "openai")
    api = read_openapi(address)
    return api, propose(api, _operation(api, options, terminal))


def _operation(api: OpenApi, options: argparse.Namespace, terminal: Terminal | None) -> Operation:
    if options.operation:
        return find_operation(api, options.operation)
    found = searchable(api)
    if not found:
        raise none_searchable(api)
    if terminal is None:
        print(f"{found[0][0].label}: the most to search of {len(found)} operations; --operation chooses another")
        return found[0][0]
    terminal.say(f"{api.title}: {len(found)} of {len(api.operations())} operations can be searched")
    choices = [(o.label, f"{n} to search. {o.summary}") for o, n in found[:20]]
    return find_operation(api, terminal.choose("Which operation?", choices, found[0][0].label))


def _ask_preset(options: argparse.Namespace, terminal: Terminal | None, found: Preset) -> Wishes:
    _check_preset(options, found)
    is_local = (found.endpoint or "").startswith("sandbox:")
    askable = terminal if found.endpoint and not is_local and "{{" not in found.endpoint else None
    name = _ask(options.name, terminal, "What shall the study be called?", found.name, read_name)
    endpoint = _ask(options.endpoint, askable, "Where is the API?", found.url or "", str)
    needs_key = terminal if found.key_env else None
    key = _ask(
        options.key_env, needs_key, "Which environment variable holds the key?", found.key_env or "", read_variable
    )
    models = _ask(
        options.models,
        terminal if found.models else None,
        "Which models shall it compare?",
        ", ".join(found.models),
        read_models,
    )
    wishes = replace(
        found.wishes,
        name=name,
        endpoint=endpoint if endpoint != found.url else None,
        key_env=key or None,
        models=models if models != found.models else (),
    )
    return _ask_rest(options, terminal, wishes, asks_usd=found.has_usd and not is_local)


def _ask_openapi(options: argparse.Namespace, terminal: Terminal | None, found: Proposal) -> Wishes:
    suggested = name_of(found)
    name = _ask(options.name, terminal, "What shall the study be called?", suggested, read_name)
    endpoint = _ask(options.endpoint, terminal, "Where is the API?", found.server, str)
    is_single = len(found.keys) == 1 and found.keys[0].kind in {"bearer", "api_key", "query"}
    question = "Which environment variable holds the key?"
    key = _ask(options.key_env, terminal if is_single else None, question, key_name(found), read_variable)
    known = next((knob.values for knob in found.knobs if is_model(knob.name)), ())
    offered = ", ".join(map(str, known))
    models = _ask(options.models, terminal if known else None, "Which models shall it compare?", offered, read_models)
    question = "What does a call cost in USD? 0 if nothing, ? if unknown:"
    price = _ask(options.usd_per_call, terminal, question, "?", read_unsure_price)
    if options.usd and not price:
        raise SpecError("--usd: a cap in USD needs the price of a call: give --usd-per-call as well")
    wishes = Wishes(
        name=name,
        endpoint=endpoint or None,
        key_env=key if is_single or options.key_env else None,
        key_header=options.key_header,
        models=models if models != known else (),
        usd_per_call=price,
    )
    return _ask_rest(options, terminal, wishes, asks_usd=bool(price))


def _ask_rest(options: argparse.Namespace, terminal: Terminal | None, wishes: Wishes, *, asks_usd: bool) -> Wishes:
    goals = ", ".join(GOALS)
    goal = _ask(options.goal, terminal, f"What counts most? {goals}:", wishes.goal, read_goal)
    money = terminal if asks_usd else None
    usd = _ask(options.usd, money, "How much may it spend, in USD?", f"{wishes.usd:g}", read_usd)
    calls = _ask(options.calls, terminal, "How many calls at most?", str(wishes.calls), read_count)
    workers = _ask(options.workers, terminal, "How many calls at once?", str(wishes.workers), read_count)
    return replace(wishes, goal=goal, usd=usd, calls=calls, workers=workers)


def _ask(
    given: Answer | None, terminal: Terminal | None, question: str, default: str, read: Callable[[str], Answer]
) -> Answer:
    """Return what a flag said, else what the person says, else the default."""
    if given is not None:
        return given
    return read(default) if terminal is None else terminal.ask(question, default, read)


def _write(draft: Draft, folder: Path) -> LoadedStudy:
    """Write all files, or none of them where one is there already or the study is not valid."""
    present = [folder / name for name in draft.files if (folder / name).exists()]
    if present:
        raise ConvergenceError(f"{present[0]} is there already; nothing was written. Choose another folder: -o DIR")
    try:
        with tempfile.TemporaryDirectory() as trial:
            _put(draft, Path(trial))
            load_study(Path(trial) / "study.yaml")
        _put(draft, folder)
    except OSError as error:
        raise ConvergenceError(f"{folder}: cannot be written: {error.strerror}") from error
    return load_study(folder / "study.yaml")


def _put(draft: Draft, folder: Path) -> None:
    for name, text in draft.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _report(draft: Draft, folder: Path, study: LoadedStudy) -> None:
    environ = read_environment(Path.cwd(), os.environ)
    missing = [name for name in draft.variables if not environ.get(name)]
    file = folder / "study.yaml"
    names = [name for name in draft.files if "/" not in name]
    folders = Counter(name.partition("/")[0] for name in draft.files if "/" in name)
    names += [f"{name}/ ({n} files)" for name, n in folders.items()]
    print(f"wrote {folder}/: {', '.join(names)}")
    n_cases, n_parameters = len(study.all_cases), len(study.space.parameters)
    cases = "1 test case" if n_cases == 1 else f"{n_cases} test cases"
    parameters = "1 parameter" if n_parameters == 1 else f"{n_parameters} parameters"
    print(f"  {parameters}, {cases}, at most {study.max_calls} calls")
    for words in draft.advice:
        print(f"  - {words}")
    print("next:")
    for name in missing:
        print(f"  export {name}=...   # not set yet; or a line in .env")
    print(f"  convergence validate {file}")
    print(f"  convergence estimate {file}")
    print(f"  convergence optimize {file}")
