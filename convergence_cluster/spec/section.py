"""What all sections of the study file have in common."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

LATER: Final[dict[str, JsonValue]] = {"x-status": "later"}
"""Marks a key that is accepted and not acted on yet."""

IGNORED: Final[dict[str, JsonValue]] = {"x-status": "ignored"}
"""Marks a key that is accepted so that older files load, and has no effect."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_JMESPATH_PREFIX = re.compile(r"\A(Invalid|Bad) jmespath expression: ", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_KEY_PREFIXES = (
    "sk-",
    "sk_",
    "gsk_",
    "pk_",
    "bb_",
    "fc-",
    "xai-",
    "hf_",
    "AIza",
    "ghp_",
    "eyJ",
    "apify_api_",
    "Bearer ",
)
_LONG = 24


class Section(BaseModel):
    """A part of the study file. Unknown keys are errors; nothing changes after loading."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )


def _environment_name(value: str) -> str:
    if not _NAME.fullmatch(value) or _looks_secret(value):
        raise PydanticCustomError(
            "environment_name", "expected the name of an environment variable such as OPENAI_API_KEY, not a key itself"
        )
    return value


def _looks_secret(value: str) -> bool:
    is_mixed = any(c.islower() for c in value) and any(c.isupper() for c in value) and any(c.isdigit() for c in value)
    return value.startswith(_KEY_PREFIXES) or (is_mixed and len(value) >= _LONG)


def _jmespath(value: str) -> str:
    try:
        jmespath.compile(value)
    except JMESPathError as error:
        context = {"value": repr(value), "reason": jmespath_reason(error)}
        raise PydanticCustomError("jmespath", "{value}: expected a JMESPath expression; {reason}", context) from error
    return value


def jmespath_reason(error: JMESPathError) -> str:
    """Return what is wrong with an expression in one line, without the picture that follows it."""
    first = str(error).splitlines()[0]
    return _JMESPATH_PREFIX.sub("", first).removesuffix(":").removesuffix(", for expression")


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            message = f"{name!r:.80}: expected a header's name, of letters, digits and hyphens"
            raise PydanticCustomError("header", "{message}", {"message": message})
        if not _EXPRESSION.sub("", value).replace("\t", " ").isprintable():
            message = f"{name} has a line break or another control character; expected one line"
            raise PydanticCustomError("header", "{message}", {"message": message})
    return headers


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "expected a number")
    return value


def _tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


EnvironmentName = Annotated[str, AfterValidator(_environment_name)]
"""The name of an environment variable that holds a secret."""

JmesPath = Annotated[str, AfterValidator(_jmespath)]
"""A JMESPath expression, checked to compile."""

Headers = Annotated[Mapping[str, str], AfterValidator(_headers)]
"""Headers by name; values are templates."""

Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
NonNegative = Annotated[float, BeforeValidator(_number), Field(ge=0)]
MAX_USD: Final = 1e9
Money = Annotated[float, BeforeValidator(_number), Field(ge=0, le=MAX_USD)]
"""USD; more is a slip, and sums of it could not be kept exactly."""
MAX_WEIGHT: Final = 1e6
"""Weights beyond are slips: one of them would decide alone."""
Weight = Annotated[float, BeforeValidator(_number), Field(ge=0, le=MAX_WEIGHT)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
NonNegativeCount = Annotated[int, BeforeValidator(_number), Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
OneOrMore = BeforeValidator(_tuple)
"""Lets a single value stand for a list of one."""


def at(key: str, message: str) -> PydanticCustomError:
    """Return an error that belongs to one key of the section being checked."""
    return PydanticCustomError("section", "{message}", {"message": message, "key": key})
