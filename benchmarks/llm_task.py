"""A simulated LLM task: eight models, ten prompts and five settings; quality, latency and cost of 200 test cases.

A construction, not a recording: quality follows item response theory (ability of the configuration minus difficulty of
the case, models and prompts interacting), latency is lognormal and cost follows the tokens.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.driving import Answer
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Direction, Objective, SearchProblem
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.baselines_space import draw_configuration
from convergence_cluster.spec.schema_optimization import DEFAULT_REPEATS

N_MODELS, N_PROMPTS, N_CASES = 8, 10, 200
LATENCY_SD = 0.4
TOKENS_SD = 0.3
REASONERS = ("m5", "m6", "m7")

SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=tuple(f"m{k}" for k in range(N_MODELS))),
        Parameter(name="prompt", kind=ParameterKind.CATEGORICAL, values=tuple(f"p{k}" for k in range(N_PROMPTS))),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.5),
        Parameter(name="top_p", kind=ParameterKind.CONTINUOUS, low=0.2, high=1.0),
        Parameter(name="max_tokens", kind=ParameterKind.INTEGER, low=64, high=4096, step=1, log=True),
        Parameter(name="shots", kind=ParameterKind.INTEGER, low=0, high=8, step=1),
        Parameter(name="effort", kind=ParameterKind.ORDINAL, values=(1, 2, 3), when={"model": REASONERS}),
    )
)
OBJECTIVES = (
    Objective(name="quality", direction=Direction.MAXIMIZE),
    Objective(name="latency_s", direction=Direction.MINIMIZE),
    Objective(name="cost_usd", direction=Direction.MINIMIZE),
)
LATENCY_RANGE = (0.2, 60.0)
COST_RANGE = (1e-5, 1e-1)


class LlmTask:
    """One drawn landscape."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 71])
        strength = np.sort(rng.normal(0.0, 0.9, N_MODELS))
        self._ability = strength
        self._prompt = rng.normal(0.0, 0.5, N_PROMPTS)
        self._pair = rng.normal(0.0, 0.35, (N_MODELS, N_PROMPTS))
        self._best_heat = rng.uniform(0.1, 0.9, N_MODELS)
        self._needed = np.exp(rng.normal(math.log(300), 0.5, N_PROMPTS))
        self._shot_gain = rng.uniform(0.0, 0.5, N_MODELS)
        self._difficulty = rng.normal(-0.3, 1.0, N_CASES)
        self._taste = rng.normal(0.0, 0.6, (N_MODELS, N_CASES))
        self._price = 2e-7 * np.exp(1.1 * (strength - strength.mean()) + rng.normal(0, 0.8, N_MODELS))
        self._speed = 90 * np.exp(-0.5 * (strength - strength.mean()) + rng.normal(0, 0.5, N_MODELS))
        self._prompt_tokens = rng.uniform(60, 900, N_PROMPTS)
        self._seed = seed

    def evaluate(self, configuration: Configuration, case: int, repeat: int) -> Answer:
        """Return what one call scores; the same call, asked again, is the same."""
        text = repr(sorted(configuration.items())).encode()
        rng = np.random.default_rng([self._seed, case, repeat, *text])
        quality = float(rng.random() < self._chances(configuration)[case])
        tokens_in, tokens_out = self._tokens(configuration)
        length = math.exp(rng.normal(-(TOKENS_SD**2) / 2, TOKENS_SD))
        latency = self._latency_s(configuration) * math.exp(rng.normal(-(LATENCY_SD**2) / 2, LATENCY_SD)) * length
        cost = self._usd(configuration, tokens_in, tokens_out * length)
        return score(quality, latency, cost), (quality, latency, cost)

    def truth(self, configuration: Configuration) -> NDArray[np.float64]:
        """Return the true quality, latency and cost, scaled to [0, 1], more is better."""
        return scaled(*self._expected(configuration))

    def true_score(self, configuration: Configuration) -> float:
        """Return the score of a configuration's true quality, latency and cost."""
        return score(*self._expected(configuration))

    def _expected(self, configuration: Configuration) -> tuple[float, float, float]:
        tokens_in, tokens_out = self._tokens(configuration)
        cost = self._usd(configuration, tokens_in, tokens_out)
        return float(self._chances(configuration).mean()), self._latency_s(configuration), cost

    def _chances(self, configuration: Configuration) -> NDArray[np.float64]:
        model, prompt = _index(configuration["model"]), _index(configuration["prompt"])
        heat, top_p = configuration["temperature"], configuration["top_p"]
        ability = self._ability[model] + self._prompt[prompt] + self._pair[model, prompt]
        ability -= 1.5 * (heat - self._best_heat[model]) ** 2 + 0.6 * heat * abs(top_p - 0.9)
        ability += self._shot_gain[model] * math.log1p(configuration["shots"]) - 0.02 * configuration["shots"] ** 2
        ability += 0.35 * (configuration.get("effort", 1) - 1)
        short = max(0.0, math.log(self._needed[prompt] * self._thought(configuration) / configuration["max_tokens"]))
        logits = ability - 1.2 * short - self._difficulty + self._taste[model]
        return np.asarray(1 / (1 + np.exp(-1.3 * logits)))

    def _thought(self, configuration: Configuration) -> float:
        return float(1.8 ** (configuration.get("effort", 1) - 1))

    def _tokens(self, configuration: Configuration) -> tuple[float, float]:
        prompt = _index(configuration["prompt"])
        tokens_in = float(self._prompt_tokens[prompt] + 120 * configuration["shots"])
        wanted = float(self._needed[prompt]) * self._thought(configuration)
        return tokens_in, min(wanted, float(configuration["max_tokens"]))

    def _latency_s(self, configuration: Configuration) -> float:
        tokens_in, tokens_out = self._tokens(configuration)
        return float(0.15 + (tokens_out + 0.02 * tokens_in) / self._speed[_index(configuration["model"])])

    def _usd(self, configuration: Configuration, tokens_in: float, tokens_out: float) -> float:
        return float(self._price[_index(configuration["model"])] * (tokens_in + 4 * tokens_out))


