"""Whatever is written: a study or a SpecError, never anything else."""

import contextlib
import json
import string
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import canonical_json
from convergence_cluster.spec.document import parse
from convergence_cluster.spec.loading import loads
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.space import takes


class QuotingDumper(yaml.SafeDumper):
    """Quotes every text, as PyYAML itself leaves some bare that YAML 1.2 reads as numbers."""


QuotingDumper.add_representer(str, lambda d, text: d.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)

names = st.text(string.ascii_letters + "_-.", min_size=1, max_size=12)
numbers = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: float(f"{x:.6g}"))
scalars = st.none() | st.booleans() | numbers | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
ranges = st.tuples(numbers, numbers).filter(lambda pair: pair[1] - pair[0] > 1e-3)
parameters = (
    st.lists(values, min_size=1, max_size=4, unique_by=canonical_json)
    | ranges.map(lambda pair: {"type": "float", "min": pair[0], "max": pair[1]})
    | ranges.map(lambda pair: {"type": "continuous", "min": pair[0], "max": pair[1], "step": (pair[1] - pair[0]) / 7})
    | st.integers(1, 50).map(lambda low: {"type": "int", "min": low, "max": low + 10 * low, "step": 3})
    | st.lists(numbers, min_size=1, max_size=5, unique_by=canonical_json).map(
        lambda found: {"type": "discrete", "values": found}
    )
)
cases = st.lists(
    st.fixed_dictionaries({"input": st.dictionaries(names, values, min_size=1)}, optional={"expected": values}),
    min_size=1,
    max_size=4,
)
studies = st.fixed_dictionaries(
    {
        "api": st.fixed_dictionaries({"name": names, "endpoint": st.just("https://example.com/v1")}),
        "search_space": st.fixed_dictionaries(
            {"parameters": st.dictionaries(names, parameters, min_size=1, max_size=4)}
        ),
        "evaluation": st.fixed_dictionaries({"test_cases": cases, "metrics": st.just({"latency": 1, "cost": 2})}),
    },
    optional={
        "budget": st.fixed_dictionaries({"usd": st.floats(0.01, 100)}, optional={"calls": st.integers(1, 1000)}),
        "optimization": st.fixed_dictionaries({"seed": st.integers(0, 99)}),
    },
)


@QUICK
@given(studies)
def test_a_valid_study_loads_alike_from_json_and_yaml_and_reads_back(document: Any) -> None:
    study = loads(json.dumps(document), name="study.json", directory="nowhere")

    assert loads(yaml.dump(document, Dumper=QuotingDumper, sort_keys=False), directory="nowhere").digest == study.digest
    assert StudySpec.model_validate(json.loads(json.dumps(study.spec.document()))) == study.spec


@QUICK
@given(studies)
def test_the_default_baseline_lies_in_the_space(document: Any) -> None:
    study = loads(json.dumps(document), name="study.json", directory="nowhere")

    assert set(study.baseline) == {parameter.name for parameter in study.space.parameters}
    assert all(takes(parameter, study.baseline[parameter.name]) for parameter in study.space.parameters)


@QUICK
@given(st.text(max_size=200) | st.text(":-[]{}&*!|>'\"\n #,<?%@` ab1.~", max_size=60))
def test_any_text_is_a_document_or_a_spec_error(text: str) -> None:
    for name in ("study.yaml", "study.json"):
        with contextlib.suppress(SpecError):
            loads(text, name=name, directory="nowhere")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


FULL: Any = {
    "api": {
        "name": "x",
        "endpoint": "https://example.com",
        "auth": {"type": "bearer", "token_env": "KEY"},
        "request": {"method": "POST", "headers": {"a": "b"}, "body": {"a": 1}, "timeout_seconds": 3},
        "response": {"result_field": "a.b", "usage": {"object": "u"}, "cost": [{"path": "c", "per_unit": 2}]},
        "rate": {"rpm": 3},
        "prices": {"m": {"per_call_usd": 1}},
    },
    "search_space": {
        "parameters": {
            "m": {"type": "categorical", "values": ["a", "b"]},
            "t": {"type": "float", "min": 0, "max": 1, "step": 0.1, "when": {"m": ["a"]}},
            "p": {"template": "*.md"},
        },
        "baseline": {"m": "a"},
        "candidates": [{"m": "a", "t": 0.5}],
    },
    "evaluation": {
        "test_cases": {"inline": [{"id": "a", "input": {"q": 1}, "expected": "x", "weight": 1}], "holdout": 0.5},
        "metrics": {"q": {"weight": 1, "function": "contains"}, "latency": {"weight": 1, "threshold": 3}},
        "constraints": {"q": {"min": 0.5}},
        "custom_evaluator": {"module": "nothing"},
    },
    "optimization": {"execution": {"early_stopping": {"patience": 3}}, "seed": 3},
    "budget": {"usd": 1},
    "rate_limiting": {"requests_per_minute": 3},
}


@settings(QUICK, max_examples=250)
@given(st.sampled_from(_places(FULL)), values | st.sampled_from([10**400, -1e308, "*", "", "${X}", {"a": None}]))
def test_any_value_at_any_place_is_a_study_or_a_spec_error(place: tuple[Any, ...], value: Any) -> None:
    document = json.loads(json.dumps(FULL))
    target = {"": document}
    for key in ("", *place)[:-1]:
        target = target[key]
    target[("", *place)[-1]] = value

    with contextlib.suppress(SpecError):
        loads(json.dumps(document), name="study.json", directory=Path(__file__).parent)


@QUICK
@given(values.filter(lambda value: value is not None))
def test_yaml_and_json_mean_the_same(value: Any) -> None:
    assert parse(json.dumps(value), "a.json").value == value
    assert parse(yaml.dump(value, Dumper=QuotingDumper), "a.yaml").value == value
