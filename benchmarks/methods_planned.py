"""Methods whose calls do not depend on who finishes first: computed at once for a whole world.

A method that needs its budget in advance is run at many budgets; each gives one answer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation import Verdict
from benchmarks.worlds import World

Z_90 = 1.6448536269514722

FIRST_RUNGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
"""Draws per configuration that are tried for the first rung, or for a uniform subset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """After so many calls this is the answer."""

    calls: int
    verdict: Verdict
    setting: str = ""
    """Of a method that needs its budget in advance: which run this is the answer of."""


Plan: TypeAlias = Callable[[World, int], list[Step]]
"""From a world and a horizon in calls to answers in rising order of calls."""


def verdict_of(row: int, draws: NDArray[np.float32]) -> Verdict:
    """Report the plain mean of a row's draws with a normal interval, as these methods do."""
    mean = float(draws.mean())
    half = Z_90 * float(draws.std(ddof=1)) / math.sqrt(len(draws)) if len(draws) > 1 else 1.0
    return Verdict(row=row, reported=mean, low=mean - half, high=mean + half)


def random_order(world: World, horizon: int) -> list[Step]:
    """Call every configuration in random order on all items, once each, and keep the best mean."""
    order = np.random.default_rng([world.seed, 41]).permutation(world.n_rows)
    first_pass = world.outcomes[0]
    means = first_pass.mean(axis=1, dtype=np.float64)
    steps: list[Step] = []
    best = -1
    for place, row in enumerate(order.tolist(), start=1):
        if place * world.n_items > horizon:
            break
        if best < 0 or means[row] > means[best]:
            best = row
            steps.append(Step(calls=place * world.n_items, verdict=verdict_of(row, first_pass[row])))
    return steps


def uniform_subset(world: World, horizon: int) -> list[Step]:
    """Call every configuration on the same items and take the best mean, for many numbers of items."""
    draws, ties = world.draws(), world.tie_breaks()
    sizes = [size for size in (*FIRST_RUNGS, world.n_draws) if size <= world.n_draws]
    steps = []
    for size in sorted(set(sizes)):
        if size * world.n_rows <= horizon:
            row = int((draws[:, :size].mean(axis=1, dtype=np.float64) + ties).argmax())
            calls = size * world.n_rows
            steps.append(Step(calls=calls, verdict=verdict_of(row, draws[row, :size]), setting=f"n={size}"))
    return steps


def successive_halving(world: World, horizon: int) -> list[Step]:
    """Halve the configurations and double the items until one is left, for many sizes of the first rung.

    Source: Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization" (2016).
    """
    draws, ties = world.draws(), world.tie_breaks()
    steps = []
    for first in FIRST_RUNGS:
        if first * world.n_rows > horizon or first > world.n_draws:
            break
        calls, row, size = _halve(draws, ties, _doubling(first, world.n_draws))
        if calls <= horizon:
            steps.append(Step(calls=calls, verdict=verdict_of(row, draws[row, :size]), setting=f"r0={first}"))
    return sorted(steps, key=lambda step: step.calls)


def sequential_halving(world: World, horizon: int) -> list[Step]:
    """Split a budget evenly over the rungs, for budgets each a quarter above the one before; nothing is tuned.

    Source: Karnin, Koren & Somekh, "Almost optimal exploration in multi-armed bandits", ICML (2013), algorithm 1.
    """
    draws, ties = world.draws(), world.tie_breaks()
    n_rungs = max(1, math.ceil(math.log2(world.n_rows)))
    steps = []
    budget = float(world.n_rows * n_rungs)
    while budget <= horizon:
        calls, row, size = _halve(draws, ties, _even(budget, n_rungs, world))
        steps.append(Step(calls=calls, verdict=verdict_of(row, draws[row, :size]), setting=f"T={round(budget)}"))
        budget *= 1.25
    return steps


def _halve(draws: NDArray[np.float32], ties: NDArray[np.float64], sizes: Iterator[int]) -> tuple[int, int, int]:
    """Return the calls paid, the row left, and its number of draws; earlier draws of a row are kept and count."""
    alive = np.arange(len(draws))
    calls = size = 0
    while True:
        more = next(sizes)
        calls += (more - size) * len(alive)
        size = more
        means = draws[alive, :size].mean(axis=1, dtype=np.float64) + ties[alive]
        order = np.argsort(-means, kind="stable")
        alive = alive[order[: math.ceil(len(alive) / 2)]]
        if len(alive) == 1:
            return calls, int(alive[0]), size


def _doubling(first: int, n_max: int) -> Iterator[int]:
    size = first
    while True:
        yield min(size, n_max)
        size *= 2


def _even(budget: float, n_rungs: int, world: World) -> Iterator[int]:
    n_alive, size = world.n_rows, 0
    while True:
        size = min(world.n_draws, size + max(1, math.floor(budget / (n_alive * n_rungs))))
        n_alive = math.ceil(n_alive / 2)
        yield size


def answers_at(steps: Sequence[Step], points: Sequence[int]) -> list[Verdict | None]:
    """Return the last answer at or before each number of calls."""
    verdicts: list[Verdict | None] = []
    place = 0
    for point in points:
        while place < len(steps) and steps[place].calls <= point:
            place += 1
        verdicts.append(steps[place - 1].verdict if place else None)
    return verdicts
