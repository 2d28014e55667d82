"""What earlier studies say of arms, and how far to believe it: only as far as this study's own calls bear it out.

The calls of every arm are likelier either by what earlier studies say of it or by what this study's model, which knows
nothing of them, expects of it. The product of the ratios is the evidence for the earlier studies as a whole: a few
arms that contradict them clearly, and they count for nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownArm
from convergence_cluster.optimizers.comparison import Comparison, Surprises
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.mixtures import Parts
from convergence_cluster.optimizers.surrogate import Prior, Surrogate, Told

Floats = NDArray[np.float64]

FIRST_TRUST = 0.5
"""The chance that earlier studies are like this one, before any call."""
FIRST_KEPT, PSEUDO_KEPT = 0.9, 10.0
"""The first guess of the share of arms that did not change since, and how many arms' worth of belief it has."""
MOVES = ((0.001, 1.0), (0.005, 1.0), (0.02, 1.0), (0.05, 1.0), (0.005, 4.0), (0.02, 4.0), (0.05, 4.0))
"""Standard deviations by which arms may have moved, each by itself, and factors on the variances that were told.

Which of them, is judged by the evidence.
"""
UNMOVED = 0.5
"""The chance of the first of them, before any call; the others share the rest."""
OFFSET = 0.05
"""Standard deviation of what all arms' scores may have moved by together."""
_WORTH_A_DRAW = 0.01
UNPAIRED = 0.5
"""What arms count for that are not compared case by case: the cases that all have seen mislead all of them alike."""
_GUESSED = 0.9
"""The share, where an arm was not measured but follows from the others."""
_MAX_NOTED = 20_000
_DIGITS = 9
"""Of a place in [0, 1]; values that decode to six digits differ by more."""
_ROUNDS = 2
_FIT_ROUNDS = 12
_FIRST_WEIGHTS = np.array([UNMOVED] + [(1.0 - UNMOVED) / (len(MOVES) - 1)] * (len(MOVES) - 1))


