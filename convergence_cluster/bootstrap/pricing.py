"""The most that a call can cost, which the budget sets aside before it is sent."""

import json
from collections.abc import Mapping

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.metering.prices import Prices
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.trials.running import max_output_tokens

_UNLIMITED = -1


class CostBound:
    """Upper bounds of single attempts, from prices, the length of what is sent and the limit on what comes back."""

    def __init__(self, study: LoadedStudy, prices: Prices) -> None:
        self._study = study
        self._prices = prices
        self._fallback_usd = study.spec.budget.usd_per_call
        body = study.spec.api.request.body
        self._body: Mapping[str, Json] = body if isinstance(body, Mapping) else {}
        self._n_body = _n_bytes(body)
        self._n_case = tuple(_n_bytes(dict(case.input)) for case in (*study.cases, *study.holdout))

    def usd(self, configuration: Configuration, case: int) -> float:
        """Return the bound of one attempt in USD; 0 where no price is known."""
        return self.known_usd(configuration, case) or 0.0

    def known_usd(self, configuration: Configuration, case: int) -> float | None:
        """Return the bound of one attempt in USD, or None where nothing bounds it."""
        limit = max_output_tokens(configuration, default=max_output_tokens(self._body, default=_UNLIMITED))
        bound = self._prices.upper_bound(
            model=_model(configuration, self._body),
            n_input_chars=self._n_body + self._n_case[case] + self._n_prompts(configuration),
            max_output_tokens=None if limit == _UNLIMITED else limit,
        )
        return self._fallback_usd if bound is None else bound

    def check(self) -> None:
        """Refuse a budget in USD that could not be kept, and a cost metric that nobody could compute.

        Raises:
            SpecError: naming the model without a price, and how to give it one.
        """
        unpriced = self._unpriced()
        if not unpriced:
            return
        where = f"{self._study.file}: "
        if self._study.spec.budget.usd is not None:
            raise SpecError(
                f"{where}budget.usd: nothing bounds what a call of {unpriced} costs; give its price in api.prices and "
                "a max_tokens parameter, or the most that a call may cost in budget.usd_per_call"
            )
        is_cost_scored = any(metric.name == "cost_usd" for metric in self._study.metrics)
        if is_cost_scored and not self._study.spec.api.response.cost and not self._has_price(unpriced):
            raise SpecError(
                f"{where}evaluation.metrics.cost_usd: no price is known for {unpriced}; give it in api.prices, "
                "or say in api.response.cost where an answer states its cost"
            )

    def _unpriced(self) -> str | None:
        """Return the first model whose calls nothing bounds."""
        for configuration in self._representatives():
            if self.known_usd(configuration, 0) is None:
                return _model(configuration, self._body) or "this API"
        return None

    def _has_price(self, model: str) -> bool:
        return self._prices.upper_bound(model=model, n_input_chars=0, max_output_tokens=1) is not None

    def _representatives(self) -> list[Configuration]:
        baseline = self._study.baseline
        if self._study.space.candidates is not None:
            return [baseline, *self._study.space.candidates]
        models = next((p.values for p in self._study.space.parameters if p.name == "model"), ())
        return [baseline, *({**baseline, "model": model} for model in models)]

    def _n_prompts(self, configuration: Configuration) -> int:
        prompts = self._study.prompts
        return sum(
            len(texts.get(str(configuration[name]), "").encode())
            for name, texts in prompts.items()
            if name in configuration
        )


def _model(configuration: Configuration, body: Mapping[str, Json]) -> str | None:
    model = configuration.get("model", body.get("model"))
    return model if isinstance(model, str) else None


def _n_bytes(value: Json) -> int:
    return 0 if value is None else len(json.dumps(value, ensure_ascii=False).encode())
