"""The user's own function."""

import asyncio
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.evaluators.custom import CustomEvaluator
from convergence_cluster.metering.scoring import Scoring

RAW = {"choices": [{"message": {"content": "hi"}}]}
CASE = TestCase(id=CaseId("one"), input={}, expected={"answer": "hi"})


def evaluate(
    folder: Path,
    source: str,
    metrics: Sequence[str] = ("quality",),
    function: str = "f",
    scoring: Scoring | None = None,
) -> Mapping[str, float]:
    path = folder / "evaluator.py"
    path.write_text(textwrap.dedent(source))
    evaluator = CustomEvaluator(path=path, function=function, metrics=metrics)
    answer = Answer(text="hi", result="hi", raw=RAW)
    return asyncio.run(evaluator.evaluate(answer, CASE, {"temperature": 0.5}, scoring or Scoring()))


def test_the_four_argument_form_is_called_once_per_metric(tmp_path: Path) -> None:
    source = """
        def f(result, expected, params, metric=None):
            assert result["choices"][0]["message"]["content"] == expected["answer"]
            return {"quality": 0.75, "brevity": params["temperature"]}[metric]
    """

    assert evaluate(tmp_path, source, ("quality", "brevity")) == {"quality": 0.75, "brevity": 0.5}


def test_without_a_metric_argument_one_value_stands_for_every_metric(tmp_path: Path) -> None:
    source = """
        N = []
        def f(result, expected, params):
            N.append(1)
            return 1 / len(N)
    """

    assert evaluate(tmp_path, source, ("a", "b")) == {"a": 1.0, "b": 1.0}


def test_the_context_form_returns_every_metric(tmp_path: Path) -> None:
    source = """
        def f(prediction, expected, context):
            assert prediction["result"]["choices"]
            return {"quality": context["params"]["temperature"], "brevity": 1, "unused": 0}
    """

    assert evaluate(tmp_path, source, ("quality", "brevity")) == {"quality": 0.5, "brevity": 1.0}


@pytest.mark.parametrize(("returned", "value"), [("1.7", 1.0), ("-3", 0.0), ("True", 1.0), ("0", 0.0), ("'0.5'", 0.5)])
def test_values_are_clamped(tmp_path: Path, returned: str, value: float) -> None:
    assert evaluate(tmp_path, f"def f(result, expected, params): return {returned}") == {"quality": value}


@pytest.mark.parametrize(
    ("returned", "noted"),
    [("87", {"quality": 87}), ("-0.5", {"quality": -0.5}), ("1.0000000001", {}), ("0.5", {})],
)
def test_what_was_clamped_is_noted(tmp_path: Path, returned: str, noted: Mapping[str, float]) -> None:
    scoring = Scoring()

    evaluate(tmp_path, f"def f(result, expected, params): return {returned}", scoring=scoring)

    assert scoring.clamped == noted


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return float('nan')", "returned nan for 'quality'"),
        ("return None", "returned None for 'quality'"),
        ("return 'good'", "returned 'good'"),
        ("return {'other': 1}", r"returned \['other'\], without the metric 'quality'"),
        ("return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("return result['nope']", "raised KeyError"),
        ("raise SystemExit(3)", "raised SystemExit"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "async "])
def test_a_function_that_fails_fails_the_call_by_name(tmp_path: Path, body: str, message: str, prefix: str) -> None:
    with pytest.raises(PermanentError, match=rf"evaluator\.py:f {message}"):
        evaluate(tmp_path, f"{prefix}def f(result, expected, params): {body}")


def test_a_plain_function_runs_beside_the_event_loop(tmp_path: Path) -> None:
    source = f"""
        import threading
        def f(result, expected, params):
            return float(threading.get_ident() != {threading.get_ident()})
    """

    assert evaluate(tmp_path, source) == {"quality": 1.0}


def test_plain_functions_wait_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "evaluator.py").write_text(
        "import threading\nALL_HERE = threading.Barrier(40)\n"
        "def f(result, expected, params): return ALL_HERE.wait(timeout=20) >= 0"
    )
    evaluator = CustomEvaluator(path=tmp_path / "evaluator.py", function="f", metrics=["quality"])

    async def act() -> Sequence[Mapping[str, float]]:
        answer = Answer(text="hi", result="hi", raw=RAW)
        return await asyncio.gather(*(evaluator.evaluate(answer, CASE, {}, Scoring()) for _ in range(40)))

    assert list(asyncio.run(act())) == [{"quality": 1.0}] * 40


def test_an_async_function_is_awaited(tmp_path: Path) -> None:
    source = """
        import asyncio
        async def f(result, expected, params, metric):
            await asyncio.sleep(0)
            return 0.25
    """

    assert evaluate(tmp_path, source) == {"quality": 0.25}


def test_what_a_function_does_to_its_arguments_stays_its_affair(tmp_path: Path) -> None:
    source = """
        def f(result, expected, params):
            result.clear(); expected.clear(); params.clear()
            return 1
    """

    evaluate(tmp_path, source)

    assert RAW["choices"]
    assert CASE.expected == {"answer": "hi"}


def test_two_studies_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    values = []
    for value in ("0.25", "0.75"):
        (tmp_path / value).mkdir()
        (tmp_path / value / f"beside_{value[2:]}.py").write_text(f"VALUE = {value}")
        source = f"from beside_{value[2:]} import VALUE\ndef f(result, expected, params): return VALUE"
        values.append(evaluate(tmp_path / value, source)["quality"])

    assert values == [0.25, 0.75]
    assert str(tmp_path / "0.25") not in sys.path


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        ("def f(a, b, c): return 1", "g", "has no function 'g'"),
        ("f = 3", "f", "has no function 'f'"),
        ("import no_such_module_at_all", "f", "cannot be loaded: ModuleNotFoundError"),
        ("def f(:", "f", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_before_any_call(
    tmp_path: Path, source: str, function: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        evaluate(tmp_path, source, function=function)


def test_a_missing_file_is_an_error_before_any_call(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a Python file"):
        CustomEvaluator(path=tmp_path / "none.py", function="f", metrics=["quality"])
