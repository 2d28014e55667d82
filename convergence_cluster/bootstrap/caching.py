"""Which answers a study's calls may find in the cache, and where it is kept on one machine."""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from convergence_cluster.bootstrap.dialects import provider_kind
from convergence_cluster.bootstrap.providers import measures_first_token
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.settings import Settings, read_settings
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.storage.answer_store import SqliteAnswers
from convergence_cluster.trials.caching import AnswerCache, Answers, HelperCache
from convergence_cluster.trials.protocols import AnswerStore

OpenStore: TypeAlias = Callable[[], AnswerStore]
"""Opens a store on the thread that will use it.

Raises:
    ConvergenceError: it cannot be opened.
"""

_MB = 1_000_000
_S_PER_DAY = 86_400.0
_READS_ID = re.compile(r"""\bcase\s*(?:\.\s*id\b|\[\s*\\?['"]id|\||-?\}\}|%\})""")
_NOT_SENT = {"name", "description", "auth", "tls", "rate", "prices", "cache", "endpoint", "models"}
"""Keys of `api` that decide neither what is sent nor how its answer is read; the URLs stand beside them."""


def local_store(environ: Mapping[str, str], clock: Clock) -> OpenStore | None:
    """Return what opens this machine's store, or None where calls are not remembered."""
    settings = read_settings(environ)
    if settings.cache_mb == 0:
        return None
    return lambda: open_local_store(settings, clock)


def open_local_store(settings: Settings, clock: Clock) -> SqliteAnswers:
    """Return this machine's store.

    Raises:
        ConvergenceError: it cannot be opened.
    """
    return SqliteAnswers(settings.cache_path, clock=clock, max_bytes=int(settings.cache_mb * _MB))


def build_answers(
    study: LoadedStudy,
    open_store: OpenStore | None,
    *,
    environ: Mapping[str, str],
    redact: Callable[[str], str],
    clock: Clock,
) -> Answers | None:
    """Return the answers of earlier studies, not opened yet; None where calls are not remembered."""
    if open_store is None or not study.spec.api.cache or not study.spec.output.save_answers:
        return None
    max_age_s = read_settings(environ).cache_days * _S_PER_DAY
    return Answers(open_store, redact=redact, clock=clock, max_age_s=max_age_s)


def build_cache(study: LoadedStudy, answers: Answers | None, *, environ: Mapping[str, str]) -> AnswerCache | None:
    """Return the cache of a study's calls, or None without one."""
    if study.target is not None:  # a function is the user's own, and so is what it calls: both may change
        return None
    if answers is None:
        return None
    api = api_identity(study, environ)
    return AnswerCache(answers, api=api, cases=study.all_cases, names_cases=_names_cases(study))


def helper_cache(answers: Answers | None, *, kind: str, url: str, api: ApiSection) -> HelperCache | None:
    """Return the cache of what a model that helps to score is asked, or None without one."""
    return None if answers is None else HelperCache(answers, api=[kind, url, _sent(api)])


def api_identity(study: LoadedStudy, environ: Mapping[str, str]) -> Json:
    """Return what decides, beside configuration and case, what is sent where and how its answer is read."""
    api = study.spec.api
    urls = {"": api.endpoint} if api.endpoint else {}
    urls |= {name: model.endpoint for name, model in (api.models or {}).items()}
    resolved = {name: study.stands_for or resolve_endpoint(url, environ) for name, url in urls.items()}
    kind = provider_kind(api, resolved.get("") or next(iter(resolved.values()), ""))
    streams = ["stream"] if measures_first_token(study) else []
    return [kind, resolved, _sent(api), *streams]


def _sent(api: ApiSection) -> Json:
    document = api.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_SENT)
    document.get("request", {}).pop("timeout_seconds", None)
    return {key: value for key, value in document.items() if value}


def _names_cases(study: LoadedStudy) -> bool:
    """Say whether a template may read the case's id, which decides nothing otherwise."""
    return _READS_ID.search(canonical_json([study.spec.document(), study.prompts])) is not None
