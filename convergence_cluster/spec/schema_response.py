"""The `api.response` section: what an answer means."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from convergence_cluster.spec.section import JmesPath, Money, Section, at


def _cost_paths(value: Any) -> Any:
    if isinstance(value, str):
        return ({"path": value},)
    return () if value is None else (value,) if isinstance(value, dict) else value


class CostPath(Section):
    """Where an answer says what it cost."""

    path: JmesPath
    """JMESPath to a number."""
    per_unit: Money | None = None
    """USD for each unit."""
    per_million: Money | None = None
    """USD for a million units. Without either, the number is USD."""

    required: bool = True
    """Whether an answer without this number makes the cost unknown; else its absence counts as 0."""
    step: Literal["submit", "poll", "result", "cleanup"] | None = None
    """Which answer of a job has it. Default: the one with the result."""

    @model_validator(mode="after")
    def _is_one_price(self) -> "CostPath":
        if self.per_unit is not None and self.per_million is not None:
            raise at("per_million", "per_unit and per_million exclude each other")
        return self

    @property
    def usd_per_unit(self) -> float:
        """What one unit costs."""
        return (
            self.per_unit if self.per_unit is not None else 1.0 if self.per_million is None else self.per_million / 1e6
        )


class UsagePaths(Section):
    """Where an answer says how many tokens it used. A path stands for `{object: path}`."""

    object: JmesPath | None = None
    """JMESPath to an object with the counts under their usual names (`prompt_tokens`, `input_tokens`, ...)."""
    input_tokens: JmesPath | None = None
    """JMESPath to the tokens read, cached ones included."""
    output_tokens: JmesPath | None = None
    """JMESPath to the tokens written, reasoning included."""
    cached_tokens: JmesPath | None = None
    """JMESPath to the tokens read from a cache."""
    cache_write_tokens: JmesPath | None = None
    """JMESPath to the tokens written to a cache."""
    reasoning_tokens: JmesPath | None = None
    """JMESPath to the tokens of reasoning."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        return {"object": value} if isinstance(value, str) else value

    def rule(self) -> str | Mapping[str, str]:
        """Return the path of an object, or a path for each count."""
        return self.object or self.model_dump(exclude_none=True)


class ResponseSection(Section):
    """Where in an answer things are: JMESPath expressions over the response body."""

    result_field: JmesPath | None = Field(default=None, validation_alias=AliasChoices("result_field", "text"))
    """The result that metrics score. Default: the provider's usual place, else the whole body."""
    error_field: JmesPath | None = None
    """An error; the call failed where it is neither absent, false nor empty."""
    success_field: JmesPath | None = None
    """A flag; the call failed where it is false. Absent counts as success. `success_when` goes before it."""
    success_when: JmesPath | None = None
    """An expression over `{status, headers, body}` that must hold, or the call failed: `` body.state == 'done' ``."""
    usage: UsagePaths | None = None
    """Token counts: a path to an object with the usual names, or one path for each count."""
    cost: Annotated[tuple[CostPath, ...], BeforeValidator(_cost_paths)] = ()
    """USD of a call: a path, or a list of paths with unit prices that add up."""
    finish: JmesPath | None = None
    """Why it ended: `length` or `max_tokens` mean it was cut, `content_filter` or `refusal` that it was not given."""
    model: JmesPath | None = None
    """The model that answered."""

    def success_rule(self) -> str | None:
        """Return the expression over `{status, headers, body}` that must hold, or None for any answer."""
        if self.success_when is not None or self.success_field is None:
            return self.success_when
        return f"(body | {self.success_field}) != `false`"
