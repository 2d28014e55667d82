"""Shared words, against what sacrebleu 2.6 (exp smoothing, effective order) and rouge-score 0.1.2 say of the same."""

import pytest

from convergence_cluster.evaluators.overlap import bleu, rouge_n

LONG = "It is a guide to action which ensures that the military always obeys the commands of the party"
LIKE = "It is a guide to action that ensures that the military will forever heed Party commands"


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("the cat sat on the mat", "the cat is on the mat", (0.379918, 0.833333, 0.6)),
        ("Hello, World!", "hello world", (1.0, 1.0, 1.0)),
        (LONG, LIKE, (0.42086, 0.705882, 0.5)),
        ("a b c", "a x c", (0.346681, 0.666667, 0.0)),
        ("one", "one two three", (0.135335, 0.5, 0.0)),
        ("the the the the", "the cat the dog", (0.189959, 0.5, 0.0)),
        ("nothing shared", "wholly different words", (0.0, 0.0, 0.0)),
    ],
)
def test_overlap_is_what_the_usual_tools_say(answer: str, reference: str, expected: tuple[float, float, float]) -> None:
    found = (bleu(answer, [reference]), rouge_n(answer, reference), rouge_n(answer, reference, 2))

    assert found == pytest.approx(expected, abs=1e-6)


def test_several_references_share_the_credit() -> None:
    references = ["the cat is on the mat", "the cat sat there"]

    assert bleu("the cat sat on the mat", references) == pytest.approx(0.508133, abs=1e-6)


def test_an_empty_answer_shares_nothing() -> None:
    assert (bleu("", ["a"]), rouge_n("", "a")) == (0.0, 0.0)
