"""The user's own scoring function, in a Python file beside the study file.

Two signatures, told apart by their parameters' names:

- `score(result, expected, params, metric=None) -> float`, called once per metric. Without a `metric` parameter it is
  called once and its value stands for every metric. `result` is the whole response as JSON.
- `score(prediction, expected, context) -> {metric: float}`, called once, with `prediction = {"result": <response>}`
  and `context = {"params": <configuration>}`.

Either may be `async`; a plain function runs in a thread, so that it never holds up the calls in flight.
"""

import asyncio
import copy
import importlib.util
import inspect
import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import Configuration, Json, digest
from convergence_cluster.metering.scoring import Scoring

_MAX_THREADS = 64
"""A user's function may itself wait, on a judge's API for one; asyncio's own pool has a handful of threads."""
_CONTEXT_NAMES = frozenset({"prediction", "context"})


def load_function(path: Path, function: str, what: str = "custom evaluator") -> Callable[..., Any]:
    """Return a function of a Python file, loaded as a module of its own; modules beside it can be imported by it.

    Raises:
        SpecError: the file cannot be loaded, or has no such function.
    """
    name = f"convergence_evaluator_{digest(str(path.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SpecError(f"{what}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        del sys.modules[name]
        raise SpecError(f"{what}: {path} cannot be loaded: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    loaded = getattr(module, function, None)
    if not callable(loaded):
        raise SpecError(f"{what}: {path} has no function {function!r}")
    return loaded  # type: ignore[no-any-return]  # a callable is all that is known of it


class CustomEvaluator:
    """Scores answers by a user's function; values are clamped to [0, 1], which is noted."""

    def __init__(self, *, path: Path, function: str, metrics: Sequence[str]) -> None:
        self._function = load_function(path, function)
        self._where = f"{path.name}:{function}"
        self._metrics = tuple(metrics)
        parameters = inspect.signature(self._function).parameters
        self._has_context = bool(_CONTEXT_NAMES & parameters.keys())
        self._has_metric = "metric" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="evaluator")
        self._is_async = inspect.iscoroutinefunction(self._function)

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return each metric's value in [0, 1].

        Raises:
            PermanentError: the function raised, or returned anything but a number for each metric.
        """
        calls = self._calls(answer, case, configuration)
        try:
            returned = [await call() for call in calls] if self._is_async else await self._in_thread(calls)
            values = [await value if isinstance(value, Awaitable) else value for value in returned]
        except (Exception, SystemExit) as error:
            raise PermanentError(f"{self._where} raised {type(error).__name__}: {error}") from error
        by_metric = values if len(values) == len(self._metrics) else values * len(self._metrics)
        numbers = {metric: self._number(metric, value) for metric, value in zip(self._metrics, by_metric, strict=True)}
        return {metric: scoring.clamp(metric, number) for metric, number in numbers.items()}

    async def _in_thread(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: [call() for call in calls])

    def _calls(self, answer: Answer, case: TestCase, configuration: Configuration) -> list[Callable[[], Any]]:
        """Return what to call, each with copies of its own: what a user's function does to them stays its affair."""
        result, expected, params = copy.deepcopy((answer.raw, case.expected, dict(configuration)))
        if self._has_context:
            return [lambda: self._function({"result": result}, expected, {"params": params})]
        if not self._has_metric:
            return [lambda: self._function(result, expected, params)]
        return [
            lambda metric=metric: self._function(result, expected, params, metric=metric)  # type: ignore[misc]  # mypy does not infer a lambda's default
            for metric in self._metrics
        ]

    def _number(self, metric: str, value: Json) -> float:
        if isinstance(value, Mapping):
            if metric not in value:
                raise PermanentError(f"{self._where} returned {sorted(map(str, value))}, without the metric {metric!r}")
            value = value[metric]
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isnan(number):
            raise PermanentError(f"{self._where} returned {value!r:.80} for {metric!r}; a number was expected")
        return number
