"""Metrics that nobody has to judge: time, money, tokens. In their own units, not in [0, 1]."""

from collections.abc import Collection, Mapping

from convergence_cluster.domain.calls import Answer, Finish
from convergence_cluster.domain.errors import PermanentError

MEASURED = ("latency_ms", "ttft_ms", "cost_usd", "input_tokens", "output_tokens", "total_tokens", "success_rate")
"""`success_rate` is 1 for a whole answer, 0 for one that was cut or refused; calls without an answer have none."""


def measure(names: Collection[str], answer: Answer, cost_usd: float | None) -> Mapping[str, float]:
    """Return the named metrics of one answered call.

    Raises:
        PermanentError: the provider does not say how many tokens, or no price is known.
    """
    return {name: _value(name, answer, cost_usd) for name in names}


def _value(name: str, answer: Answer, cost_usd: float | None) -> float:
    match name:
        case "latency_ms":
            return answer.latency_s * 1000.0
        case "ttft_ms":
            if answer.ttft_s is None:
                raise PermanentError("ttft_ms: the answer did not come as a stream, so its first token has no time")
            return answer.ttft_s * 1000.0
        case "success_rate":
            return float(answer.finish not in {Finish.LENGTH, Finish.REFUSAL})
        case "cost_usd":
            if cost_usd is None:
                model = f" for {answer.model}" if answer.model else ""
                raise PermanentError(f"cost_usd: no price is known{model}; state prices in the study file")
            return cost_usd
    if answer.usage is None:
        raise PermanentError(f"{name}: the answer does not say how many tokens it took; set `response.usage`")
    counts = {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
    return float(sum(counts.values()) if name == "total_tokens" else counts[name])
