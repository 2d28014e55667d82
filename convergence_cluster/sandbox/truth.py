"""What `--truth` prints: the best configurations, exactly for simulated models, measured for real codecs."""

from collections.abc import Mapping
from typing import Any

from convergence_cluster.sandbox.compress import configurations, measured
from convergence_cluster.sandbox.corpus import corpus
from convergence_cluster.sandbox.landscapes import Landscape
from convergence_cluster.sandbox.reply import Weighting

METRICS = ("quality", "latency_ms", "cost_usd")
COMPRESS_WEIGHTING = Weighting(weights={"quality": 0.8, "latency_ms": 0.2}, latency_ms=50.0)
"""As configs/compress.yaml weighs them: the share saved, and the time it takes."""


def weighting_of(weights: str | None, scales: str | None, default: Weighting, speed: float = 1.0) -> Weighting:
    """Return the weighting of a command line; scales of latency are as the server answers, at its speed.

    Raises:
        ValueError: a name is no metric or a value is no positive number.
    """
    scale = _numbers(scales, METRICS[1:])
    return Weighting(
        weights=_numbers(weights, METRICS) or default.weights,
        latency_ms=scale["latency_ms"] * speed if "latency_ms" in scale else default.latency_ms,
        cost_usd=scale.get("cost_usd", default.cost_usd),
    )


def llm_truth(landscape: Landscape, weighting: Weighting, speed: float, top: int) -> str:
    """Return the true best configurations of a landscape as lines of text."""
    ranking = landscape.ranking(weighting)
    best = ranking[0][1].score
    rows = [
        _row(place, truth.score, (truth.quality, truth.latency_ms / speed, truth.cost_usd), configuration)
        for place, (configuration, truth) in enumerate(ranking[:top], 1)
    ]
    near = sum(truth.score >= 0.99 * best for _, truth in ranking)
    return "\n".join(
        [
            f"SIMULATION, landscape {landscape.name}: {len(ranking)} configurations, {landscape.n_cases} test cases",
            _weighed(weighting, speed),
            _HEAD,
            *rows,
            f"within 1 % of the best: {near} configurations; median score {ranking[len(ranking) // 2][1].score:.4f}",
        ]
    )


def compress_truth(weights: str | None, scales: str | None, top: int) -> str:
    """Measure every configuration of the real codecs, once on every file, and return the best as lines of text."""
    files = corpus()
    weighting = weighting_of(weights, scales, COMPRESS_WEIGHTING)
    known = [(configuration, measured(configuration, files)) for configuration in configurations()]

    def score(done: Mapping[str, float]) -> float:
        return weighting.score(done["saved"], done["milliseconds"], done["cost_usd"])

    ranking = sorted(known, key=lambda pair: -score(pair[1]))
    rows = [
        _row(place, score(done), (done["saved"], done["milliseconds"], done["cost_usd"]), configuration)
        for place, (configuration, done) in enumerate(ranking[:top], 1)
    ]
    n_unverified = sum(done["n_unverified"] for _, done in known)
    return "\n".join(
        [
            f"measured now: {len(ranking)} configurations, {len(files)} files, {n_unverified:g} not verified",
            _weighed(weighting, 1.0),
            _HEAD,
            *rows,
        ]
    )


_HEAD = f"{'':>3} {'score':>7} {'quality':>8} {'latency_ms':>11} {'cost_usd':>10}  configuration"


def _row(place: int, score: float, values: tuple[float, float, float], configuration: Mapping[str, Any]) -> str:
    quality, latency_ms, cost_usd = values
    named = " ".join(f"{name}={value}" for name, value in configuration.items())
    return f"{place:>3} {score:>7.4f} {quality:>8.4f} {latency_ms:>11.1f} {cost_usd:>10.7f}  {named}"


def _weighed(weighting: Weighting, speed: float) -> str:
    named = ", ".join(f"{name} {weight:g}" for name, weight in weighting.weights.items())
    halves = f"latency {weighting.latency_ms / speed:g} ms, cost {weighting.cost_usd:g} USD"
    return f"weights: {named}; utility one half at {halves}"


def _numbers(text: str | None, names: tuple[str, ...]) -> dict[str, float]:
    chosen: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        if name not in names:
            raise ValueError(f"{name!r} is unknown; expected some of {', '.join(names)}")
        try:
            chosen[name] = float(value)
        except ValueError as error:
            raise ValueError(f"{name}={value!r}: expected a number") from error
        if chosen[name] <= 0.0:
            raise ValueError(f"{name}={value}: expected a number above 0")
    return chosen
