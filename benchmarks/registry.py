"""Every method by name, with the settings at which it is tried."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from benchmarks import smac_method
from benchmarks.methods_bandits import ASHA_SETTINGS, UCBE_SETTINGS, AsyncHalving, TopTwoThompson, UpperBounds
from benchmarks.methods_genetic import GeneticSearch
from benchmarks.methods_optuna import WilcoxonPruned
from benchmarks.methods_planned import Plan, random_order, sequential_halving, successive_halving, uniform_subset
from benchmarks.methods_search import SearchMethod
from benchmarks.pools import NearestRow, open_space, pool_problem
from benchmarks.second_study import FirstStudy, inherited, pooled
from benchmarks.simulation import Method
from benchmarks.tables import Table
from benchmarks.worlds import World
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.search import SearchProblem, Stopping
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch, Sampler

OURS = ("convergence_cluster.optimizers.racing", "RacingSearch")
PARTS = ("racing", "pairing", "surrogate", "worth", "evolution", "policy", "legacy")
SUBSETS = {"whole": None, "50": 50, "25": 25}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a method may be built from."""

    table: Table
    world: World
    n_workers: int
    horizon: int
    max_trials: int
    """Of the samplers whose time per trial grows with the number of trials."""


Make: TypeAlias = Callable[[SearchProblem], Optimizer]
Build: TypeAlias = Callable[[Setup], Method]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A method: one builder or plan for each setting."""

    kind: Literal["simulated", "planned", "budgets"]
    """`budgets`: a plan whose every answer is of a run with its own budget."""
    builds: Mapping[str, Build] = field(default_factory=dict)
    plan: Callable[[Table], Plan] | None = None
    is_heavy: bool = False
    """Takes long enough to be run on fewer seeds."""
    missing: str = ""
    """Why it cannot be run here; empty: it can."""


def entries() -> dict[str, Entry]:
    """Return all methods by name."""
    found = {
        "random": Entry(kind="planned", plan=lambda _: random_order),
        "uniform": Entry(kind="budgets", plan=lambda _: uniform_subset),
        "halving": Entry(kind="budgets", plan=lambda _: successive_halving),
        "sequential": Entry(kind="budgets", plan=lambda _: sequential_halving),
        "predecessor": Entry(kind="planned", plan=GeneticSearch),
        "asha": Entry(kind="simulated", builds={f"r0={r},eta={e}": partial(_asha, r, e) for r, e in ASHA_SETTINGS}),
        "ucb-e": Entry(kind="simulated", builds={f"a={a:g}": partial(_ucbe, a) for a in UCBE_SETTINGS}),
        "top-two": Entry(kind="simulated", builds={"": lambda setup: TopTwoThompson(setup.world)}),
        "wilcoxon": Entry(kind="simulated", builds={"": _wilcoxon}, is_heavy=True),
        "nsga2": Entry(kind="simulated", builds={n: partial(_optuna, "nsga2", n) for n in SUBSETS}, is_heavy=True),
        "smac": Entry(kind="simulated", builds={"": _smac}, is_heavy=True, missing=smac_method.missing()),
    }
    for size in SUBSETS:
        name = "tpe" if size == "whole" else f"tpe-{size}"
        found[name] = Entry(kind="simulated", builds={"": partial(_optuna, "tpe", size)}, is_heavy=True)
    return found | _ours()


def ours() -> Make | None:
    """Return the product's own search, or None where it is not there."""
    try:
        make: Make = getattr(importlib.import_module(OURS[0]), OURS[1])
    except (ImportError, AttributeError):
        return None
    return make


def _ours() -> dict[str, Entry]:
    make = ours()
    missing = "" if make is not None else f"{OURS[0]} has no {OURS[1]} yet"
    builds: dict[str, Build] = {
        "ours": partial(_search, make),
        "ours-stopping": partial(_search, make, stopping=Stopping(enabled=False)),
        "ours+legacy": partial(_second_study, make, first=FirstStudy.SAME),
        "ours+other-cases": partial(_second_study, make, first=FirstStudy.OTHER_CASES),
        "ours+shuffled": partial(_second_study, make, first=FirstStudy.SHUFFLED),
        "ours+misleading": partial(_second_study, make, first=FirstStudy.REVERSED),
    }
    for part in PARTS:
        builds[f"ours-{part}"] = partial(_search, make, settings={"ablate": [part]})
    return {name: Entry(kind="simulated", builds={"": build}, missing=missing) for name, build in builds.items()}


def _problem(setup: Setup, **changes: Any) -> SearchProblem:
    return pool_problem(
        setup.table, parallelism=setup.n_workers, seed=setup.world.seed, max_calls=setup.horizon, **changes
    )


def _search(make: Make | None, setup: Setup, **changes: Any) -> Method:
    assert make is not None
    problem = _problem(setup, **changes)
    return pooled(make(problem), problem)


def _second_study(make: Make | None, setup: Setup, first: FirstStudy) -> Method:
    """Return a search that is told what an earlier study of the same table left behind."""
    assert make is not None
    return _search(make, setup, legacy=inherited(make, setup.table, setup.world, setup.n_workers, setup.horizon, first))


def _optuna(sampler: Sampler, subset: str, setup: Setup) -> Method:
    size = SUBSETS[subset]
    n_cases = setup.world.n_items if size is None else min(size, setup.world.n_items)
    problem = _problem(setup, space=open_space(setup.table), n_cases=n_cases, max_repeats=1)
    return SearchMethod(OptunaSearch(problem, sampler=sampler), NearestRow(setup.table), setup.max_trials)


def _wilcoxon(setup: Setup) -> Method:
    return WilcoxonPruned(setup.table, setup.world, max_trials=setup.max_trials)


def _asha(first: int, eta: int, setup: Setup) -> Method:
    return AsyncHalving(setup.world, first=first, eta=eta)


def _ucbe(exploration: float, setup: Setup) -> Method:
    return UpperBounds(setup.world, exploration=exploration)


def _smac(setup: Setup) -> Method:
    return smac_method.SmacSearch(setup.table, setup.world, max_trials=setup.max_trials)
