"""The `compress` sandbox: a real API that does real work, whose settings are worth searching."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Awaitable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from convergence_cluster.sandbox.accounting import Accounting
from convergence_cluster.sandbox.codecs import GRID, TAKES, Compression, RejectedParameterError, compress
from convergence_cluster.sandbox.corpus import CorpusFile, corpus
from convergence_cluster.sandbox.wire import HttpRequest, HttpResponse

USD_PER_STORED_MB = 0.02
"""The price of keeping what was stored, so that size is money: fixed, published, and the same for everyone."""


class CompressSandbox:
    """Compresses files of the corpus with the codec and settings of each request."""

    def __init__(self, *, workers: int | None = None) -> None:
        self._files = corpus()
        self._pool = ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1, thread_name_prefix="compress")
        self._books = Accounting()
        self._started_cpu_s = time.process_time()

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Answer one request; compression happens in a thread, so that others are answered meanwhile."""
        match request.method, request.path:
            case "POST", "/compress":
                return self._compress(request)
            case "GET", "/files":
                return _json({"files": [_described(file) for file in self._files.values()]})
            case "GET", "/_sandbox/stats":
                cpu_s = time.process_time() - self._started_cpu_s
                return _json(self._books.report(cpu_s, with_keys="keys=0" not in request.query))
            case _:
                return _refused(404, None, f"{request.method} {request.path} does not exist here")

    async def _compress(self, request: HttpRequest) -> HttpResponse:
        started_s = time.perf_counter()
        key = request.headers.get("idempotency-key", "")
        books, status, usd = self._books, 499, 0.0
        books.begin(key)
        try:
            response = await self._answer(request.body)
            status = response.status
            usd = json.loads(response.body).get("cost_usd", 0.0)
        finally:
            books.end(key, status, time.perf_counter() - started_s, usd)
        return response

    async def _answer(self, body: bytes) -> HttpResponse:
        try:
            parameters = json.loads(body)
        except ValueError:
            return _refused(400, None, "the body is not JSON")
        if not isinstance(parameters, dict):
            return _refused(400, None, "expected an object")
        name = parameters.pop("file", None)
        if not isinstance(name, str) or name not in self._files:
            return _refused(400, "file", f"file {name!r} is unknown; expected one of {', '.join(self._files)}")
        file = self._files[name]
        try:
            work = asyncio.get_running_loop().run_in_executor(self._pool, compress, parameters, file.content)
            return _json(_reported(file, parameters, await work))
        except RejectedParameterError as error:
            return _refused(400, error.param, str(error))

    def close(self) -> None:
        """Finish what is running and free the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def configurations() -> Iterator[dict[str, Any]]:
    """Yield every configuration of the grid; parameters that a codec does not take are absent."""
    for codec, names in TAKES.items():
        values = ((codec,) if name == "codec" else GRID[name] for name in names)
        for chosen in itertools.product(*values):
            yield dict(zip(names, chosen, strict=True))


def measured(configuration: Mapping[str, Any], files: Mapping[str, CorpusFile]) -> dict[str, float]:
    """Return the mean share saved, milliseconds and cost of a configuration over the files, measured here and now."""
    done = [compress(configuration, file.content) for file in files.values()]
    n = len(done)
    return {
        "saved": sum(1.0 - one.size_out / one.size_in for one in done) / n,
        "milliseconds": sum(1000.0 * one.seconds for one in done) / n,
        "cost_usd": sum(one.size_out for one in done) / n * 1e-6 * USD_PER_STORED_MB,
        "n_unverified": sum(not one.verified for one in done),
    }


def _reported(file: CorpusFile, parameters: Mapping[str, Any], done: Compression) -> dict[str, Any]:
    return {
        "file": file.name,
        "parameters": dict(parameters),
        "ratio": round(done.size_in / done.size_out, 6),
        "saved": round(1.0 - done.size_out / done.size_in, 6),
        "size_in": done.size_in,
        "size_out": done.size_out,
        "seconds": round(done.seconds, 6),
        "cpu_seconds": round(done.cpu_seconds, 6),
        "decompress_seconds": round(done.decompress_seconds, 6),
        "cost_usd": done.size_out * 1e-6 * USD_PER_STORED_MB,
        "verified": done.verified,
    }


def _described(file: CorpusFile) -> dict[str, Any]:
    return {"name": file.name, "origin": file.origin, "size": len(file.content)}


def _refused(status: int, param: str | None, message: str) -> HttpResponse:
    error = {"message": message, "type": "invalid_request_error", "param": param}
    return HttpResponse(json.dumps({"error": error}).encode(), status)


def _json(value: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(json.dumps(value).encode())
