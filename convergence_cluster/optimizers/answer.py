"""The answer: the recommended arm, how good it is, how sure that is, and which arms may be as good."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, ArmState, Incumbent, Interval, Recommendation
from convergence_cluster.optimizers.belief import Belief
from convergence_cluster.optimizers.front import oriented, shown_front

Z90 = 1.6448536269514722
"""Half width of a normal's central 90 % interval, in standard deviations."""
N_DRAWS = 2000
MAX_NUMBERS = 1_000_000
"""Random numbers at most for one answer, with no fewer than a tenth of the draws."""
TIED = 0.025
"""An arm is tied with the best while its probability of being better is at least this."""
MAX_FRONT = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chances:
    """Monte Carlo over the posterior, shape (n_arms,) where it is per arm."""

    best: int
    p_best: Floats
    p_within: float
    """P(the best arm is within the margin of the best of all); 0 where it breaks a bound."""


def best_arm(belief: Belief) -> int | None:
    """Return the arm of the highest posterior mean that keeps the bounds, else the one that breaks them least."""
    runs = belief.runs
    if not runs.any():
        return None
    runs = runs & is_tried(belief.n_cases, runs, belief.enough)
    broken = belief.broken
    eligible = runs & (broken <= broken[runs].min())
    return int(np.where(eligible, belief.means, -np.inf).argmax())


def is_tried(n_cases: NDArray[Any], runs: NDArray[np.bool_], enough: int) -> NDArray[np.bool_]:
    """Say of each arm whether it has had enough cases to be the answer, or as many as any."""
    most = int(n_cases[runs].max()) if runs.any() else 0
    return np.asarray(n_cases >= min(enough, most))


