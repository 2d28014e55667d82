"""How long answers are expected to be."""

import pytest

from convergence_cluster.domain.calls import Usage
from convergence_cluster.trials.expecting import ExpectedOutput


def test_before_the_first_answer_the_requests_own_limit_is_expected() -> None:
    assert ExpectedOutput().tokens(512) == 512
    assert ExpectedOutput().tokens(-1) == 0


def test_afterwards_the_mean_of_the_answers_is_expected_and_never_more_than_the_limit() -> None:
    expected = ExpectedOutput()

    for _ in range(200):
        expected.learn(Usage(output_tokens=40))
        expected.learn(Usage(output_tokens=60))

    assert expected.tokens(512) == pytest.approx(50, abs=2)
    assert expected.tokens(8) == 8
    assert expected.tokens(-1) == pytest.approx(50, abs=2)
