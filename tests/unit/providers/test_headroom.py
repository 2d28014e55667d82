"""Hearing from an answer how much room is left."""

import asyncio
from dataclasses import replace

import pytest

from convergence_cluster.domain.calls import Allowance
from convergence_cluster.providers.headroom import Headroom
from convergence_cluster.providers.http import Endpoint
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport


@pytest.mark.parametrize(("status", "remaining", "told"), [(200, "0", [9.0]), (200, "4", []), (429, "0", [0.0])])
def test_an_answer_that_was_the_last_one_is_told(status: int, remaining: str, told: list[float]) -> None:
    heard: list[Allowance] = []
    transport = MemoryTransport(status=status)
    headers = {"x-ratelimit-remaining-tokens": remaining, "x-ratelimit-reset-tokens": "9s"}
    transport.reply = replace(transport.reply, headers=headers)
    headroom = Headroom(transport, clock=FixedClock(), heed=heard.append)

    reply = asyncio.run(headroom.exchange(Endpoint(url="http://host/path"), headers={}, content=b""))

    assert reply is transport.reply
    assert [allowance.hold_s for allowance in heard] == told
