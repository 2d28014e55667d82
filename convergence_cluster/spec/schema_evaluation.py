"""The `evaluation` section: test cases, metrics, constraints."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import Assertion, bare_type, value_problem
from convergence_cluster.spec.functions import REPEATED, function_of, function_problem
from convergence_cluster.spec.schema_helper import EmbeddingsSection, HelperSection, JudgeSection
from convergence_cluster.spec.section import (
    IGNORED,
    Count,
    JmesPath,
    NonNegative,
    NonNegativeCount,
    Number,
    OneOrMore,
    Positive,
    Section,
    Share,
    Text,
    Weight,
    at,
)

_NOT_OPTIONS = {"weight", "type", "function", "budget_per_call", "description", "labels"}


def _function(value: str) -> str:
    problem = function_problem(value)
    if problem is not None:
        raise PydanticCustomError("pattern", "{problem}", {"problem": problem})
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise PydanticCustomError(
            "pattern", "expected a regular expression; {reason}", {"reason": str(error)}
        ) from error
    return value


class Augmentation(Section):
    """More cases made from those given, where what they expect can be worked out again: plain arithmetic.

    `convergence augment` has a model put the others into other words.
    """

    enabled: bool = False
    """Whether to make any."""
    mutation_rate: Share = Field(default=0.3, json_schema_extra=IGNORED)
    """Every case is changed that can be, until there are enough."""
    crossover_rate: Share = Field(default=0.2, json_schema_extra=IGNORED)
    """No cases are combined, for nobody could say what to expect of them."""
    augmentation_factor: Positive = 2
    """Cases afterwards, over cases before."""
    preserve_originals: bool = True
    """Keep the cases that others were made of."""
    model: HelperSection | None = None
    """The model that `convergence augment` asks. Default: `evaluation.judge`."""


class TestCasesSection(Section):
    """The inputs and what is expected of the answers. A text stands for `{path: ...}`, a list for `{inline: [...]}`."""

    __test__ = False

    path: Text | None = None
    """JSON (a list, `{"test_cases": [...]}` or one case), JSONL, CSV or YAML file, relative to the study file."""
    inline: Annotated[tuple[Json, ...], OneOrMore] | None = None
    """The cases themselves; used where there is no `path`."""
    holdout: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Share of the cases kept from the search for the final comparison; drawn by `optimization.seed`."""
    augmentation: Augmentation = Field(default_factory=Augmentation)
    """More cases made from those given."""


