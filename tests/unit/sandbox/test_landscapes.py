"""The known truth of the sandbox, against independent computations."""

import math
import random
from itertools import islice

import pytest

from convergence_cluster.sandbox import answers, graded
from convergence_cluster.sandbox.chance import clipped_mean, uniforms
from convergence_cluster.sandbox.landscapes import LANDSCAPES, landscape
from convergence_cluster.sandbox.models import prices
from convergence_cluster.sandbox.questions import quickstart_questions
from convergence_cluster.sandbox.reply import Weighting
from convergence_cluster.sandbox.setting import setting_of, style_of

SIZES = {"quickstart": (252, 32), "predecessor": (320, 4), "wide": (2000, 40)}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_landscape_has_as_many_configurations_and_cases_as_it_says(name: str, size: tuple[int, int]) -> None:
    known = [tuple(sorted(configuration.items())) for configuration in landscape(name).configurations()]

    assert (len(known), landscape(name).n_cases) == size
    assert len(set(known)) == len(known)


@pytest.mark.parametrize(("name", "best"), [("quickstart", 0.8067), ("predecessor", 0.8669), ("wide", 0.9281)])
def test_the_true_optimum_is_the_published_one(name: str, best: float) -> None:
    score = max(landscape(name).true_score(configuration) for configuration in landscape(name).configurations())

    assert score == pytest.approx(best, abs=5e-5)


def test_parameters_cover_every_configuration() -> None:
    for chosen in LANDSCAPES.values():
        for configuration in islice(chosen.configurations(), 50):
            assert all(value in chosen.parameters()[name] for name, value in configuration.items())


def test_every_configuration_of_a_landscape_is_accepted() -> None:
    for chosen in LANDSCAPES.values():
        assert {chosen.rejected(setting_of(configuration)) for configuration in chosen.configurations()} == {None}


def test_a_reasoner_takes_no_temperature_and_others_no_effort() -> None:
    rejected = landscape("quickstart").rejected

    assert rejected(setting_of({"model": "sim-reasoner", "temperature": 0.2})) == "temperature"
    assert rejected(setting_of({"model": "sim-small", "reasoning_effort": "low"})) == "reasoning_effort"


@pytest.mark.parametrize("name", sorted(LANDSCAPES))
def test_draws_average_to_the_truth_of_their_case(name: str) -> None:
    chosen = landscape(name)
    some = random.Random(3).sample(list(chosen.configurations()), 6)
    n_draws = 600

    for configuration in some:
        draws = [chosen.draw(configuration, 1, repeat, 11) for repeat in range(n_draws)]
        mean = sum(draws) / n_draws
        deviation = math.sqrt(sum((draw - mean) ** 2 for draw in draws) / n_draws)

        assert mean == pytest.approx(
            chosen.true_score(configuration, 1), abs=4.5 * deviation / math.sqrt(n_draws) + 1e-9
        )
        assert all(0.0 <= draw <= 1.0 for draw in draws)


def test_noise_of_a_graded_landscape_has_the_published_deviation() -> None:
    configuration = {"model": "sim-medium", "temperature": 0.4, "max_tokens": 2048}
    draws = [landscape("predecessor").draw(configuration, 0, repeat, 5) for repeat in range(4000)]

    mean = sum(draws) / len(draws)
    assert math.sqrt(sum((draw - mean) ** 2 for draw in draws) / len(draws)) == pytest.approx(0.05, rel=0.05)


def test_a_draw_depends_on_seed_case_and_repeat_alone() -> None:
    wide = landscape("wide")
    configuration = next(wide.configurations())
    draw = wide.draw(configuration, 3, 0, 7)

    assert wide.draw(dict(reversed(configuration.items())), 3, 0, 7) == draw
    assert len({draw, wide.draw(configuration, 3, 1, 7), wide.draw(configuration, 3, 0, 8)}) == 3


