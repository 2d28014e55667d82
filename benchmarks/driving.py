"""Running an optimizer against a simulator, with several calls at once that finish in the order they were sent."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Block, Observation, SearchProblem

Answer: TypeAlias = tuple[float, tuple[float, ...]]
"""The score in [0, 1] and the raw objectives of one call."""
Evaluate: TypeAlias = Callable[[Configuration, int, int], Answer]
"""From a configuration, a case and a repeat to the answer."""
Make: TypeAlias = Callable[[SearchProblem], Optimizer]


def drive(search: Optimizer, evaluate: Evaluate, *, n_calls: int, n_workers: int) -> Iterator[int]:
    """Make up to so many calls; yield their number after each one."""
    queue: deque[tuple[Block, int]] = deque()
    flying: deque[tuple[Block, int]] = deque()
    n_sent = n_told = 0
    while True:
        while len(flying) < n_workers and n_sent < n_calls:
            if not queue:
                decision = search.ask()
                if not isinstance(decision, Block):
                    break
                queue.extend((decision, case) for case in decision.cases)
            flying.append(queue.popleft())
            n_sent += 1
        if not flying:
            return
        block, case = flying.popleft()
        score, objectives = evaluate(block.configuration, case, block.repeat)
        search.tell(
            [
                Observation(
                    arm=block.arm,
                    case=case,
                    repeat=block.repeat,
                    kind=OutcomeKind.OK,
                    score=score,
                    objectives=objectives,
                )
            ]
        )
        n_told += 1
        yield n_told


def hypervolume(points: NDArray[np.float64]) -> float:
    """Return the volume between the origin and `points`, shape (n, n_objectives), all to be maximised, exactly.

    Source: slicing by the last objective, as in While et al., "A faster algorithm for calculating hypervolume" (2006).
    """
    points = points[(points > 0).all(axis=1)] if len(points) else points
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    order = np.argsort(-points[:, -1], kind="stable")
    points = points[order]
    heights = points[:, -1] - np.append(points[1:, -1], 0.0)
    return sum(float(h) * hypervolume(points[: k + 1, :-1]) for k, h in enumerate(heights) if h > 0)


def greedy_subset(points: NDArray[np.float64], size: int) -> list[int]:
    """Return the rows that, added one by one, enlarge the hypervolume most."""
    chosen: list[int] = []
    while len(chosen) < min(size, len(points)):
        rest = [row for row in range(len(points)) if row not in chosen]
        volumes = [hypervolume(points[[*chosen, row]]) for row in rest]
        chosen.append(rest[int(np.argmax(volumes))])
    return chosen


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def mean_and_error(values: Mapping[int, float] | list[float]) -> str:
    """Return the mean with its standard error."""
    array = np.array(list(values.values()) if isinstance(values, Mapping) else values, dtype=float)
    error = array.std(ddof=1) / np.sqrt(len(array)) if len(array) > 1 else float("nan")
    return f"{array.mean():.3f} ± {error:.3f}"
