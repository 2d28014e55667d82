"""The simulated models: what each is good at, how much it writes, how long it takes and its published price."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class SimModel:
    """One model of the simulation, with the times of an ordinary hosted model; the server divides them by its speed."""

    name: str
    ability: float
    """In logits: how far above a question of difficulty 0."""
    answer_tokens: float
    """Typical length of an answer to an easy question without instructions on style."""
    first_token_s: float
    token_s: float
    input_per_million_usd: float
    output_per_million_usd: float
    reasons: bool = False
    """Thinks before it answers: takes `reasoning_effort` and no `temperature`."""

    def cost_usd(self, input_tokens: int, output_tokens: float) -> float:
        """Return the price of one call."""
        return (input_tokens * self.input_per_million_usd + output_tokens * self.output_per_million_usd) * 1e-6


def _models(*models: SimModel) -> Mapping[str, SimModel]:
    return MappingProxyType({model.name: model for model in models})


MODELS = _models(
    SimModel(
        name="sim-tiny",
        ability=-0.6,
        answer_tokens=50,
        first_token_s=0.12,
        token_s=0.002,
        input_per_million_usd=0.05,
        output_per_million_usd=0.20,
    ),
    SimModel(
        name="sim-small",
        ability=0.35,
        answer_tokens=60,
        first_token_s=0.20,
        token_s=0.003,
        input_per_million_usd=0.15,
        output_per_million_usd=0.60,
    ),
    SimModel(
        name="sim-medium",
        ability=1.35,
        answer_tokens=85,
        first_token_s=0.30,
        token_s=0.005,
        input_per_million_usd=0.50,
        output_per_million_usd=2.00,
    ),
    SimModel(
        name="sim-turbo",
        ability=1.0,
        answer_tokens=110,
        first_token_s=0.15,
        token_s=0.002,
        input_per_million_usd=0.80,
        output_per_million_usd=3.20,
    ),
    SimModel(
        name="sim-large",
        ability=2.3,
        answer_tokens=150,
        first_token_s=0.50,
        token_s=0.009,
        input_per_million_usd=2.50,
        output_per_million_usd=10.00,
    ),
    SimModel(
        name="sim-reasoner",
        ability=1.6,
        answer_tokens=60,
        first_token_s=0.40,
        token_s=0.004,
        input_per_million_usd=1.10,
        output_per_million_usd=4.40,
        reasons=True,
    ),
)
"""All models by name."""


def prices(names: tuple[str, ...] = tuple(MODELS)) -> dict[str, dict[str, float]]:
    """Return prices by model in the form of a study's `api.prices`."""
    return {
        name: {
            "input_per_million_usd": MODELS[name].input_per_million_usd,
            "output_per_million_usd": MODELS[name].output_per_million_usd,
        }
        for name in names
    }
