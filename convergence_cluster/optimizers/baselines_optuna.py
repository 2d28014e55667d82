"""Optuna's samplers behind the ask/tell Protocol, for comparison: one configuration on all its cases is one trial."""

import warnings
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from convergence_cluster.domain.identity import ArmId, Configuration, Json, canonical_json
from convergence_cluster.domain.search import (
    ArmState,
    Direction,
    SearchProblem,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.baselines import WholeArmSearch
from convergence_cluster.optimizers.baselines_arms import Tally, WholeArms
from convergence_cluster.optimizers.baselines_space import Unopened, grid_levels

Sampler: TypeAlias = Literal["tpe", "nsga2"]
Target: TypeAlias = Literal["score", "objectives"]

MAX_DUPLICATES = 16
"""So often the sampler may propose a known configuration in a row before a random new one is taken."""

POOL = "candidate"
"""The name of the one parameter by which Optuna sees a finite pool."""


class OptunaSearch(WholeArmSearch):
    """One of Optuna's samplers, at its own defaults.

    A proposal that is known already is not paid again: the sampler is told what is known. Arms that cannot run are
    told as failed. Several trials run at once where calls do.
    """

    def __init__(self, problem: SearchProblem, sampler: Sampler = "tpe", target: Target = "score") -> None:
        super().__init__(WholeArms(problem, self._propose, self._learn))
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._target = target
        self._study = optuna.create_study(sampler=_sampler(sampler, problem), directions=_directions(problem, target))
        self._space = problem.space
        self._name = sampler
        self._weights = problem.case_weights
        self._rng = np.random.default_rng([problem.seed, 2])
        self._unopened = Unopened(problem.space)
        self._pool = {canonical_json(c): index for index, c in enumerate(problem.space.candidates or ())}
        self._waiting: dict[str, list[int]] = {}
        self._values: dict[str, list[float] | None] = {}

    def _propose(self, opened: Mapping[str, ArmId]) -> tuple[Configuration, str] | None:
        fallback = self._unopened.draw(opened, self._rng)
        if fallback is None:
            return None
        for _ in range(MAX_DUPLICATES):
            number, configuration = self._suggest()
            key = canonical_json(configuration)
            if key in self._values:
                self._tell(number, self._values[key])
                continue
            self._waiting.setdefault(key, []).append(number)
            if key not in opened:
                return configuration, self._name
        return fallback, "random"

    def _learn(self, configuration: Configuration, tally: Tally) -> None:
        key = canonical_json(configuration)
        numbers = self._waiting.pop(key, [])
        self._values[key] = values = self._targets(tally)
        for number in numbers:
            self._tell(number, values)
        if not numbers and values is not None:
            self._add(configuration, values)

    def _targets(self, tally: Tally) -> list[float] | None:
        if tally.state is ArmState.OUT:
            return None
        if self._target == "objectives":
            objectives = tally.mean_objectives()
            return None if objectives is None else list(objectives)
        score = tally.mean_score(self._weights)
        return None if score is None else [score]

    def _suggest(self) -> tuple[int, Configuration]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns of its own experimental arguments and deprecations
            trial = self._study.ask()
            return trial.number, suggest_configuration(trial, self._space)

    def _tell(self, number: int, values: list[float] | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if values is None:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, values)

    def _add(self, configuration: Configuration, values: list[float]) -> None:
        """Tell the sampler of an arm that it did not propose; one outside its space it cannot use."""
        encoded = self._encoded(configuration)
        if encoded is None:
            return
        params, distributions = encoded
        try:
            trial = create_trial(params=params, distributions=distributions, values=values)
        except ValueError:  # a value beyond the ends of its range
            return
        self._study.add_trial(trial)

    def _encoded(self, configuration: Configuration) -> tuple[dict[str, Json], dict[str, BaseDistribution]] | None:
        if self._space.candidates is not None:
            index = self._pool.get(canonical_json(configuration))
            return None if index is None else ({POOL: index}, {POOL: _pool_distribution(self._space)})
        params: dict[str, Json] = {}
        distributions: dict[str, BaseDistribution] = {}
        for parameter in self._space.parameters:
            if parameter.name in configuration:
                value = _internal(parameter, configuration[parameter.name])
                if value is None:
                    return None
                params[parameter.name], distributions[parameter.name] = value, _distribution(parameter)
        return params, distributions


def suggest_configuration(trial: Trial, space: SearchSpace) -> Configuration:
    """Return the configuration that a trial's sampler proposes; of a finite pool it sees the place in the list."""
    if space.candidates is not None:
        return space.candidates[_suggested(trial, POOL, _pool_distribution(space))]
    chosen: dict[str, Json] = {}
    for parameter in space.parameters:
        if parameter.applies(chosen):
            chosen[parameter.name] = _decoded(parameter, _suggested(trial, parameter.name, _distribution(parameter)))
    return chosen


def _sampler(name: Sampler, problem: SearchProblem) -> optuna.samplers.BaseSampler:
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=problem.seed)
    is_conditional = any(parameter.when is not None for parameter in problem.space.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.samplers.TPESampler(seed=problem.seed, multivariate=True, group=is_conditional)


def _directions(problem: SearchProblem, target: Target) -> list[StudyDirection]:
    if target == "score":
        return [StudyDirection.MAXIMIZE]
    signs = {Direction.MAXIMIZE: StudyDirection.MAXIMIZE, Direction.MINIMIZE: StudyDirection.MINIMIZE}
    return [signs[objective.direction] for objective in problem.objectives]


def _pool_distribution(space: SearchSpace) -> BaseDistribution:
    return CategoricalDistribution(range(len(space.candidates or ())))


def _suggested(trial: Trial, name: str, distribution: BaseDistribution) -> Json:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=float_low, high=float_high, step=float_step, log=log):
            return trial.suggest_float(name, float_low, float_high, step=float_step, log=log)
    message = f"no way to suggest from {distribution!r}"
    raise TypeError(message)


def _is_indexed(parameter: Parameter) -> bool:
    """Say whether Optuna sees the index of the value: any JSON, uneven numbers, steps on a log scale."""
    return parameter.kind in {ParameterKind.CATEGORICAL, ParameterKind.ORDINAL} or (
        parameter.log and parameter.step not in {None, 1}
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind is ParameterKind.CATEGORICAL:
        return CategoricalDistribution(range(len(parameter.values)))
    if _is_indexed(parameter):
        return IntDistribution(0, len(grid_levels(parameter)) - 1)
    if parameter.kind is ParameterKind.INTEGER:
        step = round(parameter.step or 1)
        low, high = round(parameter.low), round(parameter.high)
        return IntDistribution(low, high - (high - low) % step, log=parameter.log, step=step)
    if parameter.step is not None and not parameter.log:
        return FloatDistribution(parameter.low, grid_levels(parameter)[-1], step=parameter.step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _decoded(parameter: Parameter, internal: Json) -> Json:
    if _is_indexed(parameter):
        return grid_levels(parameter)[internal]
    if parameter.kind is ParameterKind.INTEGER:
        return int(internal)
    if parameter.step is None:
        return float(internal)
    return min(grid_levels(parameter), key=lambda value: abs(value - internal))


def _internal(parameter: Parameter, value: Json) -> Json:
    """Return what Optuna calls this value, or None where it is not one of the parameter's."""
    if not _is_indexed(parameter):
        return float(value) if parameter.kind is ParameterKind.CONTINUOUS else value
    keys = [canonical_json(known) for known in grid_levels(parameter)]
    key = canonical_json(value)
    return keys.index(key) if key in keys else None
