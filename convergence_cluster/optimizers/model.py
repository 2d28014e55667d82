"""What is expected of arms without looking at their own calls: the surrogate and what limits the trust in it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownArm
from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.deviations import Deviations
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.feasibility import Feasibility
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.inheritance import Inheritance
from convergence_cluster.optimizers.interplay import Interplay, Kin
from convergence_cluster.optimizers.mixtures import Parts
from convergence_cluster.optimizers.scatter import Scatter
from convergence_cluster.optimizers.surrogate import Prior, Surrogate

Floats = NDArray[np.float64]

FIRST_DESIGN = 16
DESIGN_GROWTH = 1.5
"""The features are chosen anew when the arms have grown by this factor."""


class Model:
    """The features in use, their weights, how far arms deviate, and how far the cases seen so far mislead."""

    def __init__(
        self, codec: Codec, design: Design, weights: Floats, known: Sequence[KnownArm], *, with_interplay: bool = True
    ) -> None:
        self.design = design
        self._weights = weights
        self._with_interplay = with_interplay
        self._next_design = FIRST_DESIGN
        self.surrogate = Surrogate(design.widths, design.shares())
        self.interplay = self._new_interplay()
        self.scatter = Scatter(codec)
        self.feasibility = Feasibility(design)
        self.inheritance = Inheritance(codec, known, len(weights))
        self.deviations = Deviations(self.surrogate.deviation, self.inheritance)

    def kin(self, arms: Arms) -> Kin:
        """Return the arms as the interplay compares them."""
        return Kin(interplay=self.interplay, features=arms.features, doubts=arms.variances)

    def is_outgrown(self, n_arms: int) -> bool:
        """Say whether the arms are many enough for `redesign`."""
        return n_arms >= self._next_design

    def redesign(self, arms: Arms) -> None:
        """Choose the features that so many arms can bear."""
        self._next_design = math.ceil(DESIGN_GROWTH * arms.n)
        groups, old = self.design.groups, self.surrogate
        variances = {group: float(v) for group, v in zip(groups, old.group_variances, strict=True)}
        if not self.design.grow(arms.n, variances):
            return
        self.surrogate = Surrogate(self.design.widths, self.design.shares())
        same = [(k, groups.index(group)) for k, group in enumerate(self.design.groups) if group in groups]
        self.surrogate.adopt(old, same)
        self.interplay = self._new_interplay()
        arms.redesign(self.design.features(arms.rows))

    def fit(self, arms: Arms, evidence: Evidence, listed: Floats) -> None:
        """Fit to all arms and update their posteriors; `listed` are all configurations' features, if they are few."""
        spreads = arms.prior_variances + self.surrogate.deviation * self.scatter(arms.rows)
        means, errors = evidence.means(), evidence.errors(arms.prior_means, spreads)
        scales = self.scatter(arms.rows)
        self.surrogate.fit(arms.features, means, errors, scales)
        centres, variances = self.surrogate.cavity(arms.features, means, errors, scales)
        variances += self.interplay.variance(arms.features)
        prior = Prior(means=centres, variances=variances, scales=scales, told=arms.told)
        known = evidence.counts > 0
        here = prior.only(known)
        surprises, spreads = means[known] - here.means, here.variances + errors[known]
        self.surrogate.temper(surprises, spreads, here.scales)
        everywhere = listed @ self.surrogate.mean
        near = self.deviations.fit(means[known], errors[known], here, self.surrogate.deviation, everywhere)
        self.scatter.fit(arms.rows[known], surprises, spreads, self.surrogate.deviation, near)
        prior = replace(prior, scales=self.scatter(arms.rows))
        if self.inheritance.n_known > 0:
            self._weigh(arms, evidence, prior, means, errors)
        arms.relearn(prior, self.deviations, evidence)

    def _weigh(self, arms: Arms, evidence: Evidence, prior: Prior, means: Floats, errors: Floats) -> None:
        """Judge what earlier studies say by the arms' own means and the variances of their errors."""
        known = evidence.counts > 0
        surprises = self.inheritance.compare(arms.rows, arms.means, evidence, errors).only(known)
        otherwise = self.deviations.log_density(prior.only(known), means[known], errors[known])
        level_variance = evidence.effects.level_variance()
        self.inheritance.weigh(prior.told.only(known), surprises, otherwise, level_variance)

    def expected(self, features: Floats, rows: Rows) -> Prior:
        """Return what the weights say of arms that have no calls, and how far that can be trusted."""
        means, variances = self.surrogate.predict(features)
        variances += self.interplay.variance(features)
        return Prior(means=means, variances=variances, scales=self.scatter(rows), told=self.inheritance.told(rows))

    def parts(self, prior: Prior) -> Parts:
        """Return what is expected of arms of which the weights say so much."""
        return self.deviations.prior(prior)

    def _new_interplay(self) -> Interplay:
        return Interplay(self.design.main_slices() if self._with_interplay else [], self._weights)

    def promising(
        self, features: Floats, rows: Rows, n: int, n_draws: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the places of about n rows that rank high by the mean or by some draw of weights and deviations."""
        surrogate = self.surrogate
        scores = features @ np.column_stack([surrogate.mean, surrogate.draws(n_draws, rng)])
        scores += (self.deviations.near * self.scatter(rows)[:, None]) ** 0.5 * rng.standard_normal(scores.shape)
        is_lost = rng.random(scores.shape) < self.deviations.lost
        anywhere = self.deviations.centre + self.deviations.spread**0.5 * rng.standard_normal(scores.shape)
        scores = np.where(is_lost, anywhere, scores)
        scores = self.inheritance.drawn(scores, rows, rng)
        each = min(max(n // (n_draws + 1), 1), len(features) - 1)
        return np.unique(np.argpartition(-scores, each, axis=0)[:each]).astype(np.int64)
