"""The answer of an ended study as JSON, so that its report can be made again by any later version of the search."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from convergence_cluster.coordinator.trajectory import Point
from convergence_cluster.domain.identity import ArmId, Json
from convergence_cluster.domain.journal import Asked, History
from convergence_cluster.domain.search import (
    EXTRA,
    ArmEstimate,
    ArmState,
    Block,
    Incumbent,
    Interval,
    Observation,
    Recommendation,
    StopReason,
)


def dump_answer(answer: Recommendation, points: Sequence[Point]) -> str:
    """Return a full recommendation and the way to it as JSON text."""
    return json.dumps({"answer": asdict(answer), "points": [asdict(point) for point in points]})


class RecordedSearch:
    """An `Optimizer` that decides what was decided, and answers what was answered."""

    def __init__(self, text: str, history: History) -> None:
        document = json.loads(text)
        self._answer = parse_recommendation(document["answer"])
        self._blocks: Iterator[Block] = iter(
            [event.block for event in history.events if isinstance(event, Asked) and event.block.operator not in EXTRA]
        )
        self.points = [
            Point(n_calls=point["n_calls"], arm=ArmId(point["arm"]), score=Interval(**point["score"]))
            for point in document["points"]
        ]

    def ask(self) -> Block | StopReason | None:
        """Return the next block of the journal."""
        return next(self._blocks, None)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn nothing: the answer is known."""

    def recommend(self, *, full: bool = False) -> Recommendation:
        """Return the recorded answer, always with every arm."""
        del full
        return self._answer

    def incumbent(self) -> Incumbent | None:
        """Return the recorded answer's arm."""
        return self._answer.incumbent

    def learned(self) -> Mapping[str, Json]:
        """Return nothing."""
        return {}


def parse_recommendation(values: dict[str, Any]) -> Recommendation:
    """Return the recommendation that `asdict` and JSON made of one."""
    many = ("tied", "front", "arms")
    return Recommendation(
        **{
            **values,
            **{name: tuple(_arm(arm) for arm in values[name]) for name in many},
            "best": values["best"] and _arm(values["best"]),
            "baseline": values["baseline"] and _arm(values["baseline"]),
            "change": values["change"] and Interval(**values["change"]),
        }
    )


def _arm(values: dict[str, Any]) -> ArmEstimate:
    return ArmEstimate(
        **{
            **values,
            "state": ArmState(values["state"]),
            "score": Interval(**values["score"]),
            "objectives": tuple(Interval(**interval) for interval in values["objectives"]),
        }
    )
