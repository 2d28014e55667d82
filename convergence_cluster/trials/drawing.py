"""The draws of one call: one, unless a metric asks for several answers to the same request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean

from convergence_cluster.domain.calls import Answer, Call, Usage
from convergence_cluster.evaluators.repeating import Repeated
from convergence_cluster.metering.prices import Cost
from convergence_cluster.metering.retry import Tally

AT_MOST = "reserved maximum"


@dataclass(kw_only=True, slots=True)
class Draw:
    """One answer with what it cost and how it was scored; filled as it comes."""

    answer: Answer | None = None
    cost: Cost | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def merged_metrics(draws: Sequence[Draw], repeated: Sequence[Repeated]) -> Mapping[str, float]:
    """Return the mean of every metric, and those that need all draws."""
    if len(draws) == 1 and not repeated:
        return draws[0].metrics
    every = [draw.metrics for draw in draws]
    texts = [draw.answer.text for draw in draws if draw.answer is not None]
    means = {name: fmean(metrics[name] for metrics in every) for name in every[0]}
    return means | {metric.metric: metric.value(texts, every) for metric in repeated}


def merged_usage(answers: Sequence[Answer]) -> Usage | None:
    """Return the tokens of all answers together, or None where one does not say."""
    if len(answers) == 1:
        return answers[0].usage
    known = [answer.usage for answer in answers if answer.usage is not None]
    if len(known) < len(answers) or not known:
        return None
    return Usage(**{each.name: sum(getattr(usage, each.name) for usage in known) for each in fields(Usage)})


def settled(call: Call, tally: Tally, draws: Sequence[Draw]) -> tuple[float | None, str | None]:
    """Return what all attempts cost, and whose word that is.

    Those without an answer or a price count at their reserved maximum, for they may be billed. Answers from the cache
    count only where all are from there.
    """
    unknown_usd = tally.n_unknown * call.reserved_usd
    answered = [draw for draw in draws if draw.answer is not None]
    if not answered:
        is_priced = tally.n_unknown == 0 or call.reserved_usd > 0.0
        return (unknown_usd if is_priced else None), (AT_MOST if unknown_usd else None)
    paid = [draw for draw in answered if draw.answer is not None and not draw.answer.is_cached] or answered
    costs = [draw.cost for draw in paid if draw.cost is not None]
    n_unpriced = len(paid) - len(costs)
    if n_unpriced:
        bound_usd = sum(cost.usd for cost in costs) + n_unpriced * call.reserved_usd + unknown_usd
        return (bound_usd, AT_MOST) if call.reserved_usd > 0.0 or unknown_usd > 0.0 else (None, None)
    return sum(cost.usd for cost in costs) + unknown_usd, costs[0].source
