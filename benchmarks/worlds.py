"""One random world of a table: what each call would answer, fixed by a seed, so that all methods meet the same luck."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """The answers to all calls. Items are in random order, so item 0, 1, 2, … is a fair shared order."""

    outcomes: NDArray[np.float32]
    """Shape (n_repeats, n_configs, n_items)."""
    true_mean: NDArray[np.float64]
    """Shape (n_configs,)."""
    seed: int
    items: tuple[str, ...] = ()
    """What each item is, shape (n_items,): the same in all worlds of a table, unless nothing ties it to one."""

    @property
    def n_rows(self) -> int:
        """How many configurations there are."""
        return int(self.outcomes.shape[1])

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return int(self.outcomes.shape[2])

    @property
    def n_draws(self) -> int:
        """How often one configuration can be called: on every item, as often as there are repeats."""
        return int(self.outcomes.shape[0] * self.outcomes.shape[2])

    def draws(self) -> NDArray[np.float32]:
        """Return shape (n_configs, n_draws): every configuration's answers, pass after pass in the shared order."""
        return np.ascontiguousarray(self.outcomes.transpose(1, 0, 2)).reshape(self.n_rows, -1)

    def tie_breaks(self) -> NDArray[np.float64]:
        """Return shape (n_configs,): a random value below 1e-9 for each row, to add where equal scores are compared."""
        return np.random.default_rng([self.seed, 11]).random(self.n_rows) * 1e-9

    def regret(self, row: int) -> float:
        """Return how far a row is below the best, relative to the best."""
        return self._below_best(float(self.true_mean[row]))

    def blind_regret(self) -> float:
        """Return how far a row is below the best, relative to the best, when it is drawn blindly: on average."""
        return self._below_best(float(self.true_mean.mean()))

    def _below_best(self, score: float) -> float:
        """Return 0 where the best scores nothing: then every row is as good as it."""
        best = float(self.true_mean.max())
        return (best - score) / best if best > 0.0 else 0.0


def draw_world(table: Table, seed: int, *, has_other_items: bool = False) -> World:
    """Return the world of a seed.

    Pseudo-items are shuffled for every configuration, items for all of them alike, and repeats for every cell.
    With other items, as many are drawn with replacement: another set of test cases of the same kind.
    """
    rng = np.random.default_rng([seed, 9])
    if table.is_aggregate:
        outcomes = rng.permuted(table.score, axis=1)[None]
    elif table.repeats is None:
        outcomes = table.score[None]
    else:
        outcomes = np.moveaxis(_shuffled_repeats(table.repeats, rng), 2, 0)
    n_items = outcomes.shape[2]
    order = np.asarray(rng.integers(n_items, size=n_items) if has_other_items else rng.permutation(n_items))
    is_own = table.is_aggregate or has_other_items
    names = tuple(f"{seed}-{place}" if is_own else str(item) for place, item in enumerate(order.tolist()))
    return World(outcomes=outcomes[:, :, order], true_mean=table.true_mean, seed=seed, items=names)


def _shuffled_repeats(repeats: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Shuffle each cell's repeats; absent ones are filled with draws of the same cell."""
    shuffled = rng.permuted(repeats, axis=2)
    absent = np.isnan(shuffled)
    if not absent.any():
        return shuffled
    n_present = np.maximum((~absent).sum(axis=2), 1)
    picks = (rng.random(repeats.shape) * n_present[:, :, None]).astype(np.intp)
    filled = np.where(absent, np.take_along_axis(repeats, picks, axis=2), shuffled)
    return filled.astype(np.float32)
