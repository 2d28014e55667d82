"""Means of few numbers with honest intervals."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Final

from convergence_cluster.domain.search import ArmEstimate, Interval, Recommendation

NOISE: Final = 1e-9
"""Part of the numbers compared below which their difference is the error of floating-point arithmetic."""
_TAIL = 0.95
"""Upper point of a central 90 % interval."""
_Z = NormalDist().inv_cdf(_TAIL)
_EXACT = {1: 6.313752, 2: 2.919986, 3: 2.353363, 4: 2.131847}


def student_quantile(freedom: int) -> float:
    """Return the 95 % point of Student's t, within 0.001 of the exact value; infinite without a degree of freedom.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, formula 26.7.5.
    """
    if freedom < 1:
        return math.inf
    if freedom in _EXACT:
        return _EXACT[freedom]
    z, n = _Z, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def mean_interval(values: Sequence[float], weights: Sequence[float] | None = None) -> Interval | None:
    """Return the weighted mean with its 90 % t-interval, or None without a value.

    The interval treats the values as a sample of a larger population; of one value it is unbounded.
    """
    if not values:
        return None
    shares = [1.0] * len(values) if weights is None else list(weights)
    total = sum(shares)
    mean = sum(w * v for w, v in zip(shares, values, strict=True)) / total
    if len(values) == 1:
        return Interval(mean=mean, low=-math.inf, high=math.inf)
    squares = sum((w * (v - mean)) ** 2 for w, v in zip(shares, values, strict=True))
    error = math.sqrt(squares * len(values) / (len(values) - 1)) / total
    reach = student_quantile(len(values) - 1) * error
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


def bounded(interval: Interval, low: float, high: float) -> Interval:
    """Return the interval cut to what its quantity can be; unknown ends stay, and the mean is inside."""
    return Interval(
        mean=interval.mean,
        low=min(max(interval.low, low), interval.mean) if math.isfinite(interval.low) else interval.low,
        high=max(min(interval.high, high), interval.mean) if math.isfinite(interval.high) else interval.high,
    )


def settled(change: Interval, first: float, second: float) -> Interval:
    """Return an interval with what is only the error of arithmetic on two numbers taken for 0."""
    least = NOISE * max(abs(first), abs(second))
    mean, low, high = (0.0 if abs(end) <= least else end for end in (change.mean, change.low, change.high))
    return Interval(mean=mean, low=low, high=high)


def rounded(answer: Recommendation) -> Recommendation:
    """Return the answer with what is only the error of arithmetic in its raw metrics taken for 0."""
    every = [
        arm for arm in (answer.best, answer.baseline, *answer.tied, *answer.front, *answer.arms) if arm is not None
    ]
    largest: dict[int, float] = {}
    for arm in every:
        for index, value in enumerate(arm.objectives):
            if math.isfinite(value.mean):
                largest[index] = max(largest.get(index, 0.0), abs(value.mean))

    def of(arm: ArmEstimate) -> ArmEstimate:
        found = tuple(settled(value, largest.get(i, 0.0), 0.0) for i, value in enumerate(arm.objectives))
        return replace(arm, objectives=found)

    return replace(
        answer,
        best=None if answer.best is None else of(answer.best),
        baseline=None if answer.baseline is None else of(answer.baseline),
        tied=tuple(map(of, answer.tied)),
        front=tuple(map(of, answer.front)),
        arms=tuple(map(of, answer.arms)),
    )
