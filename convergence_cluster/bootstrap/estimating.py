"""What a study would take, from its file and the prices alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from convergence_cluster.bootstrap.helpers import ScoringBound
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.bootstrap.runner import build_plan, build_prices
from convergence_cluster.domain.calls import Usage
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.metering.prices import Prices
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.trials.running import max_output_tokens, model_of

_BYTES_PER_TOKEN = 4
"""A common average for English text; other languages and code take more tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelEstimate:
    """One call with the baseline's settings and this model."""

    model: str
    input_tokens: float
    max_output_tokens: int | None
    """The limit that the configuration sets; None: none."""
    usd: float | None
    """If every answer is as long as the limit allows; None: no price, or no limit."""
    price_source: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A study before it is run."""

    max_calls: int
    max_usd: float | None
    """What the budget allows; None: no cap."""
    full_grid_calls: int | None
    """What calling every configuration on every case once would take; None: infinitely many configurations."""
    models: tuple[ModelEstimate, ...]
    scoring_usd: float | None = 0.0
    """The most that judging one answer can take, on average over the cases; None: nothing bounds it."""
    scored_by: tuple[str, ...] = ()
    """The keys of the models that score answers."""


def estimate(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> Estimate:
    """Return what a study would take. Makes no call and needs no key."""
    prices = build_prices(study, environ=environ, clock=clock)
    plan = build_plan(study)
    scoring = ScoringBound(study, environ=environ, clock=clock)
    bound = CostBound(study, plan, prices, scoring)
    n_configurations = _n_configurations(study)
    return Estimate(
        max_calls=study.max_calls,
        max_usd=study.spec.budget.usd,
        full_grid_calls=None if n_configurations is None else n_configurations * len(study.cases) * study.n_draws,
        models=tuple(
            _model(study, {**plan.fixed, **configuration}, prices)
            for configuration in _longest(bound.representatives())
        ),
        scored_by=tuple(
            f"evaluation.{name}" for name in ("judge", "embeddings") if getattr(study.spec.evaluation, name) is not None
        ),
        scoring_usd=_mean([scoring.usd(case) for case in range(len(study.cases))]),
    )


def _mean(bounds: list[float | None]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return fmean(known) if len(known) == len(bounds) else None


def _model(study: LoadedStudy, configuration: Configuration, prices: Prices) -> ModelEstimate:
    model = model_of(configuration)
    prompts = sum(
        len(texts[str(configuration[name])].encode())
        for name, texts in study.prompts.items()
        if str(configuration.get(name)) in texts
    )
    sizes = [len(json.dumps(dict(case.input), ensure_ascii=False).encode()) + prompts for case in study.cases]
    input_tokens = fmean(sizes) / _BYTES_PER_TOKEN
    limit = max_output_tokens(configuration, default=-1)
    usage = Usage(input_tokens=round(input_tokens), output_tokens=max(limit, 0))
    cost = prices.cost(model=model, usage=usage if limit >= 0 else None)
    return ModelEstimate(
        model=model or study.spec.api.name,
        input_tokens=input_tokens,
        max_output_tokens=None if limit < 0 else limit,
        usd=study.spec.budget.usd_per_call if cost is None else cost.usd,
        price_source=("budget.usd_per_call" if study.spec.budget.usd_per_call else None)
        if cost is None
        else cost.source,
    )


def _longest(configurations: list[Configuration]) -> list[Configuration]:
    """Return for each model the configuration with the highest limit on output."""
    by_model: dict[str | None, Configuration] = {}
    for configuration in configurations:
        model = model_of(configuration)
        limit = max_output_tokens(configuration, default=-1)
        if model not in by_model or limit > max_output_tokens(by_model[model], default=-1):
            by_model[model] = configuration
    return list(by_model.values())


def _n_configurations(study: LoadedStudy) -> int | None:
    """Return how many configurations exist, conditional parameters left out where they do not apply."""
    if study.space.candidates is not None:
        return len(study.space.candidates)
    partial: list[tuple[Configuration, int]] = [({}, 1)]
    deciding = {name for parameter in study.space.parameters for name in parameter.when or {}}
    for parameter in study.space.parameters:
        values = parameter.grid()
        if values is None:
            return None
        grown: list[tuple[Configuration, int]] = []
        for configuration, count in partial:
            if not parameter.applies(configuration):
                grown.append((configuration, count))
            elif parameter.name in deciding:
                grown += [({**configuration, parameter.name: value}, count) for value in values]
            else:
                grown.append(({**configuration, parameter.name: values[0]}, count * len(values)))
        partial = grown
    return sum(count for _, count in partial)
