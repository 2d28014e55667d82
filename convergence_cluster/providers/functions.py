"""A Python function as the API: what it returns is read like the body of an HTTP answer.

Two signatures, told apart by their parameters' names: `call(params, case)` gets the configuration and the case's input;
any other gets from both what its parameters are called: `call(question, temperature)`. Either may be `async`; a plain
function runs in a thread.
"""

import asyncio
import copy
import inspect
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, TransientError, before_sending
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.response_rule import ResponseReader, ResponseRule

_MAX_THREADS = 256
_WHOLE = frozenset({"params", "case"})
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FunctionProvider:
    """Calls a function; its time is that of the call itself, without waiting for a thread."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        where: str,
        clock: Clock,
        response: ResponseRule | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """`where` is the file and the function's name, for messages."""
        self._function = function
        self._where = where
        self._clock = clock
        self._reader = ResponseReader(response or ResponseRule())
        self._timeout_s = timeout_s
        parameters = inspect.signature(function).parameters.values()
        self._takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        self._names = {parameter.name for parameter in parameters if parameter.kind in _KEYWORDS}
        self._required = {p.name for p in parameters if p.kind in _KEYWORDS and p.default is p.empty}
        self._is_whole = bool(self._names) and self._names <= _WHOLE and not self._takes_all
        self._is_async = inspect.iscoroutinefunction(function)
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="function")

    async def send(self, request: Request) -> Answer:
        """Call the function once.

        Raises:
            TransientError: it raised this, `TimeoutError` or `ConnectionError`, or took too long.
            InfeasibleError: it raised this: the configuration cannot run.
            ProviderStopError: it raised this: no call will succeed any more.
            PermanentError: it raised anything else, or returned what is no JSON.
        """
        with before_sending():
            arguments = self._arguments(request)
        try:
            async with asyncio.timeout(self._timeout_s):
                value, latency_s = await self._call(arguments)
        except (PermanentError, TransientError):
            raise
        except TimeoutError as error:
            said = str(error) or f"no answer within {self._timeout_s:g} s"
            raise TransientError(f"{self._where}: {said}", kind="unknown") from None
        except ConnectionError as error:
            raise TransientError(f"{self._where}: {type(error).__name__}: {error}", kind="unknown") from None
        except (Exception, SystemExit) as error:
            raise PermanentError(f"{self._where} raised {type(error).__name__}: {error}{_line_of(error)}") from error
        return self._read(value, latency_s, request)

    async def close(self) -> None:
        """End the threads; a function that still runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, arguments: Mapping[str, Json]) -> tuple[Any, float]:
        if self._is_async:
            began_s = self._clock.monotonic_s()
            return await self._function(**arguments), self._clock.monotonic_s() - began_s

        def timed() -> tuple[Any, float]:
            began_s = self._clock.monotonic_s()
            return self._function(**arguments), self._clock.monotonic_s() - began_s

        value, latency_s = await asyncio.get_running_loop().run_in_executor(self._threads, timed)
        if not isinstance(value, Awaitable):
            return value, latency_s
        began_s = self._clock.monotonic_s()
        return await value, latency_s + self._clock.monotonic_s() - began_s

    def _arguments(self, request: Request) -> Mapping[str, Json]:
        """Return copies: what the function does to them stays its affair."""
        configuration, case = copy.deepcopy((dict(request.configuration), dict(request.case.input)))
        if self._is_whole:
            return {name: value for name, value in (("params", configuration), ("case", case)) if name in self._names}
        fields = {"params": configuration, "case": case} if self._names & _WHOLE else {}
        fields |= {**case, **configuration}
        if missing := self._required - fields.keys():
            known = ", ".join(sorted(fields))
            raise PermanentError(f"{self._where} wants {', '.join(sorted(missing))}; this call has {known}")
        return fields if self._takes_all else {name: fields[name] for name in self._names & fields.keys()}

    def _read(self, value: Any, latency_s: float, request: Request) -> Answer:
        try:
            body = to_bytes(value)
        except (TypeError, ValueError) as error:
            expected = "a text or what JSON can hold was expected"
            raise PermanentError(f"{self._where} returned {type(value).__name__}; {expected}: {error}") from None
        headers = {"content-type": "application/json"}
        reply = Reply(status=200, headers=headers, body=body, latency_s=latency_s, where=self._where)
        return self._reader.read(reply, request, self._clock.now_s())


def _line_of(error: BaseException) -> str:
    """Return where in the user's code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" (line {frames[-1].lineno} of {frames[-1].filename.rpartition('/')[2]})" if frames else ""
