"""The `optimization` and `budget` sections: how to search, how hard, and what it may cost."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convergence_cluster.spec.section import (
    IGNORED,
    Count,
    Money,
    NonNegative,
    NonNegativeCount,
    Positive,
    Section,
    Share,
    at,
)

DEFAULT_REPEATS = 25


class Mab(Section):
    """The bandit that decides where the next calls go."""

    strategy: Literal["thompson_sampling", "top_two", "epsilon_greedy", "ucb1"] = "thompson_sampling"
    """`thompson_sampling` (or `top_two`): top-two Thompson sampling. The others are accepted and run as it."""
    exploration_rate: Share = Field(default=0.1, json_schema_extra=IGNORED)
    """The search learns its own."""
    confidence_level: Annotated[Positive, Field(lt=1)] = 0.95
    """Probability that stops the search; `early_stopping.confidence` goes before it."""


class Evolution(Section):
    """How new configurations are proposed."""

    population_size: Count = 20
    """With `generations`, sets the default of `budget.calls`; the search itself has no population."""
    generations: Count = 10
    """With `population_size`, sets the default of `budget.calls`; the search itself has no generations."""
    mutation_rate: Share = Field(default=0.2, json_schema_extra=IGNORED)
    """The search learns its own."""
    crossover_rate: Share = Field(default=0.7, json_schema_extra=IGNORED)
    """The search learns its own."""
    elite_size: NonNegativeCount = 2
    """Configurations of earlier studies to begin with."""
    early_stopping_generations: NonNegativeCount | None = Field(default=None, json_schema_extra=IGNORED)
    """`execution.early_stopping` decides."""


class EarlyStopping(Section):
    """When enough is known."""

    enabled: bool = True
    """Whether to stop before the budget is spent."""
    patience: Count | None = None
    """Stop after this many rounds without `min_improvement`; a round gives `population_size` arms their first calls.
    Default: never."""
    min_improvement: NonNegative = 0.01
    """Rise of the score that counts as progress for `patience`."""
    confidence: Annotated[Positive, Field(lt=1)] | None = None
    """Stop when the answer is within `within` of the best with this probability. Default: `mab.confidence_level`."""
    within: Annotated[NonNegative, Field(lt=1)] = 0.01
    """Relative distance to the best score that is good enough."""


class Execution(Section):
    """How calls are run."""

    parallel_workers: Annotated[Count, Field(le=10_000)] = 5
    """Calls on the wire at once, exactly."""
    max_retries: Annotated[NonNegativeCount, Field(le=100)] = 3
    """Further attempts after a passing failure of a call."""
    deterministic: bool = False
    """The API always answers the same to the same call, so no call is repeated."""
    reproducible: bool = False
    """Learn from calls in the order in which they were asked for, so that the same seed and the same answers give the
    same history on any number of workers up to 16. Costs some speed where calls differ in length."""
    max_repeats: Annotated[Count, Field(le=1000)] | None = None
    """How often one configuration may be called on one case. Default: 1 where `deterministic`, else 25; only
    a tie between configurations takes more than one."""
    early_stopping: EarlyStopping = Field(default_factory=EarlyStopping)
    """When enough is known."""
    experiments_per_generation: Count | None = Field(default=None, json_schema_extra=IGNORED)
    """`budget.calls` limits the calls."""
    retry_delay_seconds: NonNegative | None = Field(default=None, json_schema_extra=IGNORED)
    """Retries wait as long as the provider says, else with growing pauses."""
    delay_between_calls: NonNegative | None = Field(default=None, json_schema_extra=IGNORED)
    """`api.rate` sets the pace."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Execution":
        if self.deterministic and (self.max_repeats or 1) > 1:
            raise at("max_repeats", f"{self.max_repeats}: expected 1 for a deterministic API")
        return self

    @property
    def repeats(self) -> int:
        """How often one configuration may be called on one case."""
        return self.max_repeats or (1 if self.deterministic else DEFAULT_REPEATS)


class OptimizationSection(Section):
    """How to search."""

    algorithm: Literal["mab_evolution", "tpe", "nsga2", "random", "grid", "genetic", "mab_only"] = "mab_evolution"
    """`mab_evolution` is the product's own search; `tpe`, `nsga2`, `random` and `grid` are there to compare with.
    `genetic` and `mab_only` of older files run as `mab_evolution`."""
    mab: Mab = Field(default_factory=Mab)
    """The bandit."""
    evolution: Evolution = Field(default_factory=Evolution)
    """The proposals."""
    execution: Execution = Field(default_factory=Execution)
    """The calls."""
    seed: NonNegativeCount = 0
    """The same seed, study and answers give the same decisions."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        """Move keys that older files have one level off: generations under execution, early_stopping above it."""
        if not isinstance(value, dict):
            return value
        execution, evolution = value.get("execution", {}), value.get("evolution", {})
        if not isinstance(execution, dict) or not isinstance(evolution, dict):
            return value
        moved = {key: execution[key] for key in ("generations", "population_size") if key in execution}
        kept = {key: item for key, item in execution.items() if key not in moved}
        stopping = {"early_stopping": value["early_stopping"]} if "early_stopping" in value else {}
        rest = {key: item for key, item in value.items() if key not in {"execution", "evolution", "early_stopping"}}
        return {**rest, "execution": {**stopping, **kept}, "evolution": {**moved, **evolution}}


class Budget(Section):
    """Hard limits. Nothing is sent that could go beyond them."""

    usd: Annotated[Money, Field(gt=0)] | None = None
    """Most USD. Needs a price for every model, or `usd_per_call`."""
    calls: Count | None = None
    """Most calls. Default: generations x population_size x cases."""
    minutes: Positive | None = None
    """Most minutes."""
    usd_per_call: Money | None = None
    """Set aside for each call to an API without a known price; what an answer reports takes its place."""
