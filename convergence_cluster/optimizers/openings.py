"""What is opened and called whatever the posterior says: the baseline, and the elites of earlier studies."""

from collections.abc import Sequence

import numpy as np

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmState, Elite
from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.policy import OperatorPolicy
from convergence_cluster.optimizers.schedule import Schedule

MAX_ELITES = 8
TRUSTED_ELITES = 3
"""So many elites are opened before any has to prove itself against other arms."""
BASELINE_SHARE = 0.25
"""The baseline gets at least this part of the leader's calls while the change is not clear."""
CLEAR = 3.0
"""Standard deviations at which the change against the baseline is clear."""
MIN_CREDIT = 8
"""Cases after which a child's operator is credited."""
CREDIT_MARGIN = 0.01


def openings(elites: Sequence[Elite], baseline: Configuration | None) -> list[tuple[str, Configuration]]:
    """Return what is opened first with what proposed it, the last one first."""
    ranked = sorted(elites, key=lambda elite: elite.weight * elite.score)
    wanted = [("elite", elite.configuration) for elite in ranked[-MAX_ELITES:]]
    return wanted if baseline is None else [*wanted, ("baseline", baseline)]


def is_elite_worth_it(arms: Arms, evidence: Evidence) -> bool:
    """Say whether to open a further elite: the first few always, then no faster than others and while one leads."""
    n_elites = sum(birth.operator == "elite" for birth in arms.births)
    if n_elites < TRUSTED_ELITES:
        return True
    known = evidence.counts > 0
    if not known.any():
        return False
    leader = arms.births[int(np.where(known, arms.means, -np.inf).argmax())].operator
    return leader == "elite" and arms.n - n_elites >= n_elites


def baseline_lags(arms: Arms, evidence: Evidence, schedule: Schedule) -> bool:
    """Say whether arm 0 needs calls to be comparable with the leader, and none are on their way."""
    if arms.states[0] is ArmState.OUT or not schedule.has_more(0) or schedule.in_flight[0] > 0:
        return False
    best = int(np.where(evidence.counts > 0, arms.means, -np.inf).argmax())
    if schedule.n_told[0] >= BASELINE_SHARE * schedule.n_told[best]:
        return False
    gap = float(arms.means[best] - arms.means[0])
    return gap < CLEAR * float(np.sqrt(arms.variances[best] + arms.variances[0]))


def credit(policy: OperatorPolicy, arms: Arms, evidence: Evidence) -> None:
    """Reward operators whose child has been seen enough by now: 1 if it reached the incumbent of its birth, else 0."""
    for arm in arms.uncredited():
        birth = arms.births[arm]
        is_done = evidence.counts[arm] >= MIN_CREDIT or arms.states[arm] is not ArmState.ALIVE
        if not birth.is_credited and is_done:
            birth.is_credited = True
            policy.learn(birth.operator, birth.context, float(arms.means[arm] >= birth.incumbent - CREDIT_MARGIN))
