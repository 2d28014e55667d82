"""Calls are remembered: an answer that was paid for once is not paid for again.

The key is a digest of all that decides what is sent and how its answer is read, and of the draw: the API, the
configuration with its prompts, the case, and which repeat it is. So repeats stay independent draws, and two
configurations never share an answer, even where their requests are alike: a search finds the same with a cache and
without one. Only the digest is kept of a request.
"""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

import structlog

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import CaseId, Json, canonical_json, digest
from convergence_cluster.trials.protocols import AnswerStore

log = structlog.get_logger()

FORMAT = 1
"""Of keys and values; answers of another one are not found."""
MAX_VALUE_BYTES = 1_000_000
"""A longer answer, packed, is not kept."""
_LEVEL = 1
_ANSWER = tuple(field.name for field in fields(Answer) if field.name != "is_cached")


class Answers:
    """The answers that one study's calls may find. A store that fails is left alone from then on.

    Nothing is found or kept before `open`, which belongs on the loop that makes the calls.
    """

    def __init__(
        self,
        open_store: Callable[[], AnswerStore],
        *,
        redact: Callable[[str], str],
        clock: Clock,
        max_age_s: float,
    ) -> None:
        self._open_store = open_store
        self._redact = redact
        self._clock = clock
        self._max_age_s = max_age_s
        self._store: AnswerStore | None = None
        self._opened: AnswerStore | None = None

    def open(self) -> None:
        """Open the store. One that cannot be opened costs no study."""
        try:
            self._store = self._opened = self._open_store()
        except ConvergenceError as error:
            self._give_up(error)

    async def find(self, key: str) -> Answer | None:
        """Return the answer under a key, marked as cached; None: there is none young enough."""
        if self._store is None:
            return None
        try:
            value = await self._store.get(key)
            return None if value is None else self._unpack(value)
        except ConvergenceError as error:
            self._give_up(error)
            return None

    async def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer for the next time, unless a secret is in it or it is very long."""
        if self._store is None:
            return
        text = json.dumps({name: _plain(getattr(answer, name)) for name in _ANSWER} | {"at_s": self._clock.now_s()})
        if self._redact(text) != text:
            return
        value = zlib.compress(text.encode(), _LEVEL)
        if len(value) > MAX_VALUE_BYTES:
            return
        try:
            await self._store.put(key, value)
        except ConvergenceError as error:
            self._give_up(error)

    async def close(self) -> None:
        """Close the store. May be called twice."""
        opened, self._store, self._opened = self._opened, None, None
        if opened is not None:
            await opened.close()

    def _unpack(self, value: bytes) -> Answer | None:
        try:
            found: dict[str, Any] = json.loads(zlib.decompress(value))
            at_s = found.pop("at_s")
            usage = found.pop("usage")
            answer = Answer(**found, usage=None if usage is None else Usage(**usage))
            answer = replace(answer, finish=Finish(answer.finish), is_cached=True)
        except (zlib.error, ValueError, TypeError, LookupError) as error:
            raise ConvergenceError(f"an answer in the cache is damaged ({type(error).__name__})") from error
        return answer if self._clock.now_s() - at_s <= self._max_age_s else None

    def _give_up(self, error: ConvergenceError) -> None:
        self._store = None
        log.warning("cache.left_alone", reason=str(error))


class AnswerCache:
    """What the API answered. `api` is all that decides what is sent and read beside configuration and case.

    `names_cases`: a case's id does too.
    """

    def __init__(self, answers: Answers, *, api: Json, cases: Sequence[TestCase], names_cases: bool) -> None:
        self._answers = answers
        self._api = digest([FORMAT, api])
        self._cases = _case_digests(cases, names_cases=names_cases)

    def key(self, request: Request) -> str:
        """Return what identifies a request and its draw."""
        repeat = request.idempotency_key.rpartition(":")[2]
        return _sha256(f"{self._api}:{self._cases[request.case.id]}:{repeat}:{canonical_json(request.configuration)}")

    async def find(self, request: Request) -> Answer | None:
        """Return the answer that this very request got before, marked as cached; None: there is none young enough."""
        return await self._answers.find(self.key(request))

    async def keep(self, request: Request, answer: Answer) -> None:
        """Keep an answer for the next time."""
        await self._answers.keep(self.key(request), answer)


class HelperCache:
    """What a model that helps to score answered. `api` is all that decides what it is sent beside the request."""

    def __init__(self, answers: Answers, *, api: Json) -> None:
        self._answers = answers
        self._api = digest([FORMAT, "helper", api])

    def key(self, request: Request, repeat: int) -> str:
        """Return what identifies a question about one draw of an answer; its idempotency key holds the vote."""
        question = canonical_json([request.configuration, request.case.input])
        return _sha256(f"{self._api}:{request.idempotency_key}:{repeat}:{question}")

    async def find(self, request: Request, repeat: int) -> Answer | None:
        """Return what was answered to this very question about the same draw, marked as cached."""
        return await self._answers.find(self.key(request, repeat))

    async def keep(self, request: Request, repeat: int, answer: Answer) -> None:
        """Keep an answer for the next time."""
        await self._answers.keep(self.key(request, repeat), answer)


def _case_digests(cases: Sequence[TestCase], *, names_cases: bool) -> dict[CaseId, str]:
    """Return what identifies each case's input; cases that ask the same are told apart by their order."""
    seen: Counter[str] = Counter()
    found = {}
    for case in cases:
        name = digest([case.input, case.metadata, case.id if names_cases else None])
        found[case.id] = f"{name}.{seen[name]}"
        seen[name] += 1
    return found


def _sha256(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> Json:
    if isinstance(value, Usage):
        return {field.name: getattr(value, field.name) for field in fields(Usage)}
    return value
