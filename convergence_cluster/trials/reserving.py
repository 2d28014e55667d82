"""The most that one attempt of a call can cost, known before it is sent."""

import json

from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.metering.prices import Prices
from convergence_cluster.trials.running import TrialPlan, max_output_tokens, model_of


class Ceiling:
    """Bounds the price of every call of a study, from the lengths of its texts and its limit on output."""

    def __init__(self, plan: TrialPlan, prices: Prices) -> None:
        self._plan = plan
        self._prices = prices
        self._n_bytes = tuple(_n_bytes(dict(case.input)) for case in plan.cases)
        self._prompts = {
            name: {value: (len(text.encode()), text.count("{{")) for value, text in texts.items()}
            for name, texts in plan.prompts.items()
        }
        self._n_fixed_bytes = _n_bytes(dict(plan.fixed))
        self._n_fixed_insertions = json.dumps(dict(plan.fixed)).count("{{")

    def upper_bound_usd(self, configuration: Configuration, case: int) -> float | None:
        """Return the most that one attempt can cost in USD, or None where no price or nothing bounds it.

        Each insertion of a template is taken for the whole case, so that a bound is a bound.
        """
        n_bytes, n_insertions = self._n_fixed_bytes, self._n_fixed_insertions
        for name, value in configuration.items():
            in_prompt = self._prompts.get(name, {}).get(value) if isinstance(value, str) else None
            n_own, n_own_insertions = in_prompt or (_n_bytes(value), 0)
            n_bytes += n_own
            n_insertions += n_own_insertions
        everything = {**self._plan.fixed, **configuration}
        n_tokens = max_output_tokens(everything, default=-1)
        n_answers = everything.get("n")
        return self._prices.upper_bound(
            model=model_of(everything),
            n_input_chars=n_bytes + self._n_bytes[case] * max(1, n_insertions),
            max_output_tokens=None if n_tokens < 0 else n_tokens * (n_answers if isinstance(n_answers, int) else 1),
        )


def _n_bytes(value: Json) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str).encode())
