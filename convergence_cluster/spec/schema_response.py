"""The `api.response` section: what an answer means."""

from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from convergence_cluster.spec.section import JmesPath, NonNegative, Section


def _cost_paths(value: Any) -> Any:
    if isinstance(value, str):
        return ({"path": value},)
    return () if value is None else (value,) if isinstance(value, dict) else value


class CostPath(Section):
    """Where an answer says what it cost."""

    path: JmesPath
    """JMESPath to a number."""
    per_unit: NonNegative | None = None
    """USD for each unit."""
    per_million: NonNegative | None = None
    """USD for a million units. Without either, the number is USD."""
    required: bool = False
    """An answer without this number has an unknown cost."""


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


class ResponseSection(Section):
    """Where in an answer things are: JMESPath expressions over the response body."""

    result_field: JmesPath | None = None
    """The result that metrics score. Default: the provider's usual place, else the whole body."""
    text: JmesPath | None = None
    """The result as text, where it is elsewhere than `result_field`."""
    error_field: JmesPath | None = None
    """An error message; where it is present and not empty, and `success_when` and `success_field` say nothing else, the
    call failed."""
    success_field: JmesPath | None = None
    """A flag; the call failed where it is present and false. Absent counts as success."""
    success_when: JmesPath | None = None
    """An expression over `{status, body}` that must be true, or the call failed: `` body.state == 'done' ``."""
    usage: UsagePaths | None = None
    """Token counts: a path to an object with the usual names, or one path for each count."""
    cost: Annotated[tuple[CostPath, ...], BeforeValidator(_cost_paths)] = ()
    """USD of a call: a path, or a list of paths with unit prices that add up."""
    finish: JmesPath | None = None
    """Why it ended: `length` or `max_tokens` mean it was cut, `content_filter` or `refusal` that it was not given."""
    model: JmesPath | None = None
    """The model that answered."""
