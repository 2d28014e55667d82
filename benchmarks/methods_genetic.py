"""The predecessor's genetic algorithm, as measured from its behaviour: no cache, no noise model, the luckiest wins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.methods_planned import Step, verdict_of
from benchmarks.pools import NearestRow
from benchmarks.tables import Table
from benchmarks.worlds import World

POPULATION = 20
N_ELITES = 2
MUTATION_RATE = 0.2
CROSSOVER_RATE = 0.7
TOURNAMENT = max(2, POPULATION // 4)
NUMBER_SD = 0.1
"""Of a mutated number, as a share of its range."""


class GeneticSearch:
    """Generations of 20 whole configurations; elites are evaluated again in every generation, copies as well.

    Its early stopping is left out: it would end the search after five generations or so.
    """

    def __init__(self, table: Table) -> None:
        self._nearest = NearestRow(table)

    def __call__(self, world: World, horizon: int) -> list[Step]:
        """Return the answers after each generation within the horizon."""
        rng = np.random.default_rng([world.seed, 43])
        rows = rng.integers(world.n_rows, size=POPULATION).tolist()
        n_passes = [0] * world.n_rows
        steps: list[Step] = []
        best_score = -1.0
        calls = POPULATION * world.n_items
        while calls <= horizon:
            scores = []
            for row in rows:
                draws = world.outcomes[n_passes[row] % len(world.outcomes), row]
                n_passes[row] += 1
                scores.append(float(draws.mean()))
                if scores[-1] > best_score:
                    best_score, best = scores[-1], verdict_of(row, draws)
            steps.append(Step(calls=calls, verdict=best))
            rows = self._offspring(rows, scores, rng)
            calls += POPULATION * world.n_items
        return steps

    def _offspring(self, rows: Sequence[int], scores: Sequence[float], rng: np.random.Generator) -> list[int]:
        ranked = sorted(range(len(rows)), key=lambda i: -scores[i])
        children = [rows[i] for i in ranked[:N_ELITES]]
        codes = self._nearest.codes
        while len(children) < POPULATION:
            first = _tournament(scores, rng)
            if rng.random() < CROSSOVER_RATE:
                second = _tournament(scores, rng)
                child = np.where(rng.random(codes.shape[1]) < 0.5, codes[rows[first]], codes[rows[second]])
            else:
                child = self._mutated(codes[rows[first]], rng)
            children.append(self._nearest.of_code(child))
        return children

    def _mutated(self, code: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        child = code.copy()
        for column in np.flatnonzero(rng.random(len(code)) < MUTATION_RATE):
            if self._nearest.is_number[column]:
                child[column] = np.clip(rng.normal(code[column], NUMBER_SD), 0.0, 1.0)
            else:
                others = np.unique(self._nearest.codes[:, column])
                child[column] = rng.choice(others[others != code[column]])
        return child


def _tournament(scores: Sequence[float], rng: np.random.Generator) -> int:
    entrants: list[int] = rng.choice(len(scores), size=TOURNAMENT, replace=False).tolist()
    return max(entrants, key=lambda i: scores[i])
