"""What earlier studies measured, as a prior for the next one: of every configuration, and of every test case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.domain.search import KnownArm, KnownCase
from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.storage.legacy_records import LegacyArm, LegacyStudy
from convergence_cluster.storage.mapping import EDIT_DECAY, STUDY_DECAY, map_configuration

Rescore: TypeAlias = Callable[[Mapping[str, float]], float | None]
Keeps: TypeAlias = Callable[[Mapping[str, float]], bool]
"""Gives a score under today's weights from mean metrics; None where it cannot."""

MIN_COMMON = 3
"""Configurations that two studies must share to be put on one scale."""
SAME_SCORE = 0.02
"""Scores of single cases are used while the arms' own differ from those under today's weights by less on average."""
MAX_CELLS = 20_000
"""Scores on single cases that are handed on: so many lie in the next study's own record."""
_LEAST_COIN = 0.01
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What one study said of one configuration of today's space."""

    configuration: Configuration
    score: float
    variance: float
    cases: tuple[tuple[int, float], ...] = ()


def score_of(arm: LegacyArm, rescore: Rescore | None) -> float:
    """Return an arm's score under today's weights."""
    again = None if rescore is None else rescore(arm.metrics)
    return arm.score if again is None else again


def known_arms(
    studies: Sequence[LegacyStudy],
    space: SearchSpace,
    *,
    defaults: Configuration,
    rescore: Rescore | None,
    cases: Sequence[str] = (),
) -> tuple[KnownArm, ...]:
    """Return what the studies, newest first, say together of each configuration, on the scale of the newest.

    An older study counts by how far its scores differ from the newest's on the configurations that both have; one that
    shares too few says nothing. What several say of one configuration is averaged by precision. Scores on `cases`, ids
    in today's order, come from the newest.
    """
    places = {case: index for index, case in enumerate(cases)}
    merged: dict[str, list[_Told]] = {}
    for n_later, study in enumerate(studies):
        told = _told(study, space, defaults, rescore, STUDY_DECAY**n_later)
        if n_later == 0 and _is_same_score(study, rescore):
            told = _with_cases(study, told, places)
        common = [(key, other) for key, other in told.items() if key in merged]
        if merged and len(common) < MIN_COMMON:
            continue
        shift = sum(merged[key][0].score - other.score for key, other in common) / max(len(common), 1)
        for key, one in told.items():
            merged.setdefault(key, []).append(replace(one, score=one.score + shift))
    return tuple(_averaged(group) for group in merged.values())


def known_cases(study: LegacyStudy, cases: Sequence[str], rescore: Rescore | None) -> tuple[KnownCase, ...]:
    """Return what each of today's cases that the study had added to all its arms' scores."""
    if not _is_same_score(study, rescore):
        return ()
    found = []
    for index, case in enumerate(cases):
        rests = [arm.cases[case] - arm.score for arm in study.arms if case in arm.cases]
        if rests:
            found.append(KnownCase(case=index, effect=sum(rests) / len(rests), n_arms=len(rests)))
    return tuple(found)


def _is_same_score(study: LegacyStudy, rescore: Rescore | None) -> bool:
    moved = sum(abs(score_of(arm, rescore) - arm.score) for arm in study.arms)
    return moved <= SAME_SCORE * len(study.arms)


def _with_cases(study: LegacyStudy, told: Mapping[str, _Told], places: Mapping[str, int]) -> dict[str, _Told]:
    """Return what the study said with scores on single cases, the best arms' first while there is room."""
    found, room = dict(told), MAX_CELLS
    for arm in study.arms:
        key = canonical_json(arm.configuration)
        cells = [(places[case], round(score, 4)) for case, score in arm.cases.items() if case in places]
        if key in found and len(cells) <= room:
            room -= len(cells)
            found[key] = replace(found[key], cases=tuple(sorted(cells)))
    return found


def _told(
    study: LegacyStudy, space: SearchSpace, defaults: Configuration, rescore: Rescore | None, weight: float
) -> dict[str, _Told]:
    """Return the study's arms by their configuration in today's space; of those that become one, the least edited.

    What is not certain of an edited configuration is how far scores in the study differ at all.
    """
    scores = [score_of(arm, rescore) for arm in study.arms]
    centre = sum(scores) / max(len(scores), 1)
    spread = sum((score - centre) ** 2 for score in scores) / max(len(scores), 1)
    found: dict[str, _Told] = {}
    for arm, score in zip(study.arms, scores, strict=True):
        mapped = map_configuration(arm.configuration, space, defaults)
        edited = 1.0 - EDIT_DECAY**mapped.n_edits
        told = _Told(
            configuration=mapped.configuration,
            score=score,
            variance=(_variance(arm) + 2.0 * edited * spread) / weight,
        )
        key = canonical_json(mapped.configuration)
        if key not in found or told.variance < found[key].variance:
            found[key] = told
    return found


def _variance(arm: LegacyArm) -> float:
    """Return how uncertain an arm's score was: as kept, else as for so many scores of 0 or 1."""
    if arm.deviation is not None:
        return max(arm.deviation**2, _LEAST_VARIANCE)
    return max(arm.score * (1.0 - arm.score), _LEAST_COIN) / max(arm.n_calls, 1)


def _averaged(group: Sequence[_Told]) -> KnownArm:
    precision = sum(1.0 / told.variance for told in group)
    return KnownArm(
        configuration=group[0].configuration,
        score=sum(told.score / told.variance for told in group) / precision,
        variance=1.0 / precision,
        cases=group[0].cases,
    )
