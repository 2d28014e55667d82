"""The test cases that the simulated models know, with the answers that they may get right."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One test case."""

    id: str
    prompt: str
    expected: str
    category: str
    difficulty: float
    """In logits, about -1 (anyone knows) to 3 (few models do)."""
    wrong: str
    """What a model says that gets it wrong; never contains `expected`."""


@cache
def quickstart_questions() -> tuple[Question, ...]:
    """Return the questions of the quickstart, in the order of its case file."""
    text = resources.files("convergence_cluster.sandbox").joinpath("questions.json").read_text("utf-8")
    cases = json.loads(text)
    return tuple(_question(case, cases) for case in cases)


def numbered_questions(name: str, n_cases: int) -> tuple[Question, ...]:
    """Return questions of a landscape that grades its answers by a number instead of words."""
    return tuple(
        Question(
            id=f"{name}-{index:02d}",
            prompt=f"Simulated question {index} of landscape {name}.",
            expected="",
            category=f"group-{index % 4}",
            difficulty=0.0,
            wrong="",
        )
        for index in range(n_cases)
    )


def as_test_cases(questions: tuple[Question, ...]) -> list[dict[str, Any]]:
    """Return questions in the form of a study's case file."""
    return [
        {
            "id": question.id,
            "input": {"prompt": question.prompt},
            "expected": question.expected,
            "metadata": {"category": question.category, "difficulty": question.difficulty},
        }
        for question in questions
    ]


def _question(case: dict[str, Any], cases: list[dict[str, Any]]) -> Question:
    return Question(
        id=case["id"],
        prompt=case["input"]["prompt"],
        expected=case["expected"],
        category=case["metadata"]["category"],
        difficulty=case["metadata"]["difficulty"],
        wrong=_wrong(case, cases),
    )


def _wrong(case: dict[str, Any], cases: list[dict[str, Any]]) -> str:
    """Return the answer to another question of the same category, the next one that does not answer this one too."""
    start = cases.index(case)
    expected = case["expected"].lower()
    others = (cases[(start + offset) % len(cases)] for offset in range(1, len(cases)))
    return next(
        str(other["expected"])
        for other in others
        if other["metadata"]["category"] == case["metadata"]["category"] and expected not in other["expected"].lower()
    )
