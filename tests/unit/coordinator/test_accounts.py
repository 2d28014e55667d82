"""The running sums of a study's money."""

from dataclasses import replace

import pytest

from convergence_cluster.coordinator.accounts import CACHED, Accounts
from convergence_cluster.domain.calls import Call
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.journal import SCORING, LedgerEntry
from tests.fakes import STUDY, answer_ok


def entry(usd: float | None, kind: str = "settled", n_attempts: int = 1) -> LedgerEntry:
    return LedgerEntry(key=(ArmId(0), 0, 0), n_attempts=n_attempts, usd=usd, kind=kind)


def call(arm: int) -> Call:
    return Call(study=STUDY, arm=ArmId(arm), configuration={}, case=0, repeat=0, reserved_usd=0.0)


@pytest.mark.parametrize(
    ("entries", "known_usd"),
    [
        ([], 0.0),
        ([entry(None)], None),
        ([entry(None), entry(None, CACHED), entry(None, CACHED)], None),
        ([entry(None), entry(0.2)], 0.2),
        ([entry(None), entry(0.1, SCORING, 0)], 0.1),
        ([entry(0.3, CACHED)], 0.0),
        ([entry(0.0)], 0.0),
    ],
)
def test_money_is_unknown_where_no_paid_call_has_a_price(entries: list[LedgerEntry], known_usd: float | None) -> None:
    accounts = Accounts()

    accounts.book(entries)

    assert accounts.known_usd == known_usd


def test_attempts_beyond_the_draws_of_a_call_are_retries() -> None:
    accounts = Accounts()
    once, thrice = call(0), call(1)

    accounts.count(answer_ok(once, n_attempts=1), 0.5)
    accounts.count(answer_ok(thrice, n_attempts=3), 0.5)
    accounts.count(answer_ok(replace(thrice, n_draws=4), n_attempts=5), 0.5)

    assert accounts.n_retries == 3