class Inheritance:
    """Earlier studies' beliefs about every arm, measured or not, and the trust in them."""

    def __init__(self, codec: Codec, known: Sequence[KnownArm], n_cases: int) -> None:
        rows = codec.encode([arm.configuration for arm in known])
        self._scores = np.array([arm.score for arm in known])
        self._variances = np.array([arm.variance for arm in known])
        keys = _keys(rows)
        self._measured = {key: (arm.score, arm.variance, 1.0) for key, arm in zip(keys, known, strict=True)}
        self._told = dict(self._measured)
        self._place_of = {key: place for place, key in enumerate(keys)}
        self._places: list[int] = []
        self._comparison = Comparison(known, n_cases)
        self._design = Design(codec, None, is_useful=bool(known))
        self._surrogate = Surrogate(self._design.widths, self._design.shares())
        self.n_known = len(known)
        self.trust = FIRST_TRUST if known else 0.0
        self.offset = 0.0
        self.drift = MOVES[0][0] ** 2
        """Variance of arms' own changes."""
        self.factor = 1.0
        """By how much more uncertain what is told is than it says."""
        self._kept = FIRST_KEPT
        if known:
            self._fit(rows)

    def told(self, rows: Rows) -> Told:
        """Return what earlier studies say of arms of these genes."""
        n = len(rows)
        if self.n_known == 0 or n == 0:
            return Told(means=np.zeros(n), variances=np.ones(n), shares=np.zeros(n))
        keys = _keys(rows)
        if len(self._told) > _MAX_NOTED:
            self._told = dict(self._measured)
        new = [k for k, key in enumerate(keys) if key not in self._told]
        if new:
            self._guess([keys[k] for k in new], rows[new])
        means, variances, shares = np.array([self._told[key] for key in keys]).T
        return Told(means=means, variances=variances, shares=shares)

    def drawn(self, scores: Floats, rows: Rows, rng: np.random.Generator) -> Floats:
        """Return draws of arms' scores, shape (n, n_draws), some of them by what earlier studies say."""
        if self.trust < _WORTH_A_DRAW:
            return scores
        told = self.told(rows)
        spread = np.sqrt(self.factor * told.variances + self.drift)[:, None]
        is_told = rng.random(scores.shape) < self.trust * self._kept * told.shares[:, None]
        by_told = told.means[:, None] + self.offset + spread * rng.standard_normal(scores.shape)
        return np.where(is_told, by_told, scores)

    def add_to(self, parts: Parts, prior: Prior) -> Parts:
        """Return the mixtures with what earlier studies say as their last part."""
        if self.trust <= 0.0:
            return parts
        told = prior.told
        shares = self.trust * self._kept * told.shares
        parts.shares[:3] *= 1.0 - shares
        parts.shares[3] = shares
        parts.means[3] = told.means + self.offset
        parts.variances[3] = self.factor * told.variances + self.drift
        return parts

    def weigh(self, told: Told, surprises: Surprises, otherwise: Floats, level_variance: float) -> None:
        """Judge the earlier studies by how much arms score more than they say, and by what explains the scores else.

        Of what arms may have moved by the geometric mean counts: another one is that of the largest move for as long
        as the calls do not rule that out, which takes as many of them as finding out anew.

        `otherwise` is the logarithm of each mean's density by the model that knows nothing of earlier studies,
        `level_variance` that of an error that all the means share.
        """
        if self.n_known == 0 or len(otherwise) == 0:
            return
        alone = 1.0 - surprises.paired
        allowed = OFFSET**2 + level_variance * float(alone.mean())
        found = [
            self._evidence(
                told.shares,
                surprises,
                surprises.errors + alone**2 * factor * told.variances + drift**2,
                otherwise,
                allowed,
            )
            for drift, factor in MOVES
        ]
        logs = np.array([evidence for evidence, _, _ in found])
        weights = _FIRST_WEIGHTS * np.exp(logs - logs.max())
        total = float(logs.max()) + float(np.log(weights.sum()))
        weights /= weights.sum()
        odds = np.log(FIRST_TRUST / (1.0 - FIRST_TRUST)) + total
        self.trust = float(1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0))))
        self.offset = float(weights @ np.array([offset for _, offset, _ in found]))
        self.drift, self.factor = (float(move) for move in np.exp(weights @ np.log(MOVES) * (2.0, 1.0)))
        kept = float(weights @ np.array([agreeing for _, _, agreeing in found]))
        self._kept = (PSEUDO_KEPT * FIRST_KEPT + kept) / (PSEUDO_KEPT + float(told.shares.sum()))

    def _evidence(
        self, shares: Floats, surprises: Surprises, spread: Floats, otherwise: Floats, allowed: float
    ) -> tuple[float, float, float]:
        """Return the logarithm of the evidence at these variances, the offset, and how many arms agree."""
        share = FIRST_KEPT * shares
        agree = np.ones(len(spread))
        for _ in range(_ROUNDS):
            weights = agree / spread
            precision = 1.0 / allowed + float(weights.sum())
            offset = float(weights @ surprises.rests) / precision
            like = np.log(share) - 0.5 * ((surprises.rests - offset) ** 2 / spread + np.log(spread))
            both = np.logaddexp(like, np.log1p(-share) + otherwise)
            agree = np.exp(like - both)
        penalty = 0.5 * offset**2 / allowed + 0.5 * np.log(precision * allowed)
        counting = surprises.paired + UNPAIRED * (1.0 - surprises.paired)
        return float(counting @ (both - otherwise) - penalty), offset, float(agree.sum())

    def compare(self, rows: Rows, means: Floats, evidence: Evidence, errors: Floats) -> Surprises:
        """Return by how much the arms score more than earlier studies say.

        Takes genes and believed means of all arms so far, and the variances of their own means.
        """
        self._places += [self._place_of.get(key, -1) for key in _keys(rows[len(self._places) :])]
        places, variances = np.array(self._places), evidence.call_variances(means)
        return self._comparison.surprises(places, self.told(rows).means, evidence, errors, variances)

    def _guess(self, keys: Sequence[bytes], rows: Rows) -> None:
        """Note what follows from the measured arms of others."""
        means, variances = self._surrogate.predict(self._design.features(rows))
        for key, mean, variance in zip(keys, means.tolist(), variances.tolist(), strict=True):
            self._told[key] = (mean, variance + self._surrogate.deviation, _GUESSED)

    def _fit(self, rows: Rows) -> None:
        """Fit the model by which arms that were not measured are judged."""
        ones = np.ones(len(rows))
        self._surrogate.fit(self._design.features(rows), self._scores, self._variances, ones, n_rounds=_FIT_ROUNDS)
        variances = {
            group: float(v) for group, v in zip(self._design.groups, self._surrogate.group_variances, strict=True)
        }
        if self._design.grow(len(rows), variances):
            self._surrogate = Surrogate(self._design.widths, self._design.shares())
            self._surrogate.fit(self._design.features(rows), self._scores, self._variances, ones, n_rounds=_FIT_ROUNDS)


def _keys(rows: Rows) -> list[bytes]:
    """Return what is the same for rows that stand for the same configuration, however they were computed."""
    return [row.tobytes() for row in np.round(rows, _DIGITS)]
