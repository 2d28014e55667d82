"""The landscape of the quickstart: models that answer questions in words, right or wrong, in time and for money.

Quality, latency and cost pull apart: instructions to think step by step raise quality and length, a limit on tokens
saves money until it cuts answers, temperature costs weak models most. Every random number takes few values, so that
the truth is a finite sum and exact.
"""

import math
from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from typing import Any

from convergence_cluster.sandbox.chance import uniforms
from convergence_cluster.sandbox.models import MODELS, SimModel
from convergence_cluster.sandbox.questions import Question
from convergence_cluster.sandbox.reply import Reply, Truth, Weighting
from convergence_cluster.sandbox.setting import Setting

GRID: Mapping[str, tuple[Any, ...]] = {
    "model": ("sim-small", "sim-medium", "sim-large", "sim-reasoner"),
    "system_prompt": ("plain", "concise", "stepwise", "expert"),
    "max_tokens": (64, 160, 640),
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "reasoning_effort": ("low", "medium", "high"),
}
WEIGHTING = Weighting(weights={"quality": 0.6, "latency_ms": 0.2, "cost_usd": 0.2}, latency_ms=1000.0, cost_usd=0.001)
DEFAULT_LIMIT = 4096
DEFAULT_TEMPERATURE = 1.0
DEFAULT_EFFORT = "medium"

_STYLE_LENGTH = {"plain": 1.0, "concise": 0.25, "stepwise": 2.2, "expert": 1.3, "friendly": 1.5}
_STYLE_SKILL = {
    "plain": {"arithmetic": 0.0, "facts": 0.0, "extraction": 0.0, "reasoning": 0.0},
    "concise": {"arithmetic": -0.8, "facts": 0.4, "extraction": 0.6, "reasoning": -1.2},
    "stepwise": {"arithmetic": 1.5, "facts": 0.3, "extraction": 0.5, "reasoning": 1.7},
    "expert": {"arithmetic": 0.2, "facts": 0.6, "extraction": 0.1, "reasoning": 0.3},
    "friendly": {"arithmetic": -0.2, "facts": 0.0, "extraction": -0.3, "reasoning": -0.2},
}
_STYLE_FIT = {("sim-small", "stepwise"): -0.5, ("sim-medium", "stepwise"): 0.5, ("sim-reasoner", "stepwise"): -1.2}
"""Small models lose the thread when they think aloud; a reasoner is only disturbed by being told to."""
_HEAT = {"arithmetic": 2.0, "facts": 0.9, "extraction": 1.2, "reasoning": 1.6}
_DECIDEDNESS = 3.0
"""How sharply a question is easy or hard for a model: most are nearly always or hardly ever answered right."""
_EFFORT_SKILL = {"low": 0.0, "medium": 0.9, "high": 1.2}
_EFFORT_TOKENS = {"low": 60.0, "medium": 220.0, "high": 700.0}
_NORMAL = NormalDist()
_LENGTHS = tuple(math.exp(0.25 * _NORMAL.inv_cdf((k + 0.5) / 12)) for k in range(12))
_JITTERS = tuple(math.exp(0.15 * _NORMAL.inv_cdf((k + 0.5) / 4)) for k in range(4))
_FILLER = "Let us look at this with care and take the parts of the question one after the other. " * 300
_CHARACTERS_PER_TOKEN = 4.5
_SPARE_TOKENS = 8
"""What the closing words with the answer take."""


def rejected_parameter(setting: Setting) -> str | None:
    """Name the parameter that this model does not accept, or None."""
    model = MODELS[setting.model]
    if model.reasons and setting.temperature is not None:
        return "temperature"
    if not model.reasons and setting.effort is not None:
        return "reasoning_effort"
    if setting.effort is not None and setting.effort not in _EFFORT_SKILL:
        return "reasoning_effort"
    return None


def p_right(setting: Setting, question: Question) -> float:
    """Return the probability that the model knows the answer, before any limit cuts it."""
    model = MODELS[setting.model]
    logit = model.ability - question.difficulty + _STYLE_SKILL[setting.style][question.category]
    logit += _STYLE_FIT.get((setting.model, setting.style), 0.0)
    if model.reasons:
        logit += _EFFORT_SKILL[setting.effort or DEFAULT_EFFORT] * (1.0 + 0.3 * question.difficulty)
    else:
        temperature = DEFAULT_TEMPERATURE if setting.temperature is None else setting.temperature
        weakness = 1.6 - 0.3 * model.ability
        logit -= _HEAT[question.category] * weakness * (temperature - 0.2) ** 2
    return 0.01 + 0.98 / (1.0 + math.exp(-_DECIDEDNESS * logit))


