"""What a study is said to take before it runs."""

from convergence_cluster.bootstrap.estimating import Estimate, ModelEstimate, estimate
from convergence_cluster.commands.estimate import describe
from convergence_cluster.spec.loading import loads
from tests.fakes import FakeClock

STUDY = """\
api: {name: x, endpoint: https://example.com/v1/chat/completions}
search_space: {parameters: {model: [m], max_tokens: [16]}}
evaluation:
  test_cases: [{input: {prompt: one}}]
  metrics: {good: {type: llm_judge, rubric: "Is it good?"}}
  judge:
    endpoint: https://example.com/v1/chat/completions
    model: j
    parameters: {max_tokens: 9}
    prices: {per_call_usd: 1}
"""


def model(name: str, usd: float | None) -> ModelEstimate:
    return ModelEstimate(model=name, input_tokens=4.0, max_output_tokens=9, usd=usd, price_source="x")


def test_of_several_models_the_cheapest_and_the_dearest_are_told() -> None:
    models = (model("a", 0.01), model("b", 0.02), model("c", None))

    lines = describe(Estimate(max_calls=100, max_usd=None, full_grid_calls=None, models=models))

    assert lines[1].strip() == "$1.00 to $2.00 if all calls went to the cheapest or the dearest model below"


def test_of_one_model_one_sum_is_told() -> None:
    lines = describe(Estimate(max_calls=100, max_usd=None, full_grid_calls=None, models=(model("a", 0.01),)))

    assert lines[1].strip() == "$1.00 if all calls are made"


def test_only_what_the_study_has_is_said_to_score() -> None:
    found = estimate(loads(STUDY), environ={}, clock=FakeClock())

    assert found.scored_by == ("evaluation.judge",)
    assert describe(found)[-1].endswith(" an answer, retries included, by evaluation.judge")