def chances(belief: Belief, best: int, within: float, rng: np.random.Generator) -> Chances:
    """Return the probabilities that matter, among the arms that were called and may keep the bounds.

    What a normal puts above 1 lies below, as for the stopping rule: no score is higher.
    """
    top = belief.means + 4 * np.sqrt(belief.variances) >= belief.means[best] - 4 * np.sqrt(belief.variances[best])
    near = np.flatnonzero(belief.rivals(best) & top)
    n_draws = min(N_DRAWS, max(MAX_NUMBERS // max(len(near), 1), N_DRAWS // 10))
    draws = belief.means[near] + np.sqrt(belief.variances[near]) * rng.standard_normal((n_draws, len(near)))
    draws = 1.0 - np.abs(1.0 - draws)
    p_best = np.zeros(len(belief.means))
    p_best[near] = np.bincount(draws.argmax(axis=1), minlength=len(near)) / n_draws
    highest = draws.max(axis=1)
    mine = draws[:, int(np.searchsorted(near, best))]
    is_kept = float(belief.broken[best] <= 0.0)
    return Chances(best=best, p_best=p_best, p_within=is_kept * float((mine >= (1.0 - within) * highest).mean()))


def expected_gain(belief: Belief, best: int, n_calls: int, rng: np.random.Generator) -> float:
    """Return the expected rise of the recommended arm's true score from so many more calls.

    The posterior mean that those calls will lead to is normal around today's with the variance that they remove;
    the best way of sharing them among the 2, 4, 8 or 16 most promising arms counts. Source: Frazier 2009 (knowledge
    gradient), batch form.
    """
    runs = np.array([state is ArmState.ALIVE for state in belief.states], dtype=bool) & belief.rivals(best)
    order = np.argsort(-np.where(runs, belief.means + np.sqrt(belief.variances), -np.inf))[: min(16, int(runs.sum()))]
    order = np.unique(np.append(order, best))
    normal = rng.standard_normal((500, len(order)))
    gains = [0.0]
    for share in (2, 4, 8, 16):
        if share // 2 >= len(order):
            break
        ranked = order[np.argsort(-(belief.means + np.sqrt(belief.variances))[order])][:share]
        v = belief.variances[ranked]
        removed = v * v / (v + belief.call_variances[ranked] * len(ranked) / n_calls)
        future = belief.means[ranked] + np.sqrt(removed) * normal[:, : len(ranked)]
        gains.append(float(np.maximum(future.max(axis=1), belief.means[best]).mean() - belief.means[best]))
    return max(gains)


def answer(
    belief: Belief,
    *,
    has_baseline: bool,
    within: float,
    change: Interval | None,
    n_calls: int,
    rng: np.random.Generator,
    full: bool = False,
) -> Recommendation:
    """Return the recommendation, `full` with every arm that was called."""
    n_alive = sum(state is ArmState.ALIVE for state in belief.states)
    best = best_arm(belief)
    if best is None:
        return Recommendation(
            best=None, baseline=None, change=None, tied=(), front=(), p_within=0.0, gain_per_100_calls=0.0,
            n_arms=len(belief.states), n_alive=n_alive, n_calls=n_calls,
        )  # fmt: skip
    odds = chances(belief, best, within, rng)
    broken = belief.broken

    def estimate(arm: int) -> ArmEstimate:
        return _estimate(belief, arm, best, float(odds.p_best[arm]), is_feasible=bool(broken[arm] <= 0))

    tied = [estimate(arm) for arm in _tied(belief, best, broken)]
    return Recommendation(
        best=estimate(best),
        baseline=estimate(0) if has_baseline and belief.n_cases[0] > 0 else None,
        change=change,
        tied=tuple(sorted(tied, key=lambda arm: -arm.score.mean)),
        front=tuple(estimate(arm) for arm in _front(belief, broken)),
        p_within=odds.p_within,
        gain_per_100_calls=expected_gain(belief, best, 100, rng),
        n_arms=len(belief.states),
        n_alive=n_alive,
        n_calls=n_calls,
        arms=tuple(estimate(int(arm)) for arm in _called(belief)) if full else (),
    )


def _called(belief: Belief) -> NDArray[np.intp]:
    """Return the arms that were called, by falling mean."""
    order = np.argsort(-belief.means, kind="stable")
    return order[belief.n_calls[order] > 0]


def _tied(belief: Belief, best: int, broken: Floats) -> list[int]:
    gap = belief.means[best] - belief.means
    spread = np.sqrt(belief.variances + belief.variances[best])
    runs = belief.runs
    tied = runs & (broken <= broken[best]) & (gap <= 1.96 * spread)
    tied[best] = False
    places = np.flatnonzero(tied)
    return [int(arm) for arm in places[np.argsort(-belief.means[places], kind="stable")]]


def _front(belief: Belief, broken: Floats) -> list[int]:
    runs = belief.runs
    places = np.flatnonzero(runs & ~np.isnan(belief.metrics.means).any(axis=1))
    if len(places) == 0 or not belief.objectives:
        return []
    points = oriented(belief.metrics.means, belief.objectives) if belief.reach is None else belief.reach
    places = places[~np.isnan(points[places]).any(axis=1)]
    return [int(arm) for arm in places[shown_front(points[places], broken[places] <= 0, MAX_FRONT)]]


def incumbent(belief: Belief) -> Incumbent | None:
    """Return the best arm and its score."""
    best = best_arm(belief)
    return None if best is None else Incumbent(arm=ArmId(best), score=_score(belief, best, best))


def _score(belief: Belief, arm: int, best: int) -> Interval:
    mean, variance = belief.reported(arm, best)
    half = Z90 * float(np.sqrt(variance + belief.level_variances[arm]))
    return Interval(mean=mean, low=max(mean - half, 0.0), high=min(mean + half, 1.0))


def _estimate(belief: Belief, arm: int, best: int, p_best: float, *, is_feasible: bool) -> ArmEstimate:
    halves = Z90 * np.sqrt(belief.metrics.variances[arm])
    return ArmEstimate(
        arm=ArmId(arm),
        configuration=belief.configurations[arm],
        state=belief.states[arm],
        operator=belief.operators[arm],
        score=_score(belief, arm, best),
        n_calls=int(belief.n_calls[arm]),
        n_cases=int(belief.n_cases[arm]),
        p_best=p_best,
        objectives=tuple(
            Interval(mean=float(m), low=float(max(m - h, low)), high=float(min(m + h, high)))
            for m, h, low, high in zip(
                belief.metrics.means[arm], halves, belief.metrics.lows, belief.metrics.highs, strict=True
            )
        ),
        is_feasible=is_feasible,
    )
