"""What is not opened of a space that is too large to list: a sample of it stands for all."""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.mixtures import Sampled
from convergence_cluster.optimizers.model import Model

N_SAMPLE = 2048
PER_RANGE = 10
"""Values of a range that are told apart: nearer ones are taken for one."""


class Unopened:
    """The sample, which of it was opened, and how many configurations there are in all."""

    def __init__(self, codec: Codec, design: Design) -> None:
        self._is_real = np.array([gene.is_real for gene in codec.genes])
        self._design = design
        rng = np.random.default_rng(0)
        rows = codec.repair(codec.random(N_SAMPLE, rng), rng)
        cells = self._cells(rows)
        _, first = np.unique(cells, return_index=True)
        self._rows = rows[np.sort(first)]
        self._keys = [cells[k] for k in np.sort(first)]
        self._features: NDArray[np.float64] | None = None
        self._count = float(np.prod([PER_RANGE if gene.levels is None else len(gene.levels) for gene in codec.genes]))
        self._opened: set[bytes] = set()

    def take(self, row: NDArray[np.float64]) -> None:
        """Note that one was opened."""
        self._opened.add(self._cells(row[None])[0])

    def redesign(self) -> None:
        """Forget features of the former design."""
        self._features = None

    def rest(self, model: Model) -> Sampled:
        """Return what the model expects of those not opened, but for odd ones: of those there may always be one."""
        if self._features is None:
            self._features = self._design.features(self._rows)
        left = np.array([key not in self._opened for key in self._keys], dtype=bool)
        each = max(self._count - len(self._opened), 0.0) / max(int(left.sum()), 1)
        left &= model.feasibility.likely(self._features)
        parts = model.parts(model.expected(self._features[left], self._rows[left]))
        parts.shares[2] = 0.0
        return Sampled(each=each, sample=parts)

    def _cells(self, rows: Rows) -> list[bytes]:
        cells = np.where(self._is_real, np.floor(np.minimum(rows, 1.0 - 1e-9) * PER_RANGE), rows)
        return [cell.tobytes() for cell in np.nan_to_num(cells, nan=-1.0)]
