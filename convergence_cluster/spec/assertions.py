"""Assertions by the names that promptfoo gave them: what a study or a test case may demand of an answer."""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.problems import suggestion
from convergence_cluster.spec.section import Count, NonNegative, Section, Text, Weight, at

NOT: Final = "not-"
"""Before a type: its opposite."""

SET: Final = "assert-set"
"""The type of a group of assertions."""

FILE: Final = "file://"
"""Before a value: the name of a file, relative to the study file, that holds it."""

_COMPARED: Final = (
    "equals",
    "contains",
    "icontains",
    "contains-any",
    "contains-all",
    "icontains-any",
    "icontains-all",
    "starts-with",
    "regex",
    "levenshtein",
    "rouge-n",
    "bleu",
)
_SHAPED: Final = ("is-json", "contains-json", "is-xml", "contains-xml", "is-refusal", "word-count")
_TIMED: Final = ("latency", "cost")
_WRITTEN: Final = ("python", "llm-rubric")

JUDGED: Final = "llm-rubric"
"""The type that `evaluation.judge` decides."""

EMBEDDED: Final = "similar"
"""The type that `evaluation.embeddings` decides."""

TYPES: Final = (*_COMPARED, *_SHAPED, *_TIMED, *_WRITTEN, EMBEDDED, SET)
"""Every type, without the `not-` forms."""

_INSTEAD: Final = {
    "javascript": "JavaScript is not run here; write it in Python as type: python",
    "webhook": "there is no webhook; write the request in Python as type: python, or in a custom evaluator",
    "is-html": "expected is-xml, or regex",
    "contains-html": "expected contains-xml, or regex",
    "is-sql": "expected a check of your own as type: python",
    "contains-sql": "expected a check of your own as type: python",
    "g-eval": "expected llm-rubric, with the criteria as value",
    "factuality": "expected llm-rubric, with what must be true as value",
    "model-graded-closedqa": "expected llm-rubric, with the criterion as value",
    "model-graded-factuality": "expected llm-rubric, with what must be true as value",
    "answer-relevance": "expected llm-rubric, with what is relevant as value",
    "perplexity": "the answers carry no log probabilities",
    "perplexity-score": "the answers carry no log probabilities",
    "select-best": "configurations are compared by their scores, not within a case",
    "max-score": "configurations are compared by their scores, not within a case",
    "human": "nobody is asked while a study runs",
}


def bare_type(kind: str) -> str:
    """Return a type without `not-`."""
    return kind.removeprefix(NOT)


def type_problem(kind: str) -> str | None:
    """Return what is wrong with the name of a type, or None."""
    bare = bare_type(kind)
    if bare in _INSTEAD:
        return f"{kind!r}: {_INSTEAD[bare]}"
    if bare == SET and kind != bare:
        return f"{kind!r}: expected the not- forms inside the set"
    return None if bare in TYPES else f"{kind!r}: no such type of assertion{suggestion(bare, TYPES)}"


def _known(kind: str) -> str:
    problem = type_problem(kind)
    if problem is not None:
        raise PydanticCustomError("pattern", "{problem}", {"problem": problem})
    return kind


class Assertion(Section):
    """What an answer must be, as promptfoo writes it."""

    type: Annotated[str, AfterValidator(_known)]
    """What is demanded; `not-` before it demands the opposite. `docs/evaluators.md` lists them."""
    value: Json = None
    """What it compares with. Texts may be templates over the case's input; `file://NAME` stands for a file's content.
    Default: the case's `expected`."""
    threshold: NonNegative | None = None
    """The pass mark. Of `latency` in ms and `cost` in USD it is the most allowed, of `levenshtein` the most edits."""
    weight: Weight = 1.0
    """Share among its neighbours; 0: without effect."""
    metric: Text | None = None
    """The metric that counts it. Default: the first one with function `assert`."""
    n: Count | None = None
    """Words a piece, for `rouge-n`. Default: 1."""
    asserts: tuple["Assertion", ...] = Field(default=(), alias="assert")
    """The members of an `assert-set`."""

    @model_validator(mode="after")
    def _is_complete(self) -> "Assertion":
        bare = bare_type(self.type)
        if (bare == SET) != bool(self.asserts):
            raise at("assert", f"expected members in a set, and only there; type is {self.type}")
        if bare in _TIMED and self.threshold is None:
            raise at("threshold", f"required for {self.type}: the most allowed, in {_unit(bare)}")
        problem = value_problem(bare, self.value)
        if problem is not None:
            raise at("value", problem)
        return self

    def document(self) -> dict[str, Json]:
        """Return it as JSON with the keys of the file, without what is at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def read_asserts(value: Json) -> tuple[tuple[dict[str, Json], ...], list[str]]:
    """Return the assertions of a test case in their normal form, and what is wrong with them."""
    found, problems = list[dict[str, Json]](), list[str]()
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        try:
            found.append(Assertion.model_validate(item).document())
        except ValidationError as error:
            problems += [_message(f"assert[{index}]", details) for details in error.errors(include_url=False)]
    return tuple(found), problems


def script_source(value: str) -> str:
    """Return an inline check as a module that defines `get_assert(output, context)`.

    Raises:
        SyntaxError: it is neither an expression nor the body of a function.
    """
    text = textwrap.dedent(value).strip()
    try:
        ast.parse(text, mode="eval")
        body = f"return {text if chr(10) not in text else f'({text})'}"
    except SyntaxError:
        body = text
    source = f"def get_assert(output, context):\n{textwrap.indent(body, '    ')}\n"
    ast.parse(source)
    return source


def files_of(asserts: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """Yield the name of every file that assertions in their normal form mention."""
    for each in every(asserts):
        values = each.get("value")
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value.startswith(FILE):
                yield file_name(value)


def every(asserts: Sequence[Mapping[str, Json]]) -> Iterator[Mapping[str, Json]]:
    """Yield assertions in their normal form, those in sets too."""
    for each in asserts:
        yield each
        yield from every(each.get("assert", ()))


def file_name(value: str) -> str:
    """Return the file that a value names, without the function after the colon."""
    return re.sub(r"(?<=\.py):\w+\Z", "", value.removeprefix(FILE))


def _unit(kind: str) -> str:
    return "milliseconds" if kind == "latency" else "USD"


def value_problem(bare: str, value: Json) -> str | None:
    """Return what is wrong with what a type compares with, or None."""
    if bare in _WRITTEN and not isinstance(value, str):
        what = "what a good answer is" if bare == JUDGED else f"an expression, a function's body, or {FILE}NAME.py"
        return f"required for {bare}: {what}"
    if not isinstance(value, str) or value.startswith(FILE):
        return None
    try:
        if bare == "regex" and "{{" not in value:
            re.compile(value)
        if bare == "python":
            script_source(value)
    except re.error as error:
        return f"{value!r:.60}: expected a regular expression; {error}"
    except (SyntaxError, ValueError) as error:
        return f"{value!r:.60}: not valid Python: {getattr(error, 'msg', error)}"
    return None


def _message(where: str, details: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"])
    if details["type"] == "section":
        return f"{where}{path}.{details['ctx']['key']}: {details['msg']}"
    if details["type"] == "extra_forbidden":
        keys = ("type", "value", "threshold", "weight", "metric", "n", "assert")
        return f"{where}{path}: unknown key{suggestion(str(details['loc'][-1]), keys)}"
    return f"{where}{path}: {details['msg']}"
