"""The most that a call can cost, which the budget sets aside before it is sent."""

from convergence_cluster.bootstrap.dialects import REPORTS_COST, provider_kind
from convergence_cluster.bootstrap.helpers import ScoringBound
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.domain.space import Parameter
from convergence_cluster.metering.prices import Prices
from convergence_cluster.spec.baseline import default_value
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import Problem, dotted, raise_all
from convergence_cluster.trials.reserving import Ceiling
from convergence_cluster.trials.running import MAX_TOKENS_NAMES, TrialPlan, model_of


class CostBound:
    """Upper bounds of single attempts: by price and length where there is a price, else as the study says."""

    def __init__(self, study: LoadedStudy, plan: TrialPlan, prices: Prices, scoring: ScoringBound) -> None:
        self._study = study
        self._plan = plan
        self._prices = prices
        self._scoring = scoring
        self._ceiling = Ceiling(plan, prices)
        prices_differ = {"model", *MAX_TOKENS_NAMES}
        self._deciding = {name for p in study.space.parameters if p.name in prices_differ for name in p.when or {}}
        self._fallback_usd = study.spec.budget.usd_per_call

    def usd(self, configuration: Configuration, case: int) -> float:
        """Return the bound of one attempt in USD; where none is known, 0 without a cap, and all of it with one."""
        bound = self.known_usd(configuration, case)
        return (self._study.spec.budget.usd or 0.0) if bound is None else bound

    def known_usd(self, configuration: Configuration, case: int) -> float | None:
        """Return the bound of one attempt in USD, or None where nothing bounds it."""
        if case >= len(self._plan.cases):
            return 0.0  # an answer that only a judge sees
        bound = self._ceiling.upper_bound_usd(configuration, case)
        return self._fallback_usd if bound is None else bound

    def scoring_usd(self, case: int) -> float:
        """Return the bound of scoring one answer in USD; where none is known, as `usd` does."""
        bound = self._scoring.usd(case)
        return (self._study.spec.budget.usd or 0.0) if bound is None else bound * self._study.n_draws

    def check(self) -> None:
        """Refuse a budget in USD that could not be kept, and a cost metric that nobody could compute.

        Raises:
            SpecError: naming the model without a price, and how to give it one.
        """
        self._check_scoring()
        unpriced = self._unpriced()
        if not unpriced:
            return
        if self._study.spec.budget.usd is not None:
            message = (
                f"nothing bounds what a call of {unpriced} costs; give its price in api.prices and a max_tokens "
                "parameter, or the most that a call may cost in budget.usd_per_call"
            )
            raise_all([self._problem(("budget", "usd"), message)])
        is_cost_scored = any(metric.name == "cost_usd" for metric in self._study.metrics)
        if is_cost_scored and not self._is_told() and not self._has_price(unpriced):
            message = (
                f"no price is known for {unpriced}; give it in api.prices, or say in api.response.cost where an answer "
                "states its cost"
            )
            raise_all([self._problem(("evaluation", "metrics", "cost_usd"), message)])

    def _check_scoring(self) -> None:
        name = None if self._study.spec.budget.usd is None else self._scoring.unbounded()
        if name is None:
            return
        path = ("evaluation", name)
        limit = (
            "" if name == "embeddings" else f", and a limit on output in {dotted(path)}.parameters such as max_tokens"
        )
        message = f"nothing bounds what scoring costs; give {dotted(path)}.prices{limit}"
        raise_all([self._problem(path, message)])

    def _problem(self, path: tuple[str, ...], message: str) -> Problem:
        return Problem(path=path, message=message, file=self._study.file, line=self._study.lines.get(path, 0))

    def _unpriced(self) -> str | None:
        """Return the first model whose calls nothing bounds."""
        for configuration in self.representatives():
            if self.known_usd(configuration, 0) is None:
                return model_of({**self._plan.fixed, **configuration}) or "this API"
        return None

    def _is_told(self) -> bool:
        """Say whether answers state their cost."""
        api = self._study.spec.api
        return bool(api.response.cost) or provider_kind(api, api.endpoint or "") in REPORTS_COST

    def _has_price(self, model: str) -> bool:
        return self._prices.upper_bound(model=model, n_input_chars=0, max_output_tokens=1) is not None

    def representatives(self) -> list[Configuration]:
        """Return the baseline with each model and each limit on output; every candidate where they are given."""
        space, baseline = self._study.space, self._study.baseline
        if space.candidates is not None:
            return [baseline, *space.candidates]
        found: list[Configuration] = [{}]
        for parameter in space.parameters:
            found = [
                {**configuration, parameter.name: value}
                for configuration in found
                if parameter.applies(configuration)
                for value in self._values(parameter)
            ] + [configuration for configuration in found if not parameter.applies(configuration)]
        return found

    def _values(self, parameter: Parameter) -> tuple[Json, ...]:
        """Return the values of a parameter that decide on prices; of any other, the baseline's or the first."""
        if parameter.name == "model" or parameter.name in MAX_TOKENS_NAMES:
            return parameter.values or (parameter.high,)
        if parameter.name in self._deciding:
            return parameter.values or (parameter.low,)
        return (self._study.baseline.get(parameter.name, default_value(parameter)),)
