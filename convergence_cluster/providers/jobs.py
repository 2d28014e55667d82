"""The adapter for APIs that take longer than a request: submit, poll until done, fetch the result, clean up.

Every answer of a job is at hand for the templates of its later requests: `submitted`, `polled`, `fetched` and
`cleaned` are the bodies of the answers so far, `headers.submitted` and so on their headers.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, TransientError, before_sending
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.afterwards import as_unknown, insist
from convergence_cluster.providers.credentials import Auth
from convergence_cluster.providers.faults import message_of
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.paths import compile_path
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import MessageBuilder, RequestRule, camel_aliases
from convergence_cluster.providers.response_rule import ResponseReader, ResponseRule
from convergence_cluster.providers.templates import scope_of
from convergence_cluster.providers.waits import parse_wait_s

_SHARE_OF_ELAPSED = 0.25
"""Of the time so far, which passes until the next poll: a job's latency is known at least so well."""
MAX_LOST_POLLS = 5
"""So many polls in a row may fail in passing before the job is given up."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""What is not there any more needs no cleaning up."""
_NAMES = {"submit": "submitted", "poll": "polled", "result": "fetched", "cleanup": "cleaned"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One request of a job beyond its first; its URL may be relative to the endpoint."""

    url: str
    method: str = "GET"
    rule: RequestRule = field(default_factory=RequestRule)


@dataclass(frozen=True, kw_only=True, slots=True)
class Polling:
    """How to learn that a job is done. Conditions are JMESPath over `{status, headers, body}` of a poll's answer."""

    poll: Step
    done_when: str
    fail_when: str | None = None
    submit: Step | None = None
    """None: the endpoint with the request's own rule."""
    result: Step | None = None
    """None: the last poll's answer has the result."""
    cancel: Step | None = None
    """Sent for a job that is given up before it is over."""
    interval_s: float = 1.0
    """Longest pause between polls; the first ones come sooner, so that short jobs are timed as well as long ones."""
    timeout_s: float = 300.0
    """From submission to the end of the job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFormat:
    """What a study need not say about a vendor whose jobs differ from any other's by data alone."""

    url: str
    request: RequestRule
    response: ResponseRule
    polling: Polling | None = None
    """None: it answers at once."""


class JobProvider:
    """Runs one job an attempt. Its latency is the whole job's, known to within the last pause between polls."""

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: Endpoint,
        clock: Clock,
        request: RequestRule | None = None,
        response: ResponseRule | None = None,
        polling: Polling | None = None,
        cleanup: Step | None = None,
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._clock = clock
        self._reader = ResponseReader(response or ResponseRule())
        self._polling = polling
        self._done = compile_path(polling.done_when if polling else None, "polling.done_when")
        self._fail = compile_path(polling.fail_when if polling else None, "polling.fail_when")
        submit = Step(url=endpoint.url, method=endpoint.method, rule=request or RequestRule())
        steps = {"submit": submit, "cleanup": cleanup}
        if polling is not None:
            steps |= {
                "submit": polling.submit or submit,
                "poll": polling.poll,
                "result": polling.result,
                "cancel": polling.cancel,
            }
        self._steps = {name: step for name, step in steps.items() if step is not None}
        self._builders = {name: _builder(endpoint, name, step) for name, step in self._steps.items()}

    async def send(self, request: Request) -> Answer:
        """Run one job to its end, and clean up after it however it ends.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the API does not accept this configuration.
            ProviderStopError: no call will be accepted any more.
            PermanentError: the job failed, or its answer lacks what the study file names.
        """
        job = _Job(request)
        try:
            await self._submit(job)
            reply = await self._finish(job)
        except PermanentError as error:
            await self._give_up(job)
            if job.is_submitted:  # it was taken on, so it may be billed, whatever went wrong afterwards
                error.is_unsent = False
                error.answer = self._reader.answer(job.reply, job.body, job.documents)
            raise
        except BaseException:
            await self._give_up(job)
            raise
        await self._clean_up(job)
        return self._reader.read(reply, request, self._clock.now_s(), job.documents)

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()

    async def _submit(self, job: "_Job") -> None:
        reply = await self._exchange("submit", job, {"Idempotency-Key": job.request.idempotency_key})
        job.began_s = self._clock.monotonic_s() - reply.latency_s
        configuration = job.request.configuration
        reply.raise_for_status(configuration, self._clock.now_s(), camel_aliases(configuration))
        job.is_submitted = True
        job.reply = reply
        job.keep("submit", reply)

    async def _finish(self, job: "_Job") -> Reply:
        """Return the answer that has the result, with the whole job's latency."""
        if self._polling is None:
            return job.reply
        try:
            reply = await self._await_end(job, self._polling)
            job.is_over = True
            if "result" in self._steps:
                reply = await self._patiently("result", job)
        except TransientError as error:
            raise as_unknown(error) from None
        return replace(reply, latency_s=self._clock.monotonic_s() - job.began_s)

    async def _await_end(self, job: "_Job", polling: Polling) -> Reply:
        wish_s = 0.0
        while True:
            elapsed_s = self._clock.monotonic_s() - job.began_s
            left_s = polling.timeout_s - elapsed_s
            if left_s <= 0.0:
                message = f"{job.reply.where}: the job is not done within {polling.timeout_s:g} s"
                raise TransientError(message, kind="unknown")
            pause_s = max(min(elapsed_s * _SHARE_OF_ELAPSED, polling.interval_s), polling.interval_s / 10.0, wish_s)
            await asyncio.sleep(min(pause_s, left_s))
            reply = await self._patiently("poll", job)
            body = job.documents["poll"]
            document = {"status": reply.status, "headers": reply.headers, "body": body}
            if self._fail is not None and self._fail(document):
                job.is_over = True
                raise PermanentError(f"{reply.where}: the job failed: {(message_of(body) or str(body))[:300]}")
            if self._done is not None and self._done(document):
                return reply
            wish_s = parse_wait_s(reply.headers.get("retry-after", ""), self._clock.now_s()) or 0.0

    async def _patiently(self, name: str, job: "_Job") -> Reply:
        """Return a step's answer; a poll that fails in passing costs nothing and is repeated, as the job runs on."""
        for n_lost in range(1, MAX_LOST_POLLS + 1):
            try:
                reply = await self._exchange(name, job)
                reply.raise_for_status({}, self._clock.now_s())
                job.keep(name, reply)
            except TransientError as error:
                if n_lost == MAX_LOST_POLLS or error.kind == "parked":
                    raise
                interval_s = self._polling.interval_s if self._polling else 1.0
                await asyncio.sleep(max(interval_s * n_lost, error.retry_after_s or 0.0))
            else:
                return reply
        raise AssertionError("the last loss is raised")

    async def _exchange(self, name: str, job: "_Job", more_headers: Mapping[str, str] | None = None) -> Reply:
        step = self._steps[name]
        with before_sending():
            message = self._builders[name].build({**job.scope, **scope_of(job.request.configuration, job.request.case)})
        url = urljoin(job.url or self._endpoint.url, message.url)
        job.url = job.url or url
        endpoint = replace(self._endpoint, method=step.method, headers={}, auth=self._auth(step, url, job))
        headers = {**(more_headers or {}), **message.headers}
        return await self._transport.exchange(endpoint, url=url, headers=headers, content=message.content)

    def _auth(self, step: Step, url: str, job: "_Job") -> Auth:
        """Return the credentials for the hosts that the study file names; a host that an answer names gets none."""
        return self._endpoint.auth if _origin(url) in {_origin(job.url), _origin(step.url)} else Auth()

    async def _give_up(self, job: "_Job") -> None:
        try:
            if job.is_submitted and not job.is_over and "cancel" in self._steps:
                await self._afterwards("cancel", job)
        finally:
            await self._clean_up(job)

    async def _clean_up(self, job: "_Job") -> None:
        if job.is_submitted and "cleanup" in self._steps:
            await self._afterwards("cleanup", job)

    async def _afterwards(self, name: str, job: "_Job") -> None:
        async def send() -> None:
            reply = await self._exchange(name, job)
            if reply.status not in _GONE:
                reply.raise_for_status({}, self._clock.now_s())
            job.keep_afterwards(name, reply)

        await insist(send, name)


class _Job:
    """What is known of one job so far."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.began_s = 0.0
        self.is_submitted = False
        self.is_over = False
        self.url = ""
        """Where it was submitted; relative URLs start from there."""
        self.body: Json = None
        self.documents: dict[str, Json] = {}
        """Bodies by step."""
        self.scope: dict[str, Json] = {}
        """The same by the names that templates use."""

    def keep(self, name: str, reply: Reply) -> None:
        """Remember a step's answer.

        Raises:
            TransientError: it is not JSON.
        """
        self.body = reply.json() if reply.body else None
        self.reply = reply
        self.documents[name] = self.scope[_NAMES.get(name, name)] = self.body
        self.scope["headers"] = {**self.scope.get("headers", {}), _NAMES.get(name, name): reply.headers}

    def keep_afterwards(self, name: str, reply: Reply) -> None:
        """Remember an answer that comes after the job: it tells nothing but its cost, if that."""
        with suppress(TransientError):
            self.documents[name] = reply.json()


def _builder(endpoint: Endpoint, name: str, step: Step) -> MessageBuilder:
    if name == "submit":
        rule = replace(step.rule, headers={**endpoint.headers, **(step.rule.headers or {})})
        return MessageBuilder(step.url, step.method, rule, merges=True)
    place = name if name == "cleanup" else f"polling.{name}"
    return MessageBuilder(step.url, step.method, step.rule, name=place)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url.partition("{{")[0])
    return parts.scheme, parts.netloc
