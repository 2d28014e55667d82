"""Which features describe a configuration: one group per parameter, and pairs of parameters while there is room."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.features import Basis, bases, main_features, pair_features
from convergence_cluster.optimizers.genome import Codec, Rows

MAX_FEATURES = 300
"""Beyond this many features no further pairs are formed: the cost of a fit grows with their cube."""
PAIRS_SHARE = 0.3
"""How much of the variance between arms is expected of all pairs together before anything is known."""


class Design:
    """Turns rows of genes into features. `groups` are the widths after the intercept, `shares` their prior parts."""

    def __init__(self, codec: Codec, pool: Rows | None, *, is_useful: bool = True) -> None:
        self.bases: list[Basis] = bases(codec, pool) if is_useful else []
        self.pairs = _pairs([basis.width for basis in self.bases])
        widths = [basis.width for basis in self.bases]
        self.groups = (*widths, *(widths[j] * widths[k] for j, k in self.pairs))
        self.shares = _shares(len(widths), len(self.pairs))

    def features(self, rows: Rows) -> NDArray[np.float64]:
        """Return the features of rows, shape (n_rows, 1 + sum(groups))."""
        mains = main_features(rows, self.bases)
        pairs = [pair_features(mains[j], mains[k]) for j, k in self.pairs]
        return np.concatenate([np.ones((len(rows), 1)), *mains, *pairs], axis=1)


def _pairs(widths: Sequence[int]) -> list[tuple[int, int]]:
    room = MAX_FEATURES - sum(widths)
    every = sorted((widths[j] * widths[k], j, k) for j in range(len(widths)) for k in range(j + 1, len(widths)))
    chosen = []
    for width, j, k in every:
        room -= width
        if room < 0:
            break
        chosen.append((j, k))
    return chosen


def _shares(n_mains: int, n_pairs: int) -> tuple[float, ...]:
    pairs = PAIRS_SHARE if n_pairs else 0.0
    return ((1.0 - pairs) / max(n_mains, 1),) * n_mains + (pairs / max(n_pairs, 1),) * n_pairs