def scaled(quality: float, latency_s: float, cost_usd: float) -> NDArray[np.float64]:
    """Return the three objectives in [0, 1], more is better, latency and cost by their logarithm."""
    return np.array([quality, _share(latency_s, LATENCY_RANGE), _share(cost_usd, COST_RANGE)])


def score(quality: float, latency_s: float, cost_usd: float) -> float:
    """Return the product's weighted mean of utilities."""
    return 0.6 * quality + 0.2 / (1 + latency_s / 5.0) + 0.2 / (1 + cost_usd / 1e-3)


def task_problem(seed: int, n_calls: int, n_workers: int, n_cases: int = N_CASES) -> SearchProblem:
    """Return the problem that every search is given; the same call, made again, may be answered otherwise."""
    return SearchProblem(
        space=SPACE,
        n_cases=n_cases,
        objectives=OBJECTIVES,
        max_calls=n_calls,
        max_repeats=DEFAULT_REPEATS,
        parallelism=n_workers,
        seed=seed,
    )


def neighbour(configuration: Configuration, rng: np.random.Generator) -> Configuration:
    """Take each parameter from another random configuration with a chance of one in four, the model never."""
    other = draw_configuration(replace(SPACE, parameters=SPACE.parameters[1:6]), rng)
    changed = {name: other[name] if name in other and rng.random() < 0.25 else v for name, v in configuration.items()}
    if "effort" in changed and rng.random() < 0.25:
        changed["effort"] = int(rng.integers(1, 4))
    return changed


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return float(np.clip(math.log(high / value) / math.log(high / low), 0.0, 1.0))


def _index(label: str) -> int:
    return int(label[1:])
