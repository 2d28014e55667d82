"""What a study needs from the environment. Reading and checking a study does not need it."""

from collections.abc import Iterator, Mapping

from convergence_cluster.spec.problems import Problem, raise_all
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.schema_api import REFERENCE, ApiSection, endpoint_problem
from convergence_cluster.spec.schema_auth import Auth
from convergence_cluster.spec.schema_helper import HelperSection
from convergence_cluster.spec.schema_job import StepSection


def missing_environment(spec: StudySpec, environ: Mapping[str, str]) -> list[Problem]:
    """Return a problem for each environment variable that calls need and that is not set or empty."""
    return [
        Problem(path=path, message=f"environment variable {name} is not set; expected {purpose}")
        for path, name, purpose in needed_environment(spec)
        if not environ.get(name)
    ]


def resolve_endpoint(endpoint: str, environ: Mapping[str, str]) -> str:
    """Return an endpoint with its `${NAME}` and `${NAME:-default}` replaced.

    Raises:
        SpecError: a variable without default is not set, or the result is no URL.
    """
    url = resolve_references(endpoint, environ, ("api", "endpoint"))
    problem = endpoint_problem(url)
    if problem is not None:
        raise_all([Problem(path=("api", "endpoint"), message=f"after environment variables: {problem}")])
    return url


def resolve_references(text: str, environ: Mapping[str, str], path: tuple[str, ...]) -> str:
    """Return a text with its `${NAME}` and `${NAME:-default}` replaced; `path` is where it stands.

    Raises:
        SpecError: a variable without default is not set.
    """

    def value(name: str, default: str | None) -> str:
        found = environ.get(name) or default
        if found is None:
            message = f"environment variable {name} is not set; expected a part of the URL"
            raise_all([Problem(path=path, message=message)])
        return found or ""

    return REFERENCE.sub(lambda match: value(match.group(1), match.group(2)), text)


def job_steps(api: ApiSection) -> Iterator[tuple[tuple[str, ...], StepSection]]:
    """Yield the requests of a job beside the call itself, with where they stand in `api`."""
    for name in ("submit", "poll", "result", "cancel") if api.polling is not None else ():
        step = getattr(api.polling, name)
        if step is not None:
            yield ("polling", name), step
    if api.cleanup is not None:
        yield ("cleanup",), api.cleanup


def needed_environment(spec: StudySpec) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield for each environment variable that calls need: the key that names it, its name, what it is for."""
    yield from _of_auth(("api", "auth"), spec.api.auth)
    for key, name in spec.api.tls.environment_names():
        yield ("api", "tls", key), name, "a certificate, a key or its password"
    endpoints: dict[tuple[str, ...], str] = {("api", "endpoint"): spec.api.endpoint or ""}
    for path, helper in helpers_of(spec):
        yield from _of_auth((*path, "auth"), helper.auth)
        endpoints[*path, "endpoint"] = helper.endpoint
    endpoints |= {("api", "models", key, "endpoint"): model.endpoint for key, model in (spec.api.models or {}).items()}
    endpoints |= {("api", *path, "url"): step.url for path, step in job_steps(spec.api)}
    for path, endpoint in endpoints.items():
        for match in REFERENCE.finditer(endpoint):
            if match.group(2) is None:
                yield path, match.group(1), "a part of the URL"


def helpers_of(spec: StudySpec) -> Iterator[tuple[tuple[str, ...], HelperSection]]:
    """Yield every model that helps, with the key it stands under."""
    evaluation = spec.evaluation
    for name, helper in (("judge", evaluation.judge), ("embeddings", evaluation.embeddings)):
        if helper is not None:
            yield ("evaluation", name), helper


def _of_auth(path: tuple[str, ...], auth: Auth) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for name in auth.environment_names():
        key = next(k for k in type(auth).model_fields if getattr(auth, k) == name)
        yield (*path, key), name, "the secret for calls"
