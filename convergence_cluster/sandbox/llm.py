"""The `llm` sandbox: an OpenAI-compatible chat server whose models are simulated. No real model answers here."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache

from convergence_cluster.sandbox.accounting import Accounting
from convergence_cluster.sandbox.chance import uniforms
from convergence_cluster.sandbox.chat import (
    ChatError,
    ChatRequest,
    completion,
    error_body,
    read_chat,
    refusal,
)
from convergence_cluster.sandbox.faults import Faults
from convergence_cluster.sandbox.landscapes import Landscape
from convergence_cluster.sandbox.models import MODELS, prices
from convergence_cluster.sandbox.pace import Pace
from convergence_cluster.sandbox.reply import Reply
from convergence_cluster.sandbox.wire import HttpRequest, HttpResponse

_UNKNOWN = "This is a simulation: it only knows the questions of its own case file, and this is none of them."
_TOO_FAST = "Rate limit reached in this simulation."
_CLIENT_GONE = 499


class LlmSandbox:
    """Answers chat requests from a landscape, meets them with faults, and keeps the books."""

    def __init__(
        self,
        *,
        landscape: Landscape,
        seed: int,
        speed: float = 1.0,
        latency_s: float | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._landscape = landscape
        self._seed = seed
        self._speed = speed
        self._latency_s = latency_s
        self._faults = faults or Faults()
        self._pace = Pace(self._faults.requests_per_s)
        self._books = Accounting()
        self._draws: Counter[str] = Counter()
        self._started_cpu_s = time.process_time()
        self._cases = {question.prompt: case for case, question in enumerate(landscape.questions)}
        self._case_of = lru_cache(maxsize=8192)(self._find_case)
        self._routes: Mapping[tuple[str, str], Callable[[HttpRequest], HttpResponse]] = {
            ("GET", "/v1/models"): self._list_models,
            ("GET", "/_sandbox/stats"): self._report,
            ("POST", "/_sandbox/reset"): self._reset,
            ("GET", "/_sandbox/faults"): lambda _: _json(asdict(self._faults)),
            ("POST", "/_sandbox/faults"): self._change_faults,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        if request.path == "/v1/chat/completions" and request.method == "POST":
            return self._chat(request)
        route = self._routes.get((request.method, request.path))
        if route is None:
            message = f"{request.method} {request.path} does not exist here"
            return _failed(ChatError(404, message, code="not_found"))
        return route(request)

    def _chat(self, request: HttpRequest) -> HttpResponse:
        started_s = time.perf_counter()
        key = request.headers.get("idempotency-key")
        book = key or hashlib.blake2b(request.body, digest_size=12).hexdigest()
        attempt, books = self._books.begin(book), self._books
        try:
            chat = read_chat(request.body)
            self._check(chat)
            self._admit(started_s)
            repeat = self._repeat(key, book)
            case = self._case_of(chat.question)
            usd, response = self._answer(chat, case, repeat, attempt)
        except ChatError as error:
            usd, response = 0.0, _failed(error)

        def end(is_sent: bool) -> None:  # noqa: FBT001  called by the connection
            status = response.status if is_sent else _CLIENT_GONE
            books.end(book, status, time.perf_counter() - started_s, usd)

        return HttpResponse(
            response.body,
            response.status,
            f"x-request-id: req-{book[-24:]}\r\nopenai-processing-ms: {response.delay_s * 1000.0:.0f}\r\n"
            + response.headers,
            response.delay_s,
            response.is_cut,
            end,
        )

    def _answer(self, chat: ChatRequest, case: int | None, repeat: int, attempt: int) -> tuple[float, HttpResponse]:
        """Return the price of the answer, by the published prices, and the answer or the fault in its place."""
        fault, slow_s = self._fault(chat, repeat, attempt)
        if fault is not None and fault in _FAILURES:
            return 0.0, self._failure(fault, slow_s)
        if case is None:
            reply = Reply(_UNKNOWN, 0.2, 24)
        else:
            reply = self._landscape.respond(chat.setting, case, repeat, self._seed)
        if fault == "refused":
            reply = Reply("", reply.latency_s, 16)
        usd = MODELS[chat.setting.model].cost_usd(chat.input_tokens, reply.output_tokens)
        body = refusal(chat, reply) if fault == "refused" else completion(chat, reply)
        if fault == "malformed":
            body = body[: len(body) * 2 // 3]
        latency_s = reply.latency_s / self._speed if self._latency_s is None else self._latency_s
        return usd, HttpResponse(body, delay_s=latency_s + slow_s, is_cut=fault == "cut")

    def _fault(self, chat: ChatRequest, repeat: int, attempt: int) -> tuple[str | None, float]:
        """Return what this attempt meets and how much longer it takes, the same in every run with this seed."""
        if self._faults.is_calm:
            return None, 0.0
        chance = uniforms(self._seed, "fault", chat.setting, chat.question, repeat, attempt)
        slow_s = self._faults.slow_s if chance[1] < self._faults.slow else 0.0
        return self._faults.choose(chance[0], attempt), slow_s

    def _failure(self, fault: str, slow_s: float) -> HttpResponse:
        kind = _FAILURES[fault]
        retry = f"retry-after: {self._faults.retry_after_s:g}\r\n" if fault == "rate_limited" else ""
        return HttpResponse(error_body(kind), kind.status, retry, slow_s)

    def _check(self, chat: ChatRequest) -> None:
        """Raise what a real API says to a request that it does not accept."""
        setting = chat.setting
        if setting.model not in self._landscape.grid["model"]:
            message = f"The model '{setting.model}' does not exist or you do not have access to it."
            raise ChatError(404, message, param="model", code="model_not_found")
        for name in self._faults.infeasible:
            if name in chat.given:
                raise ChatError(400, f"Unsupported parameter: '{name}'.", param=name, code="unsupported_parameter")
        param = self._landscape.rejected(setting)
        if param is not None:
            message = f"Unsupported value: '{param}' does not support this value with model '{setting.model}'."
            raise ChatError(400, message, param=param, code="unsupported_value")

    def _admit(self, now_s: float) -> None:
        wait_s = self._pace.wait_s(now_s)
        if wait_s > 0.0:
            raise ChatError(429, _TOO_FAST, kind="requests", code="rate_limit_exceeded", retry_after_s=wait_s)

    def _repeat(self, key: str | None, book: str) -> int:
        """Return the number that a key ends in, else how often this body was answered before."""
        last = (key or "").rpartition(":")[2]
        if last.isdigit():
            return int(last)
        if key is not None:
            return 0
        self._draws[book] += 1
        return self._draws[book] - 1

    def _find_case(self, question: str) -> int | None:
        """Return the case whose prompt this is, or the longest that is part of it."""
        if question in self._cases:
            return self._cases[question]
        inside = [prompt for prompt in self._cases if prompt in question]
        return self._cases[max(inside, key=len)] if inside else None

    def _list_models(self, _request: HttpRequest) -> HttpResponse:
        names = self._landscape.grid["model"]
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "simulation"} for name in names]
        return _json({"object": "list", "data": listed, "x_prices": prices(names), "x_simulation": True})

    def _report(self, request: HttpRequest) -> HttpResponse:
        cpu_s = time.process_time() - self._started_cpu_s
        return _json(self._books.report(cpu_s, with_keys="keys=0" not in request.query))

    def _reset(self, _request: HttpRequest) -> HttpResponse:
        self._books, self._draws = Accounting(), Counter()
        self._started_cpu_s = time.process_time()
        return _json({"reset": True})

    def _change_faults(self, request: HttpRequest) -> HttpResponse:
        try:
            changes = json.loads(request.body)
            if not isinstance(changes, dict):
                return _failed(ChatError(400, "expected an object of faults"))
            self._faults = self._faults.changed(changes)
            self._pace = Pace(self._faults.requests_per_s)
        except ValueError as error:
            return _failed(ChatError(400, str(error)))
        return _json(asdict(self._faults))


_FAILURES: Mapping[str, ChatError] = {
    "rate_limited": ChatError(429, _TOO_FAST, kind="requests", code="rate_limit_exceeded"),
    "overloaded": ChatError(503, "The simulated engine is overloaded.", kind="server_error"),
    "server_error": ChatError(500, "The simulated server had an error.", kind="server_error"),
    "no_money": ChatError(
        429, "You exceeded your simulated quota.", kind="insufficient_quota", code="insufficient_quota"
    ),
    "unauthorized": ChatError(401, "Incorrect simulated API key provided.", code="invalid_api_key"),
}


def _failed(error: ChatError) -> HttpResponse:
    retry = "" if error.retry_after_s is None else f"retry-after: {error.retry_after_s:.3f}\r\n"
    return HttpResponse(error_body(error), error.status, retry)


def _json(value: Mapping[str, object]) -> HttpResponse:
    return HttpResponse(json.dumps(value).encode())
