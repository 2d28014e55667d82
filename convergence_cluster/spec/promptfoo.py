"""A promptfoo configuration as a study: providers, prompts, variables, tests and assertions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import yaml

from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.spec.assertions import FILE
from convergence_cluster.spec.files import read_document
from convergence_cluster.spec.problems import Problem, raise_all
from convergence_cluster.spec.promptfoo_asserts import AssertImport
from convergence_cluster.spec.promptfoo_remarks import Place, Source
from convergence_cluster.spec.promptfoo_targets import VENDORS, Target, target_of, texts_of
from convergence_cluster.spec.promptfoo_tests import TestImport

_READ: Final = ("providers", "targets", "prompts", "tests", "defaultTest", "description", "evaluateOptions")
_WITHOUT_MEANING_HERE: Final = ("outputPath", "sharing", "assertionTemplates", "$schema", "tags", "writeLatestResults")
_MAX_CALLS: Final = 2_000
_JUDGE: Final = "openai:chat:gpt-4.1"
_EMBEDDINGS: Final = "text-embedding-3-large"
_JUDGE_TOKENS: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of a promptfoo file."""

    study: dict[str, Json]
    remarks: tuple[str, ...]
    """What could not be carried over, or was otherwise, one line each with file and line."""

    def text(self, origin: str) -> str:
        """Return the study file, its remarks as comments above it."""
        head = [f"# From {origin}, by `convergence import promptfoo`."]
        head += ["# Not carried over, or otherwise:", *(f"#   {line}" for line in self.remarks)] if self.remarks else []
        body = yaml.dump(self.study, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
        return "\n".join(head) + "\n\n" + body


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and never an alias."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def import_promptfoo(path: Path, *, folder: Path) -> Imported:
    """Return the study that a promptfoo file describes; its own files stay where they are, relative to `folder`.

    Raises:
        SpecError: the file cannot be read, or none of its providers can be carried over.
    """
    source = Source(read_document(path, path.name), path.parent)
    if not source.root:
        raise_all([Problem(path=(), file=path.name, line=1, message="expected a promptfoo configuration, a mapping")])
    source.remarks.unknown(source.root, (*_READ, *_WITHOUT_MEANING_HERE), ())
    asserts = AssertImport(source)
    tests = TestImport(source, asserts)
    common, cases = tests.defaults(), tests.cases()
    if not cases:
        source.remarks.add(("tests",), "no tests; one case stands in for them")
        cases = [{"input": {"prompt": "Hello"}}]
    targets = _targets(source)
    parameters, body = _space(source, targets, {name for case in cases for name in case["input"]})
    evaluation = {"metrics": _metrics(source, common, cases), **_helpers(source, tests, asserts), "test_cases": cases}
    n_configurations = prod(len(_values(parameter)) for parameter in parameters.values())
    study = {
        "api": _api(source, targets, body),
        "search_space": {"parameters": parameters},
        "evaluation": _relocated(evaluation, os.path.relpath(path.parent.resolve(), folder.resolve())),
        **_options(source),
        "budget": {"calls": max(1, min(_MAX_CALLS, n_configurations * len(cases)))},
        "output": {"save_path": "./results"},
    }
    return Imported(study=study, remarks=source.remarks.lines())


def _targets(source: Source) -> list[Target]:
    """Return the providers that are one API: those at the place of the first."""
    key = "providers" if "providers" in source.root else "targets"
    given = source.root.get(key)
    found: list[Target] = []
    for index, entry in enumerate(given if isinstance(given, list) else [given]):
        place: Place = (key, index) if isinstance(given, list) else (key,)
        target = target_of(source, source.resolved(entry), place)
        if target is None:
            continue
        if found and (target.kind, target.endpoint()) != (found[0].kind, found[0].endpoint()):
            source.remarks.add(place, f"{target.model}: another API than the first; a study has one, import it apart")
            continue
        found.append(target)
    if not found:
        expected = ", ".join(f"{kind}:..." for kind in VENDORS)
        message = f"no provider that can be carried over; expected one of {expected}"
        raise_all([source.document.problem((key,), message)])
    return found


def _api(source: Source, targets: Sequence[Target], body: Mapping[str, Json]) -> dict[str, Json]:
    first = targets[0]
    description = source.root.get("description")
    api: dict[str, Json] = {
        "name": description[:60] if isinstance(description, str) and description else source.folder.resolve().name,
        "provider": VENDORS[first.kind].provider,
        "endpoint": first.endpoint(),
        "auth": first.auth(),
    }
    headers = first.config.get("headers")
    request = {"body": dict(body)} if body else {}
    request |= {"headers": dict(headers)} if isinstance(headers, Mapping) else {}
    return {**api, "request": request} if request else api


def _space(
    source: Source, targets: Sequence[Target], variables: set[str]
) -> tuple[dict[str, Json], Mapping[str, Json]]:
    """Return the parameters, and what is fixed in every request."""
    models = list(dict.fromkeys(target.model for target in targets))
    parameters: dict[str, Json] = {"model": models}
    names = dict.fromkeys(name for target in targets for name in target.parameters())
    for name in names:
        having = [target for target in targets if name in target.parameters()]
        values = {canonical_json(value): value for target in having for value in [target.parameters()[name]]}
        owners = list(dict.fromkeys(target.model for target in having))
        spec: dict[str, Json] = {"values": list(values.values())}
        parameters[name] = spec if len(owners) == len(models) else {**spec, "when": {"model": owners}}
    texts = texts_of(source, variables)
    dialogues = [text for text in texts if isinstance(text, list)]
    templates = [text for text in texts if isinstance(text, str)]
    if templates:
        parameters["prompt_template"] = templates
    if dialogues and (templates or len(dialogues) > 1):
        source.remarks.add(("prompts",), "only one prompt of several messages can be carried over, and no other then")
    return parameters, {} if templates or not dialogues else {"messages": dialogues[0]}


def _values(parameter: Json) -> Sequence[Json]:
    return list(parameter["values"] if isinstance(parameter, Mapping) else parameter)


def _metrics(
    source: Source, common: Sequence[Mapping[str, Json]], cases: Sequence[Mapping[str, Json]]
) -> dict[str, Json]:
    """Return a metric for each name that assertions have, and one for those without."""
    every = [*common, *(each for case in cases for each in case.get("assert", ()))]
    names = list(dict.fromkeys(each["metric"] for each in every if each.get("metric")))
    metrics: dict[str, Json] = {}
    if not names or any(not each.get("metric") for each in every):
        unnamed = [each for each in common if not each.get("metric")]
        metrics["quality"] = {"function": "assert", **({"assert": unnamed} if unnamed else {})}
    for name in names:
        own = [each for each in common if each.get("metric") == name]
        metrics[name] = {"function": "assert", **({"assert": own} if own else {})}
    if not every:
        source.remarks.add(("tests",), "nothing is asserted, so every answer counts 1; add assertions")
    return {**metrics, "latency_ms": {"weight": 0}}


def _helpers(source: Source, tests: TestImport, asserts: AssertImport) -> dict[str, Json]:
    """Return the models that decide what assertions leave to a model."""
    options = tests.default.get("options")
    default = options.get("provider") if isinstance(options, Mapping) else None
    named = default if isinstance(default, Mapping) and "id" not in default else {"text": default}
    helpers: dict[str, Json] = {}
    if asserts.uses_judge:
        graders = [grader for grader in (named.get("text"), *asserts.graders) if grader is not None]
        helpers["judge"] = _judge(source, graders)
    if asserts.uses_embeddings:
        given = str(named.get("embedding") or "")
        model = given.rpartition(":")[2] if given.startswith("openai:") else _EMBEDDINGS
        auth = {"type": "bearer", "token_env": "OPENAI_API_KEY"}
        helpers["embeddings"] = {"endpoint": "https://api.openai.com/v1/embeddings", "model": model, "auth": auth}
        if given and not given.startswith("openai:"):
            source.remarks.add(("defaultTest", "options", "provider"), f"{given}: {model} of OpenAI stands for it")
    return helpers


def _judge(source: Source, graders: Sequence[Json]) -> dict[str, Json]:
    place: Place = ("defaultTest", "options", "provider")
    target = next((found for given in graders if (found := target_of(source, given, place)) is not None), None)
    if target is None:
        target = target_of(source, _JUDGE, place)
        source.remarks.add(("tests",), f"promptfoo's own choice of a grader: {_JUDGE} stands for it")
    if len({canonical_json(grader) for grader in graders}) > 1:
        source.remarks.add(("tests",), "several graders; the first one judges everything")
    assert target is not None
    parameters = {"max_tokens": _JUDGE_TOKENS, **target.parameters()}
    return {
        "provider": VENDORS[target.kind].provider,
        "endpoint": target.endpoint(),
        "model": target.model,
        "auth": target.auth(),
        "parameters": parameters,
    }


def _options(source: Source) -> dict[str, Json]:
    given = source.root.get("evaluateOptions")
    given = given if isinstance(given, Mapping) else {}
    source.remarks.unknown(given, ("maxConcurrency", "showProgressBar"), ("evaluateOptions",))
    workers = given.get("maxConcurrency")
    return {"optimization": {"execution": {"parallel_workers": workers}}} if isinstance(workers, int) else {}


def _relocated(value: Json, folder: str) -> Json:
    """Return a part of the study whose files are named relative to its own folder."""
    if folder == ".":
        return value
    if isinstance(value, str) and value.startswith(FILE):
        return f"{FILE}{Path(folder, value.removeprefix(FILE)).as_posix()}"
    if isinstance(value, list):
        return [_relocated(item, folder) for item in value]
    return {key: _relocated(item, folder) for key, item in value.items()} if isinstance(value, dict) else value
