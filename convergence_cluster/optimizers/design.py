"""Which features describe a configuration: one group per parameter, and pairs as arms become many enough to tell.

Pairs are tried where both parameters matter by themselves (effect heredity). A parameter of very many levels gets
features once there are as many arms. Source: Chipman 1996, "Bayesian variable selection with related predictors".
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.features import Basis, bases, main_features, pair_features
from convergence_cluster.optimizers.genome import Codec, Rows

MAX_FEATURES = 300
"""The cost of a fit grows with the cube of the features."""
MIN_FEATURES = 24
WIDE = 64
"""A parameter of more features than this has to wait for its turn like a pair."""
PAIR_SHARE = 0.3
"""How much of the variance between arms is expected of all pairs together before anything is known."""

Group = tuple[int, ...]
"""One or two places in the list of bases."""


class Design:
    """Turns rows of genes into features: the constant 1, then those of `groups`."""

    def __init__(self, codec: Codec, pool: Rows | None, *, is_useful: bool = True) -> None:
        self._bases: list[Basis] = bases(codec, pool) if is_useful else []
        self._widths = [basis.width for basis in self._bases]
        self.groups: tuple[Group, ...] = ()
        self.grow(0, {})

    @property
    def widths(self) -> tuple[int, ...]:
        """How many features each group has."""
        return tuple(int(np.prod([self._widths[j] for j in group])) for group in self.groups)

    def shares(self) -> tuple[float, ...]:
        """Return the part of the variance between arms that is expected of each group."""
        n_pairs = sum(len(group) == 2 for group in self.groups)  # noqa: PLR2004  two parameters
        n_mains = len(self.groups) - n_pairs
        pairs = PAIR_SHARE if n_pairs else 0.0
        return tuple((1 - pairs) / n_mains if len(group) == 1 else pairs / n_pairs for group in self.groups)

    def main_slices(self) -> list[slice]:
        """Return where the features of single parameters lie."""
        edges = np.cumsum([1, *self.widths]).tolist()
        ends = list(itertools.pairwise(edges))
        return [slice(a, b) for group, (a, b) in zip(self.groups, ends, strict=True) if len(group) == 1]

    def grow(self, n_arms: int, variances: dict[Group, float]) -> bool:
        """Choose the groups for so many arms by what was explained so far, and say whether they changed."""
        narrow: list[Group] = [(j,) for j, width in enumerate(self._widths) if width <= WIDE]
        room = min(max(n_arms, MIN_FEATURES), MAX_FEATURES) - sum(self._widths[j] for (j,) in narrow)
        waiting: list[tuple[float, Group]] = [
            (variances.get((j,), 1.0), (j,)) for j, width in enumerate(self._widths) if width > WIDE and width <= n_arms
        ]
        for (j,), (k,) in itertools.combinations(narrow, 2):
            promise = (variances.get((j,), 0.0) * variances.get((k,), 0.0)) ** 0.5
            waiting.append((promise, (j, k)))
        chosen = list(narrow)
        for _, group in sorted(waiting, key=lambda pair: -pair[0]):
            width = int(np.prod([self._widths[j] for j in group]))
            if width <= room:
                room -= width
                chosen.append(group)
        is_new = tuple(chosen) != self.groups
        self.groups = tuple(chosen)
        return is_new

    def features(self, rows: Rows) -> NDArray[np.float64]:
        """Return the features of rows, shape (n_rows, 1 + sum(widths))."""
        mains = main_features(rows, self._bases)
        parts = [mains[g[0]] if len(g) == 1 else pair_features(mains[g[0]], mains[g[1]]) for g in self.groups]
        return np.concatenate([np.ones((len(rows), 1)), *parts], axis=1)
