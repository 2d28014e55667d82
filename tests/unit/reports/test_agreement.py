"""How far a judge agrees with people."""

import pytest

from convergence_cluster.reports.agreement import agreement, kappa


def test_kappa_is_the_published_one() -> None:
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15

    assert kappa(pairs) == pytest.approx(0.4)  # 50 grant proposals, the usual textbook table


@pytest.mark.parametrize("pairs", [[], [(True, True)] * 3])
def test_without_any_difference_kappa_is_undefined(pairs: list[tuple[bool, bool]]) -> None:
    assert kappa(pairs) is None


def test_kappa_is_at_zero_for_chance_and_below_for_contradiction() -> None:
    assert kappa([(True, True), (True, False), (False, True), (False, False)]) == 0.0
    assert kappa([(True, False), (False, True)]) == -1.0


def test_the_sentence_counts_what_both_say() -> None:
    graded = [(1.0, 1.0), (0.75, 1.0), (0.25, 0.0), (0.5, 0.0), (None, 1.0)]

    assert agreement("tone", graded, mark=0.5) == (
        "tone: the judge agrees with 3 of 4 labels on what passes (from 0.5 on), 75 %, kappa 0.50; its value is off by "
        "0.25 on average, 1 label without a verdict"
    )
    assert "agrees with 4 of 4 labels on what passes (from 0.75 on)" in agreement("tone", graded, mark=0.75)


def test_a_judge_that_agrees_little_is_called_so() -> None:
    sentence = agreement("tone", [(1.0, 0.0), (0.0, 1.0)], mark=0.5)

    assert "kappa -1.00" in sentence
    assert sentence.endswith("a score by such a judge says little: make the rubric plainer, or take another judge")


def test_without_a_verdict_there_is_nothing_to_say() -> None:
    assert agreement("tone", [(None, 1.0)], mark=0.5) == (
        "tone: the judge was compared with no label, 1 label without a verdict"
    )