def test_random_search_does_on_the_predecessors_landscape_what_was_measured_there() -> None:
    chosen = landscape("predecessor")
    known = list(chosen.configurations())
    truth = [chosen.true_score(configuration) for configuration in known]

    def random_search(seed: int) -> float:
        generator = random.Random(seed)
        picks = [generator.randrange(320) for _ in range(200)]
        scores = [sum(chosen.draw(known[i], case, n, seed) for case in range(4)) / 4 for n, i in enumerate(picks)]
        return truth[picks[scores.index(max(scores))]]

    found = [random_search(seed) for seed in range(150)]

    assert sum(value > 0.866 for value in found) / len(found) == pytest.approx(0.38, abs=0.12)
    assert sum(found) / len(found) == pytest.approx(0.834, abs=0.008)


def test_the_mean_of_clipped_noise_agrees_with_a_sum_over_the_density() -> None:
    def by_sum(mean: float, deviation: float) -> float:
        points = [mean + deviation * (k / 1000.0) for k in range(-8000, 8001)]
        weights = [math.exp(-0.5 * ((point - mean) / deviation) ** 2) for point in points]
        pairs = zip(points, weights, strict=True)
        return sum(min(max(point, 0.0), 1.0) * weight for point, weight in pairs) / sum(weights)

    for mean in (0.02, 0.5, 0.97, 1.1):
        assert clipped_mean(mean, 0.05) == pytest.approx(by_sum(mean, 0.05), abs=1e-6)


def test_the_wide_landscape_has_interactions() -> None:
    def best_style(model: str) -> str:
        scored = [
            (landscape("wide").true_score(configuration), configuration["system_prompt"])
            for configuration in landscape("wide").configurations()
            if configuration["model"] == model
        ]
        return str(max(scored)[1])

    assert len({best_style(model) for model in graded.WIDE_GRID["model"]}) > 1


def test_a_wrong_answer_never_contains_what_is_expected_and_a_right_one_does() -> None:
    chosen = landscape("quickstart")
    setting = setting_of({"model": "sim-medium", "system_prompt": "stepwise"})

    for question in chosen.questions:
        right = answers.answer(setting, question, (0.0, 0.5, 0.5, 0.5)).text
        wrong = answers.answer(setting, question, (0.9999, 0.5, 0.5, 0.5)).text
        assert question.expected in right
        assert question.expected.lower() not in wrong.lower()


def test_a_concise_right_answer_is_exactly_what_is_expected() -> None:
    question = quickstart_questions()[1]
    setting = setting_of({"model": "sim-large", "system_prompt": "Give only the answer."})

    assert answers.answer(setting, question, (0.0, 0.5, 0.5, 0.5)).text == "391"


def test_a_limit_on_tokens_cuts_the_answer_off() -> None:
    question = quickstart_questions()[1]
    setting = setting_of({"model": "sim-large", "system_prompt": "step by step", "max_tokens": 64})

    reply = answers.answer(setting, question, (0.0, 0.5, 0.5, 0.5))

    assert (reply.is_cut, reply.output_tokens) == (True, 64)
    assert question.expected not in reply.text


def test_thoughts_are_part_of_the_output_tokens() -> None:
    setting = setting_of({"model": "sim-reasoner", "reasoning_effort": "high"})

    reply = answers.answer(setting, quickstart_questions()[0], (0.0, 0.5, 0.5, 0.5))

    assert 300 < reply.reasoning_tokens < reply.output_tokens


def test_weights_decide_which_configuration_is_best() -> None:
    chosen = landscape("quickstart")

    assert chosen.ranking(Weighting(weights={"cost_usd": 1.0}))[0][0]["model"] == "sim-small"
    assert chosen.ranking(Weighting(weights={"quality": 1.0}))[0][1].quality > 0.94


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("Please think step by step.", "stepwise"),
        ("quickstart/prompts/concise.md", "concise"),
        ("You are an expert.", "expert"),
        ("", "plain"),
    ],
)
def test_a_style_is_read_from_the_words_of_a_prompt(text: str, style: str) -> None:
    assert style_of(text) == style


def test_uniform_numbers_are_uniform() -> None:
    numbers = [number for k in range(5000) for number in uniforms("test", k)]

    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.01)
    assert sum(number < 0.1 for number in numbers) / len(numbers) == pytest.approx(0.1, abs=0.01)
    assert all(0.0 < number < 1.0 for number in numbers)


def test_prices_have_the_form_of_a_study() -> None:
    assert prices(("sim-small",)) == {"sim-small": {"input_per_million_usd": 0.15, "output_per_million_usd": 0.6}}
