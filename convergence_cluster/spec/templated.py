"""Every template of the `api` section, with where it stands in the file."""

from collections.abc import Iterator, Mapping
from typing import Final

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.environment import job_steps
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.schema_api import RequestSection
from convergence_cluster.spec.schema_job import StepSection

PROMPT_TEMPLATE: Final = "prompt_template"
"""The parameter whose values are templates of a chat's user message."""

PROMPTS: Final = ("search_space", "parameters", PROMPT_TEMPLATE)

Path = tuple[str | int, ...]


def templates_of(spec: StudySpec) -> Iterator[tuple[Path, str]]:
    """Yield the texts with templates that requests are made of: URLs, headers, queries and bodies."""
    api = spec.api
    if api.function is not None:
        return
    yield from _texts(("api", "endpoint"), api.endpoint)
    for name, model in (api.models or {}).items():
        yield from _texts(("api", "models", name, "endpoint"), model.endpoint)
    yield from _of_request(("api", "request"), api.request)
    for path, step in job_steps(api):
        yield from _texts(("api", *path, "url"), step.url)
        yield from _of_request(("api", *path), step)


def _of_request(path: Path, section: RequestSection | StepSection) -> Iterator[tuple[Path, str]]:
    for name in ("headers", "query", "body"):
        yield from _texts((*path, name), getattr(section, name))


def _texts(path: Path, value: Json) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts((*path, key), item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts((*path, index), item)
