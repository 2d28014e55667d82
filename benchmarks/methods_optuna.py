"""Optuna as its documentation races over instances: TPE with the Wilcoxon pruner."""

import warnings

import optuna
from optuna.trial import Trial

from benchmarks.methods_bandits import Sums
from benchmarks.pools import NearestRow, open_space
from benchmarks.simulation import Result, Verdict, Work
from benchmarks.tables import Table
from benchmarks.worlds import World
from convergence_cluster.optimizers.baselines_optuna import suggest_configuration

FIRST_CHECKS = (4, 8, 12, 16, 24)
CHECK_EVERY = 32
"""The pruner is asked after so many calls of a trial; it takes milliseconds."""

MAX_KNOWN = 100
"""After so many proposals in a row that were tried before, the search has nothing new to say."""


class WilcoxonPruned:
    """TPE proposes a row; its items are called one by one until a signed-rank test against the best says stop.

    As the documentation asks, a pruned trial is told with the mean so far.
    Source: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.pruners.WilcoxonPruner.html
    """

    def __init__(self, table: Table, world: World, *, max_trials: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sums = Sums(world)
        self._space = open_space(table)
        self._nearest = NearestRow(table)
        self._max_trials = max_trials
        self._trials: dict[int, Trial] = {}
        self._idle: list[int] = []
        self._n_known = 0
        self._values: dict[int, float] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=world.seed),
                pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1),
            )

    def ask(self) -> Work | None:
        """Return the next item of a trial that waits for one, else the first item of a new trial."""
        if self._idle:
            return self._sums.take(self._idle.pop(0), 1)
        while self._n_known < MAX_KNOWN:
            if len(self._values) + len(self._trials) >= self._max_trials:
                return None
            trial, row = self._propose()
            self._n_known += 1
            if row in self._values:
                self._study.tell(trial, self._values[row])
            elif row in self._trials:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._trials[row] = trial
                self._n_known = 0
                return self._sums.take(row, 1)
        return None

    def tell(self, result: Result) -> None:
        """Report one item to the trial, and end it where it is complete or pruned."""
        row, trial = result.row, self._trials[result.row]
        self._sums.add(result)
        n_told = int(self._sums.n_told[row])
        trial.report(result.score, result.item)
        is_due = n_told in FIRST_CHECKS or n_told % CHECK_EVERY == 0
        if n_told == self._sums.n_items or (is_due and self._is_pruned(trial)):
            self._values[row] = float(self._sums.total[row]) / n_told
            self._study.tell(trial, self._values[row])
            del self._trials[row]
        else:
            self._idle.append(row)

    def recommend(self) -> Verdict | None:
        """Return the trial with the best value."""
        if not self._values:
            return None
        return self._sums.verdict(max(self._values, key=lambda row: self._values[row]))

    def _propose(self) -> tuple[Trial, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()
            return trial, self._nearest(suggest_configuration(trial, self._space))

    def _is_pruned(self, trial: Trial) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return trial.should_prune()
