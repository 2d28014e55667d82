"""When no answer of a study can be scored."""

from dataclasses import replace

from convergence_cluster.coordinator.fruitless import Fruitless
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId
from tests.fakes import STUDY, answer_ok


def call(arm: int, case: int = 0) -> Call:
    return Call(study=STUDY, arm=ArmId(arm), case=case, repeat=0, configuration={})


def unscored(n_arms: int, *, error: str = "evaluator.py:score_response raised KeyError: 'text'") -> list[CallOutcome]:
    """Return four answers of each arm that could not be scored."""
    return [
        CallOutcome(call=call(arm, case), kind=OutcomeKind.FAILED, error=error, latency_s=0.1)
        for arm in range(n_arms)
        for case in range(4)
    ]


def test_forty_answers_that_fail_in_the_same_words_are_enough() -> None:
    fruitless = Fruitless(parallelism=5)

    assert not fruitless.note(unscored(10)[:-1])
    assert fruitless.note(unscored(10)[-1:])


def test_more_workers_wait_for_more() -> None:
    assert not Fruitless(parallelism=50).note(unscored(24))
    assert Fruitless(parallelism=50).note(unscored(25))


def test_few_configurations_may_all_be_wrong() -> None:
    assert not Fruitless(parallelism=5).note([*unscored(9), *unscored(9)])


def test_one_score_ends_the_counting_for_good() -> None:
    fruitless = Fruitless(parallelism=5)
    fruitless.note([answer_ok(call(0))])

    assert not fruitless.note(unscored(30))


def test_a_score_of_an_earlier_sitting_counts() -> None:
    assert not Fruitless(parallelism=5).note(unscored(10), among=[*unscored(10), answer_ok(call(3))])


def test_what_differs_by_configuration_or_passes_is_not_counted() -> None:
    apart = [outcome for arm in range(30) for outcome in unscored(1, error=f"no such model {arm}")]
    refused = [replace(outcome, kind=OutcomeKind.INFEASIBLE) for outcome in unscored(30)]
    passing = [replace(outcome, is_passing=True) for outcome in unscored(30)]
    unanswered = [replace(outcome, latency_s=None) for outcome in unscored(30)]

    assert not any(Fruitless(parallelism=5).note(calls) for calls in (apart, refused, passing, unanswered))
