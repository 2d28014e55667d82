"""The `search_space` section: which configurations exist."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.spec.section import IGNORED, Number, OneOrMore, Positive, Section, Text, at

ParameterType = Literal["categorical", "ordinal", "discrete", "continuous", "float", "int", "integer"]

MAX_STEPS = 1_000_000
"""Steps in a range; a longer grid is slow to list and no search could tell its neighbours apart."""

MAX_WIDTH = 1e15
"""Of a range; beyond it real numbers have gaps."""


def _from_shorthand(value: Any) -> Any:
    """Return the full form of a parameter written as a list, or as one fixed value."""
    if isinstance(value, dict) or value is None:
        return value
    return {"values": value if isinstance(value, list) else [value]}


class ParameterSection(Section):
    """One parameter. A list stands for `{values: [...]}`, one value for a fixed parameter."""

    type: ParameterType | None = None
    """`categorical`: values in no order. `discrete` (or `ordinal`): values in order, or a range of whole numbers.
    `continuous` (or `float`): a real number. `int`: a whole number. Default: two or more numbers in rising order are
    ordinal, other values categorical; a range with a fraction or a point in it (`max: 1.0`) is real, one with a whole
    `step` is whole."""
    values: Annotated[tuple[Json, ...], Field(min_length=1)] | None = Field(
        default=None, validation_alias=AliasChoices("values", "choices")
    )
    """The allowed values, any JSON."""
    min: Number | None = None
    """Smallest value of a range."""
    max: Number | None = None
    """Largest value of a range."""
    step: Positive | None = None
    """Distance between neighbouring values, counted from `min`. Default: 1 for whole numbers, none for real ones."""
    log: bool | None = None
    """Search by ratios rather than differences. Default: where max is 1000 times min or more and there is no `step`."""
    when: Mapping[str, Annotated[tuple[Json, ...], OneOrMore]] | None = None
    """The parameter applies only while each parameter named here has one of these values."""
    template: Text | None = None
    """Glob of prompt files, relative to the study file. Values are the files' names; calls send the files' texts."""
    description: str | None = None
    """For readers."""

    @model_validator(mode="before")
    @classmethod
    def _real_by_its_point(cls, value: Any) -> Any:
        """Take a range with a bound such as `1.0` for a real one: a number loses its point once it is read."""
        if not isinstance(value, dict) or value.get("type") is not None or value.get("step") is not None:
            return value
        written = [bound for bound in (value.get("min"), value.get("max")) if isinstance(bound, float)]
        return {**value, "type": "float"} if written and all(bound.is_integer() for bound in written) else value

    @model_validator(mode="after")
    def _is_one_kind(self) -> "ParameterSection":
        bounds = [key for key in ("min", "max", "step", "log") if getattr(self, key) is not None]
        given = [key for key in ("values", "template") if getattr(self, key) is not None] + bounds[:1]
        if not given:
            raise at("values", "expected values, or min and max, or template")
        if len(given) > 1:
            raise at(given[1], f"{given[0]} and {given[1]} exclude each other")
        if bounds:
            self._check_range()
        elif self.values is not None:
            self._check_values(self.values)
        return self

    def _check_range(self) -> None:
        for key in ("min", "max"):
            if getattr(self, key) is None:
                raise at(key, "required: a range has min and max")
        assert self.min is not None
        assert self.max is not None
        if self.type in {"categorical", "ordinal"}:
            raise at("type", f"{self.type} takes values, not a range; expected continuous, float, int or discrete")
        if self.min >= self.max:
            raise at("min", f"min {self.min:g} is not below max {self.max:g}")
        self._check_whole(self.min, self.max)
        self._check_width(self.max - self.min)
        self._check_scale(self.min)

    def _check_whole(self, low: float, high: float) -> None:
        if self.type in {"int", "integer"}:
            for key, number in (("min", low), ("max", high), ("step", self.step)):
                if number is not None and not number.is_integer():
                    raise at(key, f"{number:g}: expected a whole number for type {self.type}")
        elif self.type is None and self.step is None and low.is_integer() and high.is_integer():
            raise at("type", "required where min and max are whole numbers: int or float (or write 1.0 for 1)")

    def _check_width(self, width: float) -> None:
        step = self.step or (None if self.type in {None, "float", "continuous"} else 1.0)
        if self.step is not None and self.step > width:
            raise at("step", f"step {self.step:g} is longer than the range of {width:g}")
        if step is not None and not width / step <= MAX_STEPS:
            raise at("step", f"the range has more than {MAX_STEPS} steps of {step:g}; expected a longer step")
        if not width <= MAX_WIDTH:
            raise at("max", f"the range is wider than {MAX_WIDTH:g}; expected a narrower one")

    def _check_scale(self, low: float) -> None:
        if self.log and low <= 0:
            raise at("log", f"min {low:g}: a logarithmic range starts above 0")
        is_stepped = self.step is not None or self.type == "discrete"
        if self.log and is_stepped and not (self.step in {None, 1} and self.is_whole):
            raise at("step", "log and step exclude each other")

    @property
    def is_whole(self) -> bool:
        """Say whether a range holds whole numbers only."""
        numbers = [number for number in (self.min, self.max, self.step) if number is not None]
        return self.type not in {"float", "continuous"} and all(number.is_integer() for number in numbers)

    def _check_values(self, values: tuple[Json, ...]) -> None:
        seen: dict[str, Json] = {}
        for value in values:
            text = canonical_json(value)
            if text in seen:
                raise at("values", f"{value!r} stands twice")
            seen[text] = value
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if self.type in {"float", "int", "integer", "continuous", "ordinal"} and not is_number:
                raise at("values", f"{value!r}: expected a number for type {self.type}")
            if self.type in {"int", "integer"} and not float(value).is_integer():
                raise at("values", f"{value!r}: expected a whole number for type {self.type}")


class CandidatesSection(Section):
    """The configurations that exist. A list stands for `{inline: [...]}`."""

    path: Text | None = None
    """JSON (a list of objects), JSONL, CSV (a column for each parameter) or YAML file, relative to the study file."""
    inline: Annotated[tuple[Mapping[str, Json], ...], Field(min_length=1)] | None = None
    """The configurations themselves."""

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        return {"inline": value} if isinstance(value, list) else {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_kind(self) -> "CandidatesSection":
        if (self.path is None) == (self.inline is None):
            raise at("path", "expected a list of configurations, or path with their file")
        return self


class SearchSpaceTemplate(Section):
    """A prompt template of older files."""

    path: Text
    """File."""
    variables: tuple[str, ...] = ()
    """Names used in it."""


class SearchSpaceSection(Section):
    """Which configurations exist."""

    parameters: Mapping[str, Annotated[ParameterSection, BeforeValidator(_from_shorthand)]] = Field(
        default_factory=dict
    )
    """Parameters by name. May be left out where `candidates` are given."""
    candidates: CandidatesSection | None = None
    """Exactly these configurations exist: a list, or `{path: file}`. `parameters` then only describe them."""
    baseline: Mapping[str, Json] | None = None
    """The configuration that "change" in the report compares with; always measured. Default: the first value of each
    categorical parameter, the middle of each number, the first candidate. Parameters left out take that default."""
    templates: Mapping[str, SearchSpaceTemplate] | None = Field(default=None, json_schema_extra=IGNORED)
    """Write a parameter with `template` instead."""

    @model_validator(mode="after")
    def _has_names(self) -> "SearchSpaceSection":
        for name in self.parameters:
            if not name.strip():
                raise at("parameters", f"{name!r}: expected a parameter's name, which is not empty")
        return self

    @model_validator(mode="after")
    def _is_not_empty(self) -> "SearchSpaceSection":
        if not self.parameters and self.candidates is None:
            raise at("parameters", "required: at least one parameter (or candidates)")
        return self
