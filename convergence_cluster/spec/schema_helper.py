"""Models that help to score and to make test cases: their calls cost money and are no calls of the study."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.schema_api import ApiSection, Price, Provider, Rate, endpoint_problem
from convergence_cluster.spec.schema_auth import Auth
from convergence_cluster.spec.section import Count, NonNegativeCount, Positive, Section, Text, at


class HelperSection(Section):
    """A model that helps: what it costs counts in `budget.usd`, never in a configuration's own cost or latency."""

    endpoint: Text
    """URL that it is asked at. May contain `${NAME}` or `${NAME:-default}` for environment variables."""
    model: Text
    """The model."""
    provider: Provider | None = None
    """The wire format. Default: recognised by the endpoint, as in `api`."""
    auth: Auth = Field(default_factory=Auth)
    """How calls are authorized."""
    parameters: Mapping[str, Json] = Field(default_factory=dict)
    """Further fields of its requests, such as `temperature`. A budget in USD needs a limit on output among them."""
    prices: Price | None = None
    """What it costs. Default: what the answer or the installed price list says."""
    rate: Rate = Field(default_factory=Rate)
    """How fast its calls may go, in each process that makes calls."""
    timeout_seconds: Annotated[Positive, Field(le=3600)] = 60
    """Longest time for one attempt, in seconds."""
    max_retries: NonNegativeCount = 3
    """Further attempts for one answer, all its votes together."""

    @model_validator(mode="after")
    def _is_reachable(self) -> "HelperSection":
        problem = endpoint_problem(self.endpoint)
        if problem is None and self.endpoint.startswith("sandbox:"):
            problem = "a sandbox does not judge; expected a URL such as https://api.example.com/v1/chat/completions"
        if problem is not None:
            raise at("endpoint", problem)
        return self

    def api(self, name: str) -> ApiSection:
        """Return it as an API of its own."""
        return ApiSection.model_validate(
            {
                "name": name,
                "endpoint": self.endpoint,
                "provider": self.provider,
                "auth": self.auth.model_dump(exclude_unset=True),
                "request": {"timeout_seconds": self.timeout_seconds},
                "prices": {} if self.prices is None else {"*": self.prices.model_dump()},
                "rate": self.rate.model_dump(),
            }
        )


class JudgeSection(HelperSection):
    """The model that grades answers for metrics of type `llm_judge` and assertions of type `llm-rubric`."""

    votes: Count = 1
    """How often it is asked for one answer; the grades are averaged. More than one needs a temperature above 0."""
    grades: Annotated[int, Field(ge=2, le=100)] = 5
    """It grades from 1 to this; 2 is fail and pass."""
    max_answer_bytes: Annotated[int, Field(ge=100)] = 12_000
    """Longer answers are cut here before they are judged, which bounds what judging can cost."""


class EmbeddingsSection(HelperSection):
    """The model that turns texts into vectors."""

    max_answer_bytes: Annotated[int, Field(ge=100)] = 12_000
    """Longer answers are cut here before they are compared."""
