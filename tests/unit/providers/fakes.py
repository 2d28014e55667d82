"""A transport that answers from memory and keeps what it was asked."""

import json
from collections.abc import Mapping
from typing import Any

from convergence_cluster.domain.calls import Request, TestCase
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.replies import Reply


class MemoryTransport:
    def __init__(self, body: bytes = b"{}", *, status: int = 200, content_type: str = "application/json") -> None:
        self.reply = Reply(
            status=status, headers={"content-type": content_type}, body=body, latency_s=0.125, where="POST host/path"
        )
        self.endpoint: Endpoint | None = None
        self.url: str | None = None
        self.headers: dict[str, str] = {}
        self.content: bytes | None = None

    @property
    def sent(self) -> Any:
        return json.loads(self.content or b"null")

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        self.endpoint = endpoint
        self.url, self.headers, self.content = url, dict(headers), content
        return self.reply

    async def close(self) -> None:
        pass


def request(configuration: Mapping[str, Any], case_input: Mapping[str, Any]) -> Request:
    case = TestCase(id=CaseId("one"), input=case_input, metadata={"lang": "en"})
    return Request(configuration=configuration, case=case, idempotency_key="s:0:0:0")
