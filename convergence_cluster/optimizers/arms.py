"""The opened arms: what they are, what the model expects of them, and what is believed of them now."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmState
from convergence_cluster.optimizers.candidates import Proposal
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.surrogate import Prior

Floats = NDArray[np.float64]

_COLUMNS = ("prior_mean", "prior_variance", "mean", "variance")


@dataclass(kw_only=True, slots=True)
class Birth:
    """The circumstances in which an arm was opened, for the operator's credit."""

    operator: str
    context: Floats
    incumbent: float
    is_credited: bool = False


@dataclass(kw_only=True, slots=True)
class Arms:
    """Arrays over the opened arms, by arm id; they grow by doubling and are read through their properties."""

    n: int = 0
    configurations: list[Configuration] = field(default_factory=list)
    states: list[ArmState] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    _features: Floats = field(default_factory=lambda: np.zeros((64, 1)))
    _rows: Floats = field(default_factory=lambda: np.zeros((64, 1)))
    _columns: Floats = field(default_factory=lambda: np.zeros((len(_COLUMNS), 64)))
    _alive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(64, dtype=bool))

    @property
    def features(self) -> Floats:
        """Shape (n, n_features)."""
        return self._features[: self.n]

    @property
    def rows(self) -> Floats:
        """Genes, shape (n, n_genes)."""
        return self._rows[: self.n]

    @property
    def prior_means(self) -> Floats:
        """What the model expects of each arm without its own calls."""
        return self._columns[0, : self.n]

    @property
    def prior_variances(self) -> Floats:
        """How sure the model is of that."""
        return self._columns[1, : self.n]

    @property
    def means(self) -> Floats:
        """Posterior means of the arms' true scores."""
        return self._columns[2, : self.n]

    @property
    def variances(self) -> Floats:
        """Posterior variances of the arms' true scores."""
        return self._columns[3, : self.n]

    @property
    def is_alive(self) -> NDArray[np.bool_]:
        """Whether each arm may get more calls."""
        return self._alive[: self.n]

    def open(self, proposal: Proposal, birth: Birth, mean: float, variance: float) -> int:
        """Add an arm of which so much is expected, and return its id."""
        if self.n == 0:
            self._features = np.zeros((64, len(proposal.features)))
            self._rows = np.zeros((64, len(proposal.row)))
        if self.n == len(self._alive):
            self._grow()
        self._features[self.n], self._rows[self.n] = proposal.features, proposal.row
        self._columns[:, self.n] = (mean, variance, mean, variance)
        self._alive[self.n] = True
        self.configurations.append(proposal.configuration)
        self.states.append(ArmState.ALIVE)
        self.births.append(birth)
        self.n += 1
        return self.n - 1

    def retire(self, arm: int, state: ArmState) -> None:
        """Take an arm out of the race."""
        self._alive[arm] = state is ArmState.ALIVE
        self.states[arm] = state

    def learn(self, arm: int, mean: float, error: float) -> None:
        """Update one arm's posterior from the mean of its calls and the variance of that mean's error."""
        prior = float(self._columns[1, arm])
        kept = prior / (prior + error)
        self._columns[2, arm] = self._columns[0, arm] + kept * (mean - self._columns[0, arm])
        self._columns[3, arm] = kept * error

    def relearn(self, prior: Prior, evidence: Evidence) -> None:
        """Update every arm's posterior from a new prior and all calls."""
        means, errors = evidence.means(), evidence.errors()
        known = np.isfinite(errors)
        safe = np.where(known, errors, 1.0)
        kept = np.where(known, prior.variances / (prior.variances + safe), 0.0)
        self._columns[0, : self.n] = prior.means
        self._columns[1, : self.n] = prior.variances
        self._columns[2, : self.n] = prior.means + kept * np.where(known, means - prior.means, 0.0)
        self._columns[3, : self.n] = np.where(known, kept * safe, prior.variances)

    def _grow(self) -> None:
        self._features, self._rows = np.tile(self._features, (2, 1)), np.tile(self._rows, (2, 1))
        self._columns, self._alive = np.tile(self._columns, (1, 2)), np.tile(self._alive, 2)
