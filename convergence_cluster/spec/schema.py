"""The study file as a whole."""

from typing import Any, Literal

from pydantic import Field, model_validator

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.spec.schema_evaluation import EvaluationSection
from convergence_cluster.spec.schema_optimization import Budget, OptimizationSection
from convergence_cluster.spec.schema_output import LegacySection, OutputSection
from convergence_cluster.spec.schema_search import SearchSpaceSection
from convergence_cluster.spec.schema_society import AgentSection, SocietySection, WeaveSection
from convergence_cluster.spec.section import LATER, Count, Positive, Section

_REQUIRED = ("api", "search_space", "evaluation")


class RateLimiting(Section):
    """The pace, as older files write it."""

    enabled: bool = True
    """Whether it holds."""
    requests_per_minute: Positive | None = None
    """As `api.rate.rpm`."""
    burst_limit: Count | None = None
    """No effect."""
    backoff_strategy: Literal["exponential", "linear", "constant"] | None = None
    """No effect."""


class StudySpec(Section):
    """A study: an API, which configurations of it exist, what is better, and what finding out may cost."""

    api: ApiSection
    """The API to optimize."""
    search_space: SearchSpaceSection
    """Which configurations exist."""
    evaluation: EvaluationSection
    """How good an answer is."""
    optimization: OptimizationSection = Field(default_factory=OptimizationSection)
    """How to search."""
    budget: Budget = Field(default_factory=Budget)
    """Hard limits."""
    output: OutputSection = Field(default_factory=OutputSection)
    """What is written."""
    legacy: LegacySection = Field(default_factory=LegacySection)
    """What earlier studies learned."""
    society: SocietySection | None = Field(default=None, json_schema_extra=LATER)
    """Agents that help with the search."""
    weave: WeaveSection | None = Field(default=None, json_schema_extra=LATER)
    """Tracing with Weights & Biases Weave."""
    agent: AgentSection | None = Field(default=None, json_schema_extra=LATER)
    """Agents as the thing to optimize."""
    rate_limiting: RateLimiting | None = None
    """The pace, as older files write it; `api.rate` goes before it."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        """Let an empty section stand for its defaults, and `rate_limiting` for `api.rate`."""
        if not isinstance(value, dict):
            return value
        sections = {key: item for key, item in value.items() if item is not None or key in _REQUIRED}
        api, limiting = sections.get("api"), sections.get("rate_limiting")
        if not isinstance(api, dict) or not isinstance(limiting, dict) or "rate" in api:
            return sections
        if limiting.get("enabled", True) is False or "requests_per_minute" not in limiting:
            return sections
        return {**sections, "api": {**api, "rate": {"rpm": limiting["requests_per_minute"]}}}

    def document(self) -> Json:
        """Return the normalised study as JSON with the keys of the file; `StudySpec.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
