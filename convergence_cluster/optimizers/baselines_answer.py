"""The baselines' answer: posterior means by simple shrinkage, with normal intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import (
    ArmEstimate,
    ArmState,
    Direction,
    Interval,
    Recommendation,
    SearchProblem,
)
from convergence_cluster.optimizers.answer import MAX_FRONT
from convergence_cluster.optimizers.baselines_arms import Moments, Tally
from convergence_cluster.optimizers.constraints import violation
from convergence_cluster.optimizers.front import shown_front

Floats: TypeAlias = NDArray[np.float64]

Z_90 = 1.6448536269514722
"""Half the width of a central 90 % interval, in standard deviations."""

N_DRAWS = 1000
MAX_RIVALS = 64
"""Only so many arms with the highest upper ends take part in P(best); the others get 0."""

PRIOR_FREEDOM = 6.0
"""The pooled variance counts as this many draws of every arm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Posterior:
    """Normal posteriors of true means, arrays of shape (n_arms,); the prior is N(`prior_mean`, `prior_sd`^2)."""

    mean: Floats
    sd: Floats
    prior_mean: float
    prior_sd: float

    def interval(self, arm: int, low: float = -math.inf, high: float = math.inf) -> Interval:
        """Return the central 90 % interval of one arm, cut to what the quantity can be."""
        mean, half = float(self.mean[arm]), Z_90 * float(self.sd[arm])
        return Interval(mean=mean, low=max(mean - half, low), high=min(mean + half, high))


def shrunk_posterior(moments: Sequence[Moments], *, n_population: int | None) -> Posterior:
    """Return posteriors from the moments of each arm's draws, shrunk to their common mean.

    Each arm's variance is shrunk to the pooled one; `n_population` draws leave no doubt about a mean, None: no number
    of draws does. The prior's variance is estimated by moments, and the doubt about the prior is part of the result.

    Source: Morris, "Parametric empirical Bayes inference", JASA 78 (1983): the variance of its interval.
    """
    counts = np.array([each.n for each in moments], dtype=float)
    means = np.array([each.mean for each in moments])
    squares = np.array([each.squares for each in moments])
    freedom = counts.sum() - len(counts)
    spread = float(means.var(ddof=1)) if len(means) > 1 else 0.0
    pooled = float(squares.sum() / freedom) if freedom > 0 else spread  # before any arm has shown its own
    variances = (PRIOR_FREEDOM * pooled + squares) / (PRIOR_FREEDOM + counts - 1)
    unseen = np.ones(len(counts)) if n_population is None else np.maximum(1 - counts / n_population, 0.0)
    errors = variances / counts * unseen
    prior_mean = float(means.mean())
    prior_variance = max(spread - float(errors.mean()), 0.05 * spread, 1e-12)
    trust = prior_variance / (prior_variance + errors) if len(means) > 1 else np.ones(1)
    pull = 1 - trust
    n_arms = len(means)
    doubt = pull * errors / n_arms + 2 / max(n_arms - 3, 1) * pull**2 * (means - prior_mean) ** 2
    return Posterior(
        mean=prior_mean + trust * (means - prior_mean),
        sd=np.sqrt(trust * errors + doubt),
        prior_mean=prior_mean,
        prior_sd=math.sqrt(prior_variance),
    )


def answer(problem: SearchProblem, tallies: Sequence[Tally], *, full: bool = False) -> Recommendation:
    """Return the recommendation from all arms, `full` with every one; it depends on what was told alone."""
    scored = [arm for arm, tally in enumerate(tallies) if tally.scores]
    n_calls = sum(len(tally.told) for tally in tallies)
    n_alive = sum(tally.state is ArmState.ALIVE for tally in tallies)
    eligible = [arm for arm in scored if tallies[arm].state is ArmState.ALIVE]
    if not eligible:
        return _nothing_known(n_arms=len(tallies), n_alive=n_alive, n_calls=n_calls)
    n_population = problem.n_cases if problem.max_repeats == 1 else None
    moments = [tallies[arm].moments(problem.case_weights) for arm in eligible]
    posterior = shrunk_posterior([of_score for of_score, _ in moments], n_population=n_population)
    columns = [
        shrunk_posterior([of_metrics[k] for _, of_metrics in moments], n_population=n_population)
        for k in range(len(problem.objectives))
    ]
    broken = _broken(problem, columns, len(eligible))
    estimates = _estimates(problem, tallies, eligible, posterior, columns)
    best = min(range(len(eligible)), key=lambda i: (broken[i], -posterior.mean[i], eligible[i]))
    gaps = posterior.mean[best] - posterior.mean
    is_tied = (gaps <= Z_90 * np.sqrt(posterior.sd[best] ** 2 + posterior.sd**2)) & (broken <= broken[best])
    tied = sorted((e for i, e in enumerate(estimates) if is_tied[i] and i != best), key=lambda e: -e.score.mean)
    baseline = estimates[0] if eligible[0] == 0 and problem.baseline is not None else None
    return Recommendation(
        best=estimates[best],
        baseline=baseline,
        change=None if baseline is None else _change(estimates[best], baseline, tallies, n_population),
        tied=tuple(tied),
        front=_front(problem, estimates),
        p_within=_p_within(problem, posterior, best, _may_win(broken)),
        gain_per_100_calls=_gain(problem, posterior, best, len(tallies)),
        n_arms=len(tallies),
        n_alive=n_alive,
        n_calls=n_calls,
        arms=tuple(sorted(estimates, key=lambda e: -e.score.mean)) if full else (),
    )


