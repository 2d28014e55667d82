"""Local APIs for studies whose endpoint is `sandbox://NAME/PATH?OPTION=VALUE`: started as processes of their own."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.spec.loading import LoadedStudy

SCHEME = "sandbox"
_MODULE = "convergence_cluster.sandbox.serve"


@contextmanager
def with_sandbox(study: LoadedStudy) -> Iterator[LoadedStudy]:
    """Give a study whose endpoint can be called; a sandbox that it names runs until the block ends.

    Raises:
        ConvergenceError: the sandbox did not start; the message is its own.
    """
    endpoint = study.spec.api.endpoint or ""
    parts = urlsplit(endpoint)
    if parts.scheme != SCHEME:
        yield study
        return
    arguments = [word for name, value in parse_qsl(parts.query) for word in (f"--{name}", value)]
    with _process(parts.netloc, arguments) as base_url:
        api = study.spec.api.model_copy(update={"endpoint": f"{base_url}{parts.path}"})
        yield dataclasses.replace(study, spec=study.spec.model_copy(update={"api": api}), stands_for=endpoint)


@contextmanager
def _process(name: str, arguments: list[str]) -> Iterator[str]:
    command = [sys.executable, "-m", _MODULE, name, "--port", "0", "--until-eof", *arguments]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C is ours alone: the calls on the wire still want their answers
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        ready = process.stdout.readline()
        if not ready:
            message = process.stderr.read().strip().splitlines()
            raise ConvergenceError(f"the sandbox {name!r} did not start: {message[-1] if message else 'no message'}")
        yield str(json.loads(ready)["url"])
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        process.stderr.close()
