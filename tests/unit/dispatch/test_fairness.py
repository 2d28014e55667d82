"""Turns of studies."""

from collections import Counter

import pytest

from convergence_cluster.dispatch.fairness import QUANTUM, DeficitRoundRobin
from convergence_cluster.domain.identity import StudyId

A, B, C = (StudyId(name) for name in "abc")


def test_room_is_filled_and_not_exceeded() -> None:
    turns = DeficitRoundRobin()

    assert sum(turns.share({A: 1000, B: 3}, 100).values()) == 100
    assert turns.share({A: 5, B: 3}, 100) == {A: 5, B: 3}
    assert turns.share({A: 5}, 0) == {}
    assert turns.share({}, 10) == {}
    assert turns.share({A: 0}, 10) == {}


@pytest.mark.parametrize("room", [1, 3, 7, 16, 50])
def test_studies_share_alike_whatever_they_have(room: int) -> None:
    turns, sent = DeficitRoundRobin(), Counter[StudyId]()

    for _ in range(3000 // room):
        sent.update(turns.share({A: 100_000, B: 5_000, C: 2_000}, room))

    assert max(sent.values()) - min(sent.values()) <= QUANTUM + room


def test_a_study_that_was_idle_has_no_claim_on_the_past() -> None:
    turns, sent = DeficitRoundRobin(), Counter[StudyId]()
    for _ in range(50):
        turns.share({A: 1000, B: 0}, 20)

    for _ in range(50):
        sent.update(turns.share({A: 1000, B: 1000}, 20))

    assert abs(sent[A] - sent[B]) <= QUANTUM + 20


def test_a_study_that_comes_later_gets_its_turn_and_one_that_goes_is_forgotten() -> None:
    turns = DeficitRoundRobin()
    turns.share({A: 1000}, 100)

    shares = turns.share({A: 1000, B: 1000}, 2 * QUANTUM)

    assert set(shares) == {A, B}
    assert turns.share({B: 1000}, 10) == {B: 10}