def _estimates(
    problem: SearchProblem,
    tallies: Sequence[Tally],
    arms: Sequence[int],
    posterior: Posterior,
    columns: Sequence[Posterior],
) -> list[ArmEstimate]:
    broken = _broken(problem, columns, len(arms))
    p_best = _p_best(problem, posterior, _may_win(broken))
    seen = np.array([values for arm in arms for values in tallies[arm].objectives.values()])
    lows, highs = (seen.min(axis=0).tolist(), seen.max(axis=0).tolist()) if columns else ([], [])
    estimates = []
    for i, arm in enumerate(arms):
        objectives = tuple(c.interval(i, low, high) for c, low, high in zip(columns, lows, highs, strict=True))
        tally = tallies[arm]
        estimates.append(
            ArmEstimate(
                arm=ArmId(arm),
                configuration=tally.configuration,
                state=tally.state,
                operator=tally.operator,
                score=posterior.interval(i, 0.0, 1.0),
                n_calls=len(tally.told),
                n_cases=tally.moments(problem.case_weights)[0].n,
                p_best=float(p_best[i]),
                objectives=objectives,
                is_feasible=bool(broken[i] <= 0),
            )
        )
    return estimates


def _samples(problem: SearchProblem, posterior: Posterior, arms: NDArray[np.intp]) -> Floats:
    noise = np.random.default_rng(problem.seed).standard_normal((N_DRAWS, len(arms)))
    return np.asarray(posterior.mean[arms] + posterior.sd[arms] * noise)


def _broken(problem: SearchProblem, columns: Sequence[Posterior], n_arms: int) -> Floats:
    """Return by how much each arm breaks the bounds; 0 where it keeps all."""
    means = np.array([column.mean for column in columns]).reshape(len(columns), n_arms).T
    return np.nan_to_num(violation(means, problem.objectives))


def _may_win(broken: Floats) -> NDArray[np.bool_]:
    """Say of each arm whether it may be the best: where any arm keeps the bounds, only those that do."""
    return np.asarray(broken <= 0) if broken.min() <= 0 else np.ones(len(broken), dtype=np.bool_)


def _rivals(posterior: Posterior, may_win: NDArray[np.bool_]) -> NDArray[np.intp]:
    order = np.argsort(-(posterior.mean + 3 * posterior.sd), kind="stable")
    return order[may_win[order]][:MAX_RIVALS]


def _p_best(problem: SearchProblem, posterior: Posterior, may_win: NDArray[np.bool_]) -> Floats:
    rivals = _rivals(posterior, may_win)
    winners = np.argmax(_samples(problem, posterior, rivals), axis=1)
    shares = np.zeros(len(posterior.mean))
    shares[rivals] = np.bincount(winners, minlength=len(rivals)) / N_DRAWS
    return shares


def _p_within(problem: SearchProblem, posterior: Posterior, best: int, may_win: NDArray[np.bool_]) -> float:
    rivals = _rivals(posterior, may_win)
    arms = np.concatenate([[best], rivals[rivals != best]])
    draws = _samples(problem, posterior, arms)
    tops = draws.max(axis=1)
    slack = problem.stopping.within * np.abs(tops)
    return float(np.mean(draws[:, 0] >= tops - slack))


def _change(best: ArmEstimate, baseline: ArmEstimate, tallies: Sequence[Tally], n_population: int | None) -> Interval:
    mean = best.score.mean - baseline.score.mean
    if best.arm == baseline.arm:
        return Interval(mean=0.0, low=0.0, high=0.0)
    ours, theirs = tallies[best.arm].case_scores(), tallies[baseline.arm].case_scores()
    common = ours.keys() & theirs.keys()
    if len(common) < 2:  # noqa: PLR2004
        half = math.hypot(best.score.high - best.score.mean, baseline.score.high - baseline.score.mean)
    else:
        differences = np.array([ours[case] - theirs[case] for case in sorted(common)])
        unseen = 1.0 if n_population is None else max(1 - len(common) / n_population, 0.0)
        half = Z_90 * math.sqrt(float(differences.var(ddof=1)) / len(common) * unseen)
    low, high = -baseline.score.high, 1.0 - baseline.score.low  # as far as a score can go
    return Interval(mean=mean, low=max(mean - half, low), high=min(mean + half, high))


def _front(problem: SearchProblem, estimates: Sequence[ArmEstimate]) -> tuple[ArmEstimate, ...]:
    signs = np.array([1.0 if o.direction is Direction.MAXIMIZE else -1.0 for o in problem.objectives])
    if signs.size == 0:
        return ()
    known = [e for e in estimates if not any(math.isnan(interval.mean) for interval in e.objectives)]
    if not known:
        return ()
    points = np.array([[interval.mean for interval in e.objectives] for e in known]) * signs
    is_kept = np.array([estimate.is_feasible for estimate in known], dtype=bool)
    return tuple(known[place] for place in shown_front(points, is_kept, MAX_FRONT))


def _gain(problem: SearchProblem, posterior: Posterior, best: int, n_arms: int) -> float:
    """Expect of 100 calls what that many new arms, drawn like the old ones, would be above the best."""
    candidates = problem.space.candidates
    if candidates is not None and n_arms >= len(candidates):
        return 0.0
    z = (float(posterior.mean[best]) - posterior.prior_mean) / posterior.prior_sd
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    excess = density - z * 0.5 * math.erfc(z / math.sqrt(2))
    return max(0.0, 100 / problem.n_cases * posterior.prior_sd * excess)


def _nothing_known(*, n_arms: int, n_alive: int, n_calls: int) -> Recommendation:
    return Recommendation(
        best=None,
        baseline=None,
        change=None,
        tied=(),
        front=(),
        p_within=0.0,
        gain_per_100_calls=0.0,
        n_arms=n_arms,
        n_alive=n_alive,
        n_calls=n_calls,
    )
