"""Searches behind the product's own Protocol, seen as methods of the benchmark."""

from collections.abc import Callable, Sequence

from benchmarks.simulation import Result, Verdict, Work
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration
from convergence_cluster.domain.search import Block, Observation

MAX_REPETITION = 2
"""A limited search may propose so many times as many configurations as it may have rows."""

MAX_FREE_ARMS = 100
"""A search that proposed so many known rows in a row has nothing new to say."""


class SearchMethod:
    """An optimizer whose configurations are mapped to rows. A cell that is paid for is never paid again."""

    def __init__(self, search: Optimizer, row_of: Callable[[Configuration], int], max_rows: int | None = None) -> None:
        self._search = search
        self._row_of = row_of
        self._max_rows = max_rows
        self._opened: set[int] = set()
        self._is_over = False
        self._free: set[ArmId] = set()
        self._rows: dict[ArmId, int] = {}
        self._known: dict[tuple[int, int, int], float] = {}
        self._waiting: dict[tuple[int, int, int], list[ArmId]] = {}

    def ask(self) -> Work | None:
        """Return the search's next block, or what of it is not known yet."""
        while len(self._free) < MAX_FREE_ARMS:
            block = None if self._is_over else self._search.ask()
            if not isinstance(block, Block):
                return None
            row = self._row(block)
            if row is None:
                self._is_over = True
                return None
            items = self._unpaid(block, row)
            self._free.add(block.arm)
            if items:
                self._free.clear()
                return Work(row=row, items=items, repeat=block.repeat)
        self._is_over = True
        return None

    def tell(self, result: Result) -> None:
        """Pass one finished call on to every arm that waits for it."""
        cell = (result.row, result.item, result.repeat)
        self._known[cell] = result.score
        self._search.tell([_observation(arm, cell, result.score) for arm in self._waiting.pop(cell)])

    def recommend(self) -> Verdict | None:
        """Return the search's recommendation."""
        recommendation = self._search.recommend()
        best = recommendation.best
        if best is None:
            return None
        row = self._rows[best.arm]
        tied = frozenset({row, *(self._rows[estimate.arm] for estimate in recommendation.tied)})
        return Verdict(row=row, reported=best.score.mean, low=best.score.low, high=best.score.high, tied=tied)

    def scores(self, items: Sequence[str]) -> dict[ArmId, dict[str, float]]:
        """Return each arm's mean score by item, the items named in order."""
        by_row: dict[int, dict[str, list[float]]] = {}
        for (row, item, _), score in self._known.items():
            by_row.setdefault(row, {}).setdefault(items[item], []).append(score)
        means = {row: {name: sum(v) / len(v) for name, v in named.items()} for row, named in by_row.items()}
        return {arm: means[row] for arm, row in self._rows.items() if row in means}

    def _row(self, block: Block) -> int | None:
        row = self._rows.get(block.arm)
        if row is None:
            row = self._row_of(block.configuration)
            self._opened.add(row)
            if self._max_rows is not None and self._is_too_much(self._max_rows):
                return None
            self._rows[block.arm] = row
        return row

    def _is_too_much(self, max_rows: int) -> bool:
        return len(self._opened) > max_rows or len(self._rows) > MAX_REPETITION * max_rows

    def _unpaid(self, block: Block, row: int) -> list[int]:
        items, observations = [], []
        for case in block.cases:
            cell = (row, case, block.repeat)
            if cell in self._known:
                observations.append(_observation(block.arm, cell, self._known[cell]))
            elif cell in self._waiting:
                self._waiting[cell].append(block.arm)
            else:
                self._waiting[cell] = [block.arm]
                items.append(case)
        if observations:
            self._search.tell(observations)
        return items


def _observation(arm: ArmId, cell: tuple[int, int, int], score: float) -> Observation:
    _, case, repeat = cell
    return Observation(arm=arm, case=case, repeat=repeat, kind=OutcomeKind.OK, score=score, objectives=(score,))
