"""The `api.polling`, `api.cleanup` and `api.function` sections: APIs that are more, or less, than one request."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.section import Headers, JmesPath, Positive, Section, Text, at

_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")


class StepSection(Section):
    """One request. A text stands for `{url: text}`."""

    url: Text
    """Where it goes, absolute or relative to the endpoint; a template over `params`, `case`, and the bodies of the
    answers so far: `submitted`, `polled`, `fetched`, or their headers: `{{ headers.submitted.location }}`,
    `{{ headers.submitted['operation-location'] }}`. The key of `api.auth` is sent to the hosts that this file names,
    never to one that only an answer names."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    """HTTP method. Default: POST for `submit` and `cancel`, DELETE for `cleanup`, else GET."""
    headers: Headers = Field(default_factory=dict)
    """Headers by name; values are templates."""
    query: Mapping[str, Json] = Field(default_factory=dict)
    """Query parameters; texts in it are templates."""
    body: Json = None
    """JSON body; texts in it are templates."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_url(self) -> "StepSection":
        if any(character.isspace() for character in _TEMPLATE.sub("x", self.url)):
            raise at("url", f"{self.url!r}: expected a URL without blanks, such as /jobs/{{{{ submitted.id }}}}")
        return self


class PollingSection(Section):
    """How to learn that a job is done. Conditions are JMESPath over `{status, headers, body}` of a poll's answer."""

    submit: StepSection | None = None
    """The request that starts the job. Default: `api.endpoint` with `api.request`."""
    poll: StepSection | None = None
    """The request that asks how the job is doing: `/jobs/{{ submitted.id }}`. Required for provider `http`."""
    done_when: JmesPath | None = None
    """Holds once the job is done: `` body.status == 'done' ``. Required for provider `http`."""
    fail_when: JmesPath | None = None
    """Holds once the job has failed; the call is then failed, and what it cost is booked."""
    result: StepSection | None = None
    """The request that fetches the result. Default: the last poll's answer has it."""
    cancel: StepSection | None = None
    """The request that ends a job that is given up: timed out, lost, or the study was stopped."""
    interval_seconds: Positive | None = None
    """Longest pause between polls, in seconds; a `Retry-After` that is longer goes before it. The first polls come
    sooner: after a quarter of the time so far, at least a tenth of this. Default: 1."""
    timeout_seconds: Annotated[Positive, Field(le=86400)] = 300
    """Longest time for a job, in seconds."""


class FunctionSection(Section):
    """A Python function as the API. A text `module:function` stands for both."""

    module: Text
    """Python file beside the study file."""
    function: Text = "call"
    """Name of the function in it: `call(params, case)`, or with the names of parameters and of the case's input. What
    it returns is read like an answer's body."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        module, _, function = value.partition(":")
        return {"module": module, **({"function": function} if function else {})}
