"""A complete answer as it came over the wire, and what its status means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.providers.faults import EXCERPT_CHARS, fault

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A complete answer of any status. Secrets that the server echoed are gone."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    latency_s: float
    """From the request's first byte on the socket to the answer's last."""
    where: str
    """Method, host and path, for messages."""
    arrivals: tuple[tuple[int, float], ...] = ()
    """Of a stream of events: how many bytes were there, and after how many seconds since the request's first byte."""

    def json(self) -> Json:
        """Return the decoded body.

        Raises:
            TransientError: the body is not JSON; what the call cost is unknown.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            excerpt = " ".join(self.body[:EXCERPT_CHARS].decode(errors="replace").split())
            message = f"{self.where}: HTTP {self.status}: the answer is not valid JSON ({error}): {excerpt!r}"
            raise TransientError(message, kind="unknown") from None

    def raise_for_status(
        self, configuration: Configuration, now_s: float, aliases: Mapping[str, str] | None = None
    ) -> None:
        """Raise what an error status means for this configuration; return on 2xx.

        `aliases` are further names of the configuration's parameters in the provider's messages.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the provider does not accept a value of the configuration.
            ProviderStopError: wrong key or no money.
            PermanentError: anything else.
        """
        if 200 <= self.status < 300:  # noqa: PLR2004 - the class of success
            return
        text = self.body[: 10 * EXCERPT_CHARS].decode(errors="replace")
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            body = None
        raise fault(
            status=self.status,
            headers=self.headers,
            body=body,
            text=text,
            where=self.where,
            configuration=configuration,
            now_s=now_s,
            aliases=aliases,
        )
