"""When an API is taken to be away."""

from convergence_cluster.coordinator.outage import Outage
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId
from tests.fakes import STUDY, answer_ok


def call(number: int) -> Call:
    return Call(study=STUDY, arm=ArmId(0), case=number, repeat=0, configuration={}, reserved_usd=0.0)


def lost(n: int) -> list[CallOutcome]:
    return [CallOutcome(call=call(case), kind=OutcomeKind.FAILED, is_passing=True) for case in range(n)]


def test_calls_in_a_row_are_counted_also_where_the_search_waits_for_each_few() -> None:
    outage = Outage(parallelism=4)

    waves = [[*outage.screen(lost(4), is_last=False), *outage.screen((), is_last=True)] for _ in range(6)]

    assert [{outcome.halts for outcome in wave} for wave in waves] == [{False}] * 4 + [{True}] * 2


def test_an_answer_ends_the_row() -> None:
    outage = Outage(parallelism=4)

    final = [o for _ in range(5) for o in outage.screen([*lost(19), answer_ok(call(99))], is_last=False)]

    assert len(final) == 100
    assert not any(outcome.halts for outcome in final)


def test_an_answer_that_comes_after_all_does_not_make_failures_of_the_rest() -> None:
    outage = Outage(parallelism=4)
    outage.screen(lost(20), is_last=False)

    final = outage.screen([answer_ok(call(99)), *lost(3)], is_last=True)

    assert [outcome.halts for outcome in final] == [False, True, True, True]
