"""Answers that arrive in pieces, and chat completions put together into the answer that they would have been in one."""

import json
from collections.abc import Callable, Iterator, Mapping

from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.replies import EVENT_STREAM, Reply

_DONE = b"[DONE]"


def is_stream(reply: Reply) -> bool:
    """Say whether an answer is a stream of events."""
    return reply.headers.get("content-type", "").startswith(EVENT_STREAM)


def first_piece_s(reply: Reply, speaks: Callable[[Mapping[str, Json]], bool]) -> float | None:
    """Return when the first event with a piece of the answer arrived, in seconds since the request; None: unknown.

    What a server compresses is counted after it is unpacked, as the times of arrival are.
    """
    n_bytes = 0
    for line in reply.body.splitlines(keepends=True):
        n_bytes += len(line)
        if not line.startswith(b"data:") or (event := _decoded(line)) is None or not speaks(event):
            continue
        return next((elapsed_s for n_arrived, elapsed_s in reply.arrivals if n_arrived >= n_bytes), None)
    return None


class EventCheck:
    """Looks at a stream while it comes, so that one that is broken is left at once."""

    def __init__(self) -> None:
        self._rest = b""

    def is_broken(self, chunk: bytes) -> bool:
        """Say whether this chunk completes an event that is no JSON."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return any(line.startswith(b"data:") and not _is_json(line) for line in lines)


def speaks_chat(event: Mapping[str, Json]) -> bool:
    """Say whether a chunk of a completion holds a piece of the answer; what a model thinks first is none."""
    delta = _first(event.get("choices")).get("delta")
    return isinstance(delta, Mapping) and any(delta.get(name) for name in ("content", "refusal", "tool_calls"))


def assemble_chat(reply: Reply) -> Json:
    """Return a streamed completion as one body, or the body of the error that ended it.

    Raises:
        TransientError: the stream ended without a finish reason.
    """
    body: dict[str, Json] = {}
    texts: dict[str, list[str]] = {"content": [], "refusal": []}
    reason: Json = None
    for chunk in events(reply):
        if chunk.get("error"):
            return chunk
        body |= {key: value for key, value in chunk.items() if key in {"id", "model", "usage"} and value is not None}
        choice = _first(chunk.get("choices"))
        delta = choice.get("delta")
        for name, pieces in texts.items():
            if isinstance(delta, Mapping) and isinstance(piece := delta.get(name), str):
                pieces.append(piece)
        reason = choice.get("finish_reason") or reason
    if reason is None:
        raise ended_early(reply)
    message = {"role": "assistant"} | {name: "".join(pieces) or None for name, pieces in texts.items()}
    return body | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


def events(reply: Reply) -> Iterator[Mapping[str, Json]]:
    """Yield the objects of a stream of events.

    Raises:
        TransientError: the stream broke off within one.
    """
    for line in reply.body.splitlines():
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or data == _DONE:
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise TransientError(f"{reply.where}: the stream was cut", kind="unknown", is_outage=True) from None
        if isinstance(chunk, Mapping):
            yield chunk


def _is_json(line: bytes) -> bool:
    data = line.removeprefix(b"data:").strip()
    try:
        return data == _DONE or json.loads(data) is not None
    except (ValueError, RecursionError):
        return False


def _decoded(line: bytes) -> Mapping[str, Json] | None:
    data = line.removeprefix(b"data:").strip()
    try:
        event = None if data == _DONE else json.loads(data)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, Mapping) else None


def ended_early(reply: Reply) -> TransientError:
    """Return what to raise for a stream without an end; vendors' own clients take such a half for a whole."""
    message = f"{reply.where}: the stream ended before the answer did"
    return TransientError(message, kind="unknown", is_outage=True)


def _first(choices: Json) -> Mapping[str, Json]:
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, Mapping) else {}