class MetricSection(Section):
    """One metric. A number stands for `{weight: ...}`."""

    weight: Weight = 1.0
    """Share in the score, relative to the other metrics' weights. 0: reported only."""
    type: Literal["higher_is_better", "lower_is_better", "llm_judge"] | None = None
    """Which way is better. Default: lower for names that say latency, cost, tokens, time, price, error or duration."""
    function: Annotated[Text, AfterValidator(_function)] | None = None
    """How it is computed; `docs/evaluators.md` lists the functions. Default: measured for built-in names, `assert`
    where there are assertions, else the custom evaluator."""
    threshold: Positive | None = None
    """Lower is better: the value whose utility is 1/2. Of `assert`, `rouge-n`, `bleu`, `python`, `llm_judge` and
    `similar` the pass mark: 1 from there on, else 0; of `pass^k` what a draw must reach in `of` (1). Else no effect on
    the score."""
    budget_per_call: Positive | None = None
    """As `threshold`, in USD, for costs."""
    asserts: Annotated[tuple[Assertion, ...], OneOrMore] | None = Field(default=None, alias="assert")
    """What every answer must be, counted by function `assert` together with the assertions of the test case."""
    value: Json = None
    """What every answer is compared with. Default: each case's own `expected`."""
    n: Count | None = None
    """Words a piece, for `rouge-n`. Default: 1."""
    rubric: Text | None = None
    """What a good answer is, for `llm_judge`; a template over the case's input, or `file://NAME`."""
    votes: Count | None = None
    """How often the judge is asked for one answer. Default: as `evaluation.judge` says."""
    grades: Annotated[int, Field(ge=2, le=100)] | None = None
    """The judge grades from 1 to this. Default: as `evaluation.judge` says."""
    against: Literal["expected"] | None = None
    """The judge compares the answer with the expected one, in both orders: 1 is better, 1/2 as good, 0 worse."""
    labels: Text | tuple[Json, ...] | None = None
    """Answers that people have graded, a file or a list of `{input, answer, label}`: the judge grades them before the
    search, and the report says how far it agrees. `label` is in [0, 1] or a flag; `grade` may stand for it."""
    repeats: Annotated[int, Field(ge=2, le=50)] | None = None
    """How many answers are drawn for each case, for `pass^k` and `consistency`. Every answer is a call."""
    of: Text | None = None
    """The metric in which `pass^k` wants every draw to reach `threshold`. Default: the only one that could be meant."""
    by: Literal["same", "close"] | None = None
    """When `consistency` calls two answers alike: the same text but for letter case and blanks, or by edit distance.
    Default: same."""
    ignore_case: bool | None = None
    """Compare text without regard to case. Default: no for `exact` and `regex`, yes for other text."""
    mode: Literal["any", "all"] | None = None
    """Whether `contains` wants any of several texts, or scores their share."""
    pattern: Annotated[Text, AfterValidator(_pattern)] | None = None
    """Regular expression of `regex`. Default: each case's own."""
    answer_schema: Mapping[str, Json] | None = Field(default=None, alias="schema")
    """JSON schema of `json_schema`. Default: each case's own."""
    tolerance: NonNegative | None = None
    """Largest difference that `numeric` accepts."""
    relative_tolerance: NonNegative | None = None
    """Largest difference that `numeric` accepts, as a share of the expected number."""
    scale: Positive | None = None
    """Difference beyond the tolerance over which `numeric` falls to 0. Default: it falls at once."""
    which: Literal["first", "last"] | None = None
    """The number of the answer that `numeric` takes. Default: the last."""
    min: NonNegativeCount | None = Field(default=None, validation_alias=AliasChoices("min", "min_length"))
    """Shortest answer that `length` accepts. Default: each case's own."""
    max: NonNegativeCount | None = Field(default=None, validation_alias=AliasChoices("max", "max_length"))
    """Longest answer that `length` accepts. Default: each case's own."""
    unit: Literal["chars", "words"] | None = None
    """What `length` counts. Default: chars."""
    field: JmesPath | None = None
    """JMESPath into the result, read as JSON, to the part that is scored by a function. Default: all of it."""
    description: str | None = None
    """For readers."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if value is None:
            return {}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"weight": value} if is_number else value

    @model_validator(mode="after")
    def _is_possible(self) -> "MetricSection":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise at("min", f"min {self.min} is above max {self.max}")
        if (self.repeats is not None) != (function_of(self.function or "") in REPEATED):
            raise at("repeats", "required for pass^k and consistency, and only there: how many answers are drawn")
        written = self.value if self.rubric is None else self.rubric
        problem = None if self.function is None else value_problem(bare_type(self.function), written)
        if problem is not None:
            raise at("value", problem)
        return self

    def options(self) -> dict[str, Json]:
        """Return what was given for the function, by the keys of the file."""
        chosen = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        own = {key: value for key, value in chosen.items() if key not in _NOT_OPTIONS}
        return own if self.asserts is None else {**own, "assert": [each.document() for each in self.asserts]}


class CustomEvaluator(Section):
    """A Python function beside the study file that scores answers."""

    enabled: bool | None = None
    """Default: yes where `module` is given."""
    module: Text | None = None
    """File without `.py` beside the study file, or an importable module."""
    function: Text = "score_response"
    """`f(result, expected, params, metric=None) -> float`, or `f(prediction, expected, context) -> {metric: score}`."""

    @model_validator(mode="after")
    def _has_module(self) -> "CustomEvaluator":
        if self.enabled and self.module is None:
            raise at("module", "required where custom_evaluator is enabled: the Python file beside the study file")
        return self

    @property
    def is_used(self) -> bool:
        """Say whether metrics may use it."""
        return self.module is not None and self.enabled is not False


class Constraint(Section):
    """Bounds that a configuration's mean must keep to be recommended."""

    min: Number | None = None
    """Smallest mean allowed."""
    max: Number | None = None
    """Largest mean allowed."""

    @model_validator(mode="after")
    def _is_possible(self) -> "Constraint":
        if self.min is None and self.max is None:
            raise at("min", "expected min, or max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise at("min", f"min {self.min:g} is above max {self.max:g}")
        return self


def _metrics(value: Any) -> Any:
    is_names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return {name: {} for name in value} if is_names else value


class EvaluationSection(Section):
    """How good an answer is."""

    test_cases: TestCasesSection = Field(default_factory=TestCasesSection)
    """The cases. Default: `test_cases.json` beside the study file."""
    metrics: Annotated[Mapping[str, MetricSection], BeforeValidator(_metrics), Field(min_length=1)]
    """Metrics by name; a list of names weighs them equally. Measured without a function: `latency_ms` (or `latency`),
    `ttft_ms` (or `ttft`, the time to a stream's first token), `cost_usd` (or `cost`), `input_tokens`, `output_tokens`,
    `total_tokens`, `success_rate`."""
    custom_evaluator: CustomEvaluator = Field(default_factory=CustomEvaluator)
    """A Python function that scores answers."""
    judge: JudgeSection | None = None
    """The model that grades answers for `type: llm_judge` and assertions `llm-rubric`."""
    embeddings: EmbeddingsSection | None = None
    """The model that compares answers by meaning for assertions `similar`: `/v1/embeddings` as OpenAI has it."""
    constraints: Mapping[str, Constraint] = Field(default_factory=dict)
    """Bounds by metric that the recommended configuration must keep."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        cases = value.get("test_cases", {})
        if isinstance(cases, str | list):
            cases = {"path" if isinstance(cases, str) else "inline": cases}
        if "holdout" in value and isinstance(cases, dict):
            cases = {"holdout": value["holdout"], **cases}
        rest = {key: item for key, item in value.items() if key != "holdout"}
        return {**rest, "test_cases": cases} if cases != {} else rest
