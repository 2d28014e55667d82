"""The landscapes by name: which configurations exist, what each is truly worth, and what one call of it returns.

Pure: no clock, no socket, no state. `landscape("wide").draw(configuration, case, repeat, seed)` is the very score that
the server with that seed returns for the same call.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from convergence_cluster.sandbox import answers, graded
from convergence_cluster.sandbox.chance import clipped_mean, normal
from convergence_cluster.sandbox.models import MODELS
from convergence_cluster.sandbox.questions import Question, numbered_questions, quickstart_questions
from convergence_cluster.sandbox.reply import Reply, Truth, Weighting, mean_truth
from convergence_cluster.sandbox.setting import Setting, setting_of


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """A finite search space with a known truth."""

    name: str
    grid: Mapping[str, tuple[Any, ...]]
    conditions: Mapping[str, Mapping[str, tuple[Any, ...]]]
    """For a conditional parameter, the values of an earlier one under which it applies."""
    questions: tuple[Question, ...]
    weighting: Weighting
    rejected: Callable[[Setting], str | None]
    """Names the parameter that the API refuses in this setting, or None."""
    respond: Callable[[Setting, int, int, int], Reply]
    """The answer for a setting, case, repeat and seed."""
    expect: Callable[[Setting, int, Weighting], Truth]
    """The exact expectation for a setting and case."""

    def parameters(self) -> Mapping[str, tuple[Any, ...]]:
        """Return each parameter's values, in an order in which conditions name only earlier ones."""
        return self.grid

    @property
    def n_cases(self) -> int:
        """Count the test cases."""
        return len(self.questions)

    def configurations(self) -> Iterator[dict[str, Any]]:
        """Yield every configuration that can run; one that does not apply lacks its conditional parameters."""
        seen = set()
        for values in itertools.product(*self.grid.values()):
            configuration = self._applicable(dict(zip(self.grid, values, strict=True)))
            key = tuple(configuration.items())
            if key not in seen:
                seen.add(key)
                yield configuration

    def truth(self, configuration: Mapping[str, Any], weighting: Weighting | None = None) -> Truth:
        """Return the expectations of a configuration over all cases, at speed 1."""
        setting, chosen = setting_of(configuration), weighting or self.weighting
        return mean_truth(tuple(self.expect(setting, case, chosen) for case in range(self.n_cases)))

    def true_score(self, configuration: Mapping[str, Any], case: int | None = None) -> float:
        """Return the expected score of a call, of one case or over all."""
        if case is None:
            return self.truth(configuration).score
        return self.expect(setting_of(configuration), case, self.weighting).score

    def draw(self, configuration: Mapping[str, Any], case: int, repeat: int, seed: int) -> float:
        """Return the score of one call, in [0, 1]."""
        setting = setting_of(configuration)
        reply, question = self.respond(setting, case, repeat, seed), self.questions[case]
        quality = float(question.expected in reply.text) if reply.quality is None else reply.quality
        cost_usd = MODELS[setting.model].cost_usd(answers.input_tokens(setting, question), reply.output_tokens)
        return self.weighting.score(quality, 1000.0 * reply.latency_s, cost_usd)

    def ranking(self, weighting: Weighting | None = None) -> list[tuple[dict[str, Any], Truth]]:
        """Return every configuration with its truth, the best score first."""
        known = [(configuration, self.truth(configuration, weighting)) for configuration in self.configurations()]
        return sorted(known, key=lambda pair: -pair[1].score)

    def _applicable(self, configuration: dict[str, Any]) -> dict[str, Any]:
        def applies(name: str) -> bool:
            conditions = self.conditions.get(name, {})
            return all(configuration[other] in allowed for other, allowed in conditions.items())

        return {name: value for name, value in configuration.items() if applies(name)}


def landscape(name: str) -> Landscape:
    """Return the landscape of that name.

    Raises:
        KeyError: there is none.
    """
    return LANDSCAPES[name]


def _quickstart() -> Landscape:
    questions = quickstart_questions()

    def respond(setting: Setting, case: int, repeat: int, seed: int) -> Reply:
        return answers.answer(setting, questions[case], answers.chance_of(setting, case, repeat, seed))

    def expect(setting: Setting, case: int, weighting: Weighting) -> Truth:
        return answers.truth(setting, questions[case], weighting)

    talkers = tuple(name for name in answers.GRID["model"] if not MODELS[str(name)].reasons)
    return Landscape(
        name="quickstart",
        grid=answers.GRID,
        conditions={"temperature": {"model": talkers}, "reasoning_effort": {"model": ("sim-reasoner",)}},
        questions=questions,
        weighting=answers.WEIGHTING,
        rejected=answers.rejected_parameter,
        respond=respond,
        expect=expect,
    )


def _graded(
    name: str, grid: Mapping[str, tuple[Any, ...]], n_cases: int, mean: Callable[[Setting, int], float]
) -> Landscape:
    questions = numbered_questions(name, n_cases)
    known: dict[tuple[Setting, int], float] = {}

    def grade(setting: Setting, case: int) -> float:
        key = (setting, case)
        if key not in known:
            known[key] = mean(setting, case)
        return known[key]

    def respond(setting: Setting, case: int, repeat: int, seed: int) -> Reply:
        chance = answers.chance_of(setting, case, repeat, seed)
        quality = min(max(grade(setting, case) + graded.NOISE * normal(chance[0]), 0.0), 1.0)
        n_tokens, latency_s = _plain_costs(setting)
        return Reply(f"score {quality:.6f}", latency_s, n_tokens, quality=quality)

    def expect(setting: Setting, case: int, weighting: Weighting) -> Truth:
        quality = clipped_mean(grade(setting, case), graded.NOISE)
        n_tokens, latency_s = _plain_costs(setting)
        cost_usd = MODELS[setting.model].cost_usd(answers.input_tokens(setting, questions[case]), n_tokens)
        score = weighting.score(quality, 1000.0 * latency_s, cost_usd)
        return Truth(quality=quality, latency_ms=1000.0 * latency_s, cost_usd=cost_usd, score=score)

    def rejected(setting: Setting) -> str | None:
        return _off_grid(setting, grid)

    return Landscape(
        name=name,
        grid=grid,
        conditions={},
        questions=questions,
        weighting=Weighting(),
        rejected=rejected,
        respond=respond,
        expect=expect,
    )


def _off_grid(setting: Setting, grid: Mapping[str, tuple[Any, ...]]) -> str | None:
    """Name the parameter whose value a graded landscape has no grade for; absent ones stay at the default."""
    given = {"model": setting.model, "max_tokens": setting.max_tokens, "reasoning_effort": setting.effort}
    for name, value in given.items():
        if value is not None and value not in grid.get(name, ()):
            return name
    return None


def _plain_costs(setting: Setting) -> tuple[int, float]:
    """Return the tokens and seconds of a graded answer, which depend on the setting alone."""
    model = MODELS[setting.model]
    n_tokens = round(min(model.answer_tokens, setting.max_tokens or answers.DEFAULT_LIMIT))
    return n_tokens, model.first_token_s + model.token_s * n_tokens


LANDSCAPES: Mapping[str, Landscape] = MappingProxyType(
    {
        "quickstart": _quickstart(),
        "predecessor": _graded("predecessor", graded.PREDECESSOR_GRID, 4, graded.predecessor_mean),
        "wide": _graded("wide", graded.WIDE_GRID, 40, graded.wide_mean),
    }
)
"""All landscapes by name."""
