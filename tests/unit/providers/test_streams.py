"""Streams of events, as they come."""

import pytest

from convergence_cluster.providers.replies import EVENT_STREAM, Reply
from convergence_cluster.providers.streams import EventCheck, first_piece_s, speaks_chat

WHOLE = b'event: x\ndata: {"a": 1}\n\n: a comment\ndata: {"b": [2]}\r\n\r\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_sound_stream_is_sound_however_it_is_cut_into_chunks(size: int) -> None:
    check = EventCheck()

    assert not any(check.is_broken(WHOLE[start : start + size]) for start in range(0, len(WHOLE), size))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_broken_event_is_noticed_with_the_chunk_that_completes_it(size: int) -> None:
    broken = WHOLE + b"data: {broken\n\n"
    check = EventCheck()

    found = [check.is_broken(broken[start : start + size]) for start in range(0, len(broken), size)]

    assert sum(found) == 1
    assert any(found[-2:])


def test_the_first_piece_is_timed_by_the_chunk_that_completed_it() -> None:
    events = [b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n']
    events += [b'data: {"choices": [{"delta": {"reasoning": "hm"}}]}\n\n']
    events += [b'data: {"choices": [{"delta": {"content": "so"}}]}\n\n']
    sizes = [len(event) for event in events]
    arrivals = ((sizes[0], 0.1), (sum(sizes[:2]) + 5, 0.2), (sum(sizes), 0.3))

    def reply(*, timed: bool) -> Reply:
        return Reply(
            status=200,
            headers={"content-type": EVENT_STREAM},
            body=b"".join(events),
            latency_s=0.3,
            where="here",
            arrivals=arrivals if timed else (),
        )

    assert first_piece_s(reply(timed=True), speaks_chat) == 0.3
    assert first_piece_s(reply(timed=False), speaks_chat) is None
    assert first_piece_s(reply(timed=True), lambda _: False) is None
