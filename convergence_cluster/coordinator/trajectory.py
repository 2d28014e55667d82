"""How the incumbent changed as calls came in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import Incumbent, Interval

_FIRST_MARKS = 8
_GROWTH = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The incumbent after a number of finished calls."""

    n_calls: int
    arm: ArmId
    score: Interval


class Trajectory:
    """Asks for the answer at marks that depend on the number of calls alone, so that a replay has the same points.

    With recorded `points` it adds none.
    """

    def __init__(self, points: Sequence[Point] | None = None) -> None:
        self.points = list(points or ())
        self._next_mark = inf if points is not None else 1.0

    def note(self, n_calls: int, incumbent: Callable[[], Incumbent | None]) -> None:
        """Add a point if a mark was passed; marks lie about 4 % apart, so their number grows with the logarithm."""
        if n_calls < self._next_mark:
            return
        self._next_mark = n_calls + max(_FIRST_MARKS, n_calls // _GROWTH)
        found = incumbent()
        if found is not None:
            self.points.append(Point(n_calls=n_calls, arm=found.arm, score=found.score))
