"""The opened arms: what they are, what the model expects of them, and what is believed of them now."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmState
from convergence_cluster.optimizers.deviations import Deviations
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.mixtures import N_PARTS, Parts, posterior
from convergence_cluster.optimizers.surrogate import Prior, Told

Floats = NDArray[np.float64]

_N_COLUMNS = 8 + 3 * N_PARTS
"""Prior mean and variance by the model's weights, posterior mean and variance, the factor on deviations, what earlier
studies say, and the posterior's parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A configuration that may become an arm."""

    configuration: Configuration
    features: Floats
    operator: str
    row: Floats
    """Its genes."""
    is_guess: bool = False
    """Nothing speaks for it; one call is enough to see whether anything does."""


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
    out: list[int] = field(default_factory=list)
    """The arms that cannot run."""
    _waiting: list[int] = field(default_factory=list)
    _features: Floats = field(default_factory=lambda: np.zeros((64, 1)))
    _rows: Floats = field(default_factory=lambda: np.zeros((64, 1)))
    _columns: Floats = field(default_factory=lambda: np.zeros((_N_COLUMNS, 64)))
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
    def told(self) -> Told:
        """What earlier studies say of each arm."""
        return self._told(slice(0, self.n))

    @property
    def is_alive(self) -> NDArray[np.bool_]:
        """Whether each arm may get more calls."""
        return self._alive[: self.n]

    def open(self, proposal: Proposal, birth: Birth, prior: Prior, deviations: Deviations) -> int:
        """Add an arm of which the weights say so much, and return its id."""
        if self.n == 0:
            self._features = np.zeros((64, len(proposal.features)))
            self._rows = np.zeros((64, len(proposal.row)))
        if self.n == len(self._alive):
            self._grow()
        self._features[self.n], self._rows[self.n] = proposal.features, proposal.row
        self._columns[:2, self.n] = (prior.means[0], prior.variances[0])
        self._store(slice(self.n, self.n + 1), deviations.prior(prior))
        self._columns[4, self.n] = prior.scales[0]
        self._columns[5:8, self.n] = (prior.told.means[0], prior.told.variances[0], prior.told.shares[0])
        self._alive[self.n] = True
        self.configurations.append(proposal.configuration)
        self.states.append(ArmState.ALIVE)
        self.births.append(birth)
        self._waiting.append(self.n)
        self.n += 1
        return self.n - 1

    def redesign(self, features: Floats) -> None:
        """Replace the features of all arms, shape (n, n_features)."""
        self._features = np.zeros((len(self._alive), features.shape[1]))
        self._features[: self.n] = features

    def uncredited(self) -> list[int]:
        """Return the arms whose operator has not been credited, and forget those that have been."""
        self._waiting = [arm for arm in self._waiting if not self.births[arm].is_credited]
        return self._waiting

    def retire(self, arm: int, state: ArmState) -> None:
        """Take an arm out of the race."""
        self._alive[arm] = state is ArmState.ALIVE
        if state is ArmState.OUT and self.states[arm] is not state:
            self.out.append(arm)
        self.states[arm] = state

    def learn(self, arm: int, deviations: Deviations, evidence: Evidence) -> None:
        """Update one arm's posterior from its calls; see `relearn`."""
        here = slice(arm, arm + 1)
        means, variances, scales = self._columns[[0, 1, 4], here]
        prior = deviations.prior(Prior(means=means, variances=variances, scales=scales, told=self._told(here)))
        seen = np.array([evidence.mean_of(arm)])
        first = np.array([evidence.errors_of(arm, prior.means[:, 0], prior.variances[:, 0])]).T
        guess = posterior(prior, seen, first)
        last = np.array([evidence.errors_of(arm, guess.means[:, 0], guess.variances[:, 0])]).T
        self._store(here, _rescaled(guess, first, last))

    def relearn(self, prior: Prior, deviations: Deviations, evidence: Evidence) -> None:
        """Update every arm's posterior from a new prior and all calls.

        How far a mean is drawn to the prior is decided by the scatter that the prior expects, for its own would
        be small just when the arm was lucky; how sure the result is, by the scatter of an arm of that result.
        With scores 0 and 1 that is the beta posterior.
        """
        self._columns[:2, : self.n] = (prior.means, prior.variances)
        self._columns[4, : self.n] = prior.scales
        known = evidence.counts > 0
        expected = deviations.prior(prior)
        seen = np.where(known, np.nan_to_num(evidence.means()), prior.means)
        first = _errors(evidence, expected)
        guess = posterior(expected, seen, first)
        last = _errors(evidence, guess)
        self._store(slice(0, self.n), _rescaled(guess, first, last))

    def parts(self, arms: NDArray[np.int64]) -> Parts:
        """Return the posteriors of some arms as mixtures."""
        columns = self._columns[8:, arms].reshape(3, N_PARTS, -1)
        return Parts(shares=columns[0], means=columns[1], variances=columns[2])

    def _store(self, arms: slice, parts: Parts) -> None:
        self._columns[2:4, arms] = parts.moments()
        self._columns[8:, arms] = np.concatenate([parts.shares, parts.means, parts.variances])

    def _told(self, arms: slice) -> Told:
        means, variances, shares = self._columns[5:8, arms]
        return Told(means=means, variances=variances, shares=shares)

    def _grow(self) -> None:
        self._features, self._rows = np.tile(self._features, (2, 1)), np.tile(self._rows, (2, 1))
        self._columns, self._alive = np.tile(self._columns, (1, 2)), np.tile(self._alive, 2)


def _errors(evidence: Evidence, parts: Parts) -> Floats:
    """Return the variance of every arm's own mean by each part, shape (n_parts, n)."""
    errors = [evidence.errors(m, v) for m, v in zip(parts.means, parts.variances, strict=True)]
    return np.minimum(np.array(errors), 1e12)


def _rescaled(parts: Parts, first: Floats, last: Floats) -> Parts:
    return Parts(shares=parts.shares, means=parts.means, variances=parts.variances * last / first)
