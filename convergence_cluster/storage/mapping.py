"""Old configurations in a space that was edited since: pure, and the same for every source of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.search import Elite
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace

STUDY_DECAY = 0.8
"""What still counts of a study after each later one: half after three."""
EDIT_DECAY = 0.7
"""What still counts of a configuration after each parameter that had to be filled in or moved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An arm of an earlier study."""

    configuration: Configuration
    score: float
    n_calls: int
    standing: float
    """Its score relative to the best of its own study, in [0, 1]: scores of different studies do not compare."""
    n_later: int
    """How many studies of the family came after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """A configuration that exists in the space, and in how many parameters it differs from the old one."""

    configuration: Configuration
    n_edits: int


def map_configuration(old: Configuration, space: SearchSpace, defaults: Configuration) -> Mapped:
    """Return the configuration of `space` nearest to an old one.

    Known values move to the nearest allowed; missing ones come from `defaults`, else are the first of the space;
    parameters that the space does not have are dropped; a parameter that does not apply is absent.
    """
    if space.candidates:
        return _nearest_candidate(old, space)
    configuration: dict[str, Json] = {}
    n_edits = 0
    for parameter in space.parameters:
        if not parameter.applies(configuration):
            continue
        value = nearest_value(parameter, old[parameter.name]) if parameter.name in old else None
        if value is None:
            n_edits += 1
            value = _default(parameter, defaults)
        elif not _same(value.value, old[parameter.name]):
            n_edits += 1
        configuration[parameter.name] = value.value
    return Mapped(configuration=configuration, n_edits=n_edits)


@dataclass(frozen=True, slots=True)
class Allowed:
    """A value of a parameter; wrapped, because None is one too."""

    value: Json


def nearest_value(parameter: Parameter, value: Json) -> Allowed | None:
    """Return the allowed value nearest to `value`; None where nothing is near: another type, or a gone category."""
    if parameter.kind is ParameterKind.CATEGORICAL:
        return next((Allowed(allowed) for allowed in parameter.values if _same(allowed, value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if parameter.kind is ParameterKind.ORDINAL:
        return Allowed(min(parameter.values, key=lambda allowed: abs(allowed - value)))
    clipped = min(max(value, parameter.low), parameter.high)
    step = parameter.step or (1.0 if parameter.kind is ParameterKind.INTEGER else None)
    if step is None:
        return Allowed(float(clipped))
    n_steps = min(round((clipped - parameter.low) / step), int((parameter.high - parameter.low) / step + 1e-9))
    on_grid = parameter.low + n_steps * step
    return Allowed(round(on_grid) if parameter.kind is ParameterKind.INTEGER else float(f"{on_grid:.12g}"))


def elites(
    candidates: Iterable[Candidate], space: SearchSpace, *, defaults: Configuration, limit: int
) -> tuple[tuple[Elite, ...], int]:
    """Return the most promising old configurations in the new space, best first, and how many of them were edited.

    Configurations that become the same are merged: calls add up, score and weight are means over calls. The order is by
    standing times weight: how close to the best of its study, and how much of that still counts.
    """
    merged: dict[str, list[tuple[Candidate, Mapped, float]]] = {}
    for candidate in candidates:
        mapped = map_configuration(candidate.configuration, space, defaults)
        weight = STUDY_DECAY**candidate.n_later * EDIT_DECAY**mapped.n_edits
        merged.setdefault(canonical_json(mapped.configuration), []).append((candidate, mapped, weight))
    ranked = sorted(merged.values(), key=_promise, reverse=True)[:limit]
    n_edited = sum(all(mapped.n_edits for _, mapped, _ in group) for group in ranked)
    return tuple(_merge(group) for group in ranked), n_edited


def standings(scores: Sequence[float]) -> list[float]:
    """Return how near each score is to the best: 1 for the best, 1/e for one that is as far below as the mean is."""
    if not scores:
        return []
    best = max(scores)
    spread = sum(best - score for score in scores) / len(scores)
    return [exp((score - best) / spread) if spread > 0 else 1.0 for score in scores]


def _promise(group: Sequence[tuple[Candidate, Mapped, float]]) -> float:
    return max(candidate.standing * weight for candidate, _, weight in group)


def _merge(group: Sequence[tuple[Candidate, Mapped, float]]) -> Elite:
    n_calls = sum(max(1, candidate.n_calls) for candidate, _, _ in group)
    shares = [(max(1, candidate.n_calls) * weight, candidate.score) for candidate, _, weight in group]
    weight = sum(share for share, _ in shares) / n_calls
    return Elite(
        configuration=group[0][1].configuration,
        score=sum(share * score for share, score in shares) / sum(share for share, _ in shares),
        n_calls=n_calls,
        weight=weight,
    )


def _nearest_candidate(old: Configuration, space: SearchSpace) -> Mapped:
    assert space.candidates
    kinds = {parameter.name: parameter for parameter in space.parameters}
    best = min(space.candidates, key=lambda candidate: _distance(old, candidate, kinds))
    return Mapped(configuration=best, n_edits=sum(name not in old or not _same(old[name], best[name]) for name in best))


def _distance(old: Configuration, candidate: Configuration, kinds: Mapping[str, Parameter]) -> float:
    return sum(_difference(kinds.get(name), old.get(name), value) for name, value in candidate.items())


def _difference(parameter: Parameter | None, old: Json, new: Json) -> float:
    """Return 0 for equal values, 1 for another category, and a share of the range for numbers."""
    if _same(old, new):
        return 0.0
    if parameter is None or parameter.kind is ParameterKind.CATEGORICAL:
        return 1.0
    if isinstance(old, bool) or not isinstance(old, int | float):
        return 1.0
    low, high = (
        (parameter.low, parameter.high) if not parameter.values else (min(parameter.values), max(parameter.values))
    )
    if low > 0 and old > 0 and (parameter.log or parameter.kind is ParameterKind.ORDINAL):
        low, high, old, new = log(low), log(high), log(old), log(new)
    return min(1.0, abs(old - new) / (high - low)) if high > low else 1.0


def _default(parameter: Parameter, defaults: Configuration) -> Allowed:
    if parameter.name in defaults:
        allowed = nearest_value(parameter, defaults[parameter.name])
        if allowed is not None:
            return allowed
    grid = parameter.grid()
    first = nearest_value(parameter, parameter.low) if grid is None else Allowed(grid[0])
    assert first is not None
    return first


def _same(one: Json, other: Json) -> bool:
    return canonical_json(one) == canonical_json(other)
