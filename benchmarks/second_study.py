"""What a study of a table leaves to the next one, through the product's own memory."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from benchmarks.methods_search import SearchMethod
from benchmarks.pools import pool_problem
from benchmarks.simulation import simulate
from benchmarks.tables import Table
from benchmarks.worlds import World, draw_world
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.identity import canonical_json
from convergence_cluster.domain.search import Legacy, SearchProblem
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.legacy import LegacyStore
from convergence_cluster.storage.legacy_records import Family, LegacyArm, LegacyStudy, kept_arms, parameters_of

N_ELITES = 8
SEED_OF_FIRST = 100_000
"""Beside the seed of the second study."""
FAMILY = Family(name="table", provider="http", endpoint="", metrics=("score",))


class FirstStudy(StrEnum):
    """How the first study relates to the second."""

    SAME = "same"
    """The same table and cases, in another order and with other repeats."""
    OTHER_CASES = "other cases"
    """Another set of cases of the same kind."""
    SHUFFLED = "shuffled"
    """What was found of each configuration is told of any other one."""
    REVERSED = "reversed"
    """What was found of the best is told of the worst, and so on."""


def pooled(search: Optimizer, problem: SearchProblem) -> SearchMethod:
    """Return a search over a pool as a method of the benchmark."""
    rows = {canonical_json(candidate): row for row, candidate in enumerate(problem.space.candidates or ())}
    return SearchMethod(search, lambda configuration: rows[canonical_json(configuration)])


def inherited(  # noqa: PLR0917  one caller
    make: Callable[[SearchProblem], Optimizer],
    table: Table,
    world: World,
    n_workers: int,
    horizon: int,
    first: FirstStudy,
) -> Legacy:
    """Run a first study to its end, keep what it learned as the product does, and return what a second one inherits."""
    seed = world.seed + SEED_OF_FIRST
    before = draw_world(table, seed, has_other_items=first is FirstStudy.OTHER_CASES)
    problem = pool_problem(table, parallelism=n_workers, seed=seed, max_calls=horizon)
    method = pooled(search := make(problem), problem)
    trace = simulate(method, before, n_workers=n_workers, points=(horizon,))
    arms = kept_arms(search.recommend(full=True).arms, method.scores(before.items), ("score",))
    study = LegacyStudy(
        id="first",
        origin="benchmark",
        parameters=parameters_of(problem.space),
        policy=search.learned(),
        n_calls=trace.n_calls,
        finished_at_s=0.0,
        arms=_told_of_others(arms, table, problem, first, seed),
    )
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder)}/legacy.db")
        store = LegacyStore(database)
        store.save(FAMILY, study)
        found = store.inherit(FAMILY, problem.space, now_s=1.0, limit=N_ELITES, cases=world.items)
        database.close()
    return found.legacy


def _told_of_others(
    arms: tuple[LegacyArm, ...], table: Table, problem: SearchProblem, first: FirstStudy, seed: int
) -> tuple[LegacyArm, ...]:
    candidates = problem.space.candidates or ()
    ranks = table.true_mean.argsort(kind="stable")
    match first:
        case FirstStudy.SAME | FirstStudy.OTHER_CASES:
            return arms
        case FirstStudy.SHUFFLED:
            others = np.random.default_rng(seed).permutation(len(candidates))
        case FirstStudy.REVERSED:
            others = np.empty(len(candidates), dtype=np.int64)
            others[ranks] = ranks[::-1]
    other = {canonical_json(mine): candidates[row] for mine, row in zip(candidates, others.tolist(), strict=True)}
    return tuple(replace(arm, configuration=other[canonical_json(arm.configuration)]) for arm in arms)
