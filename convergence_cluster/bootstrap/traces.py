"""Traces where they are asked for, and nothing at all where they are not: OpenTelemetry is then not even imported."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from convergence_cluster.bootstrap.dialects import chat_format, provider_kind
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.trials.protocols import Provider

TRACE_HEADERS = ("traceparent", "tracestate")
"""Headers of a message by which spans hang together (W3C Trace Context)."""


class Traces(Protocol):
    """What becomes a span."""

    def submitted(self, study: str, name: str) -> None:
        """Begin the trace of a study."""
        ...

    def headers(self, study: str, task: str, *, attempt: int, n_calls: int) -> Mapping[str, str]:
        """Note that a task is sent; return what its message carries."""
        ...

    def task(self, headers: Mapping[str, str], task: str) -> AbstractContextManager[None]:
        """Span the work on a task."""
        ...

    def provider(self, provider: Provider, *, kind: str, url: str, is_model: bool, defaults: Configuration) -> Provider:
        """Return a provider each of whose attempts is a span."""
        ...


class NoTraces:
    """Does nothing, at no cost."""

    def submitted(self, study: str, name: str) -> None:
        """Do nothing."""

    def headers(self, study: str, task: str, *, attempt: int, n_calls: int) -> Mapping[str, str]:
        """Return no headers."""
        del study, task, attempt, n_calls
        return {}

    def task(self, headers: Mapping[str, str], task: str) -> AbstractContextManager[None]:
        """Do nothing."""
        del headers, task
        return nullcontext()

    def provider(self, provider: Provider, *, kind: str, url: str, is_model: bool, defaults: Configuration) -> Provider:
        """Return the provider itself."""
        del kind, url, is_model, defaults
        return provider


def open_traces(choice: str | None) -> Traces:
    """Return the traces of this process, as CONVERGENCE_TRACES asks for them.

    Raises:
        ConvergenceError: OpenTelemetry is not installed.
    """
    if choice is None:
        return NoTraces()
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ConvergenceError(
            "CONVERGENCE_TRACES needs OpenTelemetry; install it with: pip install 'convergence-cluster[otel]'"
        )
    traces: Traces = import_module("convergence_cluster.tracing").process_tracing(choice)
    return traces


def traced(provider: Provider, study: LoadedStudy, traces: Traces, *, environ: Mapping[str, str]) -> Provider:
    """Return the provider of a study, each of whose attempts is a span."""
    api, body = study.spec.api, study.spec.api.request.body
    url = resolve_endpoint(api.endpoint, environ) if api.endpoint else ""
    kind = provider_kind(api, url)
    return traces.provider(
        provider,
        kind=kind,
        url=url,
        is_model=chat_format(kind, url) is not None,
        defaults=body if isinstance(body, Mapping) else {},
    )