@cache
def tokens_wanted(setting: Setting, question: Question) -> tuple[float, float]:
    """Return the typical tokens of the answer and of the thoughts before it, if no limit cuts them."""
    model = MODELS[setting.model]
    harder = 1.0 + 0.12 * max(question.difficulty, -1.0)
    thoughts = _EFFORT_TOKENS[setting.effort or DEFAULT_EFFORT] * harder if model.reasons else 0.0
    return model.answer_tokens * _STYLE_LENGTH[setting.style] * harder, thoughts


def input_tokens(setting: Setting, question: Question) -> int:
    """Return the tokens of the request, as the truth counts them: the question and an instruction of usual length."""
    return 12 + len(question.prompt) // 4 + (0 if setting.style == "plain" else 18)


def answer(setting: Setting, question: Question, chance: tuple[float, float, float, float]) -> Reply:
    """Return the answer that these four uniform numbers lead to."""
    visible, thoughts = tokens_wanted(setting, question)
    factor = _LENGTHS[int(chance[1] * len(_LENGTHS))]
    n_tokens, n_thoughts, is_cut = _limited(visible * factor, thoughts * factor, setting.max_tokens or DEFAULT_LIMIT)
    is_right = chance[0] < _p_right(setting, question)
    words = question.expected if is_right else question.wrong
    return Reply(
        _text(setting.style, words, n_tokens - n_thoughts, is_cut=is_cut),
        _latency_s(MODELS[setting.model], n_tokens, _JITTERS[int(chance[2] * len(_JITTERS))]),
        n_tokens,
        n_thoughts,
        is_cut,
    )


def truth(setting: Setting, question: Question, weighting: Weighting) -> Truth:
    """Return the exact expectation over chance. A cut answer counts as what it is: text without the answer in it."""
    model, p = MODELS[setting.model], _p_right(setting, question)
    visible, thoughts = tokens_wanted(setting, question)
    quality = latency_ms = cost_usd = score = 0.0
    for factor in _LENGTHS:
        n_tokens, _, is_cut = _limited(visible * factor, thoughts * factor, setting.max_tokens or DEFAULT_LIMIT)
        cost = model.cost_usd(input_tokens(setting, question), n_tokens)
        right = 0.0 if is_cut else p
        for jitter in _JITTERS:
            latency = 1000.0 * _latency_s(model, n_tokens, jitter)
            score += weighting.score(right, latency, cost)
            latency_ms += latency
        quality += right * len(_JITTERS)
        cost_usd += cost * len(_JITTERS)
    n = len(_LENGTHS) * len(_JITTERS)
    return Truth(quality=quality / n, latency_ms=latency_ms / n, cost_usd=cost_usd / n, score=score / n)


_p_right = cache(p_right)


def _limited(visible: float, thoughts: float, limit: int) -> tuple[int, int, bool]:
    """Return tokens written, tokens of thought among them, and whether the limit cut the answer."""
    n_thoughts = round(thoughts)
    n_tokens = n_thoughts + max(round(visible), _SPARE_TOKENS)
    if n_tokens <= limit:
        return n_tokens, n_thoughts, False
    return limit, min(n_thoughts, limit), True


def _latency_s(model: SimModel, n_tokens: int, jitter: float) -> float:
    return (model.first_token_s + model.token_s * n_tokens) * jitter


def _text(style: str, words: str, n_tokens: int, *, is_cut: bool) -> str:
    if is_cut:
        return _FILLER[: int(n_tokens * _CHARACTERS_PER_TOKEN)]
    if style == "concise":
        return words
    return f"{_FILLER[: int(max(n_tokens - _SPARE_TOKENS, 0) * _CHARACTERS_PER_TOKEN)]}\nThe answer is {words}."


def chance_of(setting: Setting, case: int, repeat: int, seed: int) -> tuple[float, float, float, float]:
    """Return what decides one call: the same for the same server seed, request and repeat."""
    return uniforms(
        seed, setting.model, setting.temperature, setting.max_tokens, setting.style, setting.effort, case, repeat
    )
