"""The test cases on which the recommended configuration does worse than another one."""

from dataclasses import dataclass

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.contrast import case_means
from convergence_cluster.reports.records import ScoredCall, StudyReport
from convergence_cluster.reports.tally import Tally

MAX_RIVALS = 10
"""More rivals would only find more luck: of many arms, some one does better on any case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """One case, one rival that scored higher."""

    case: int
    rival: ArmEstimate
    is_baseline: bool
    score: float
    rival_score: float
    answer: str | None
    rival_answer: str | None


def rivals(report: StudyReport) -> tuple[ArmEstimate, ...]:
    """Return whom the recommended arm is compared with: the baseline, then tied arms, then the front."""
    answer = report.recommendation
    if answer.best is None:
        return ()
    found: dict[ArmId, ArmEstimate] = {}
    for arm in (*((answer.baseline,) if answer.baseline else ()), *answer.tied, *answer.front):
        if arm.arm != answer.best.arm:
            found.setdefault(arm.arm, arm)
    return tuple(found.values())[:MAX_RIVALS]


def losses(report: StudyReport, counts: Tally) -> tuple[Loss, ...]:
    """Return each case that is lost, against its strongest rival, the largest gap first."""
    best = report.recommendation.best
    if best is None:
        return ()
    ours = counts.arm(best.arm).by_case()
    scores = case_means(ours, lambda call: call.score)
    worst: dict[int, Loss] = {}
    for rival in rivals(report):
        theirs = counts.arm(rival.arm).by_case()
        for case, score in case_means(theirs, lambda call: call.score).items():
            known = worst[case].rival_score if case in worst else scores.get(case)
            if known is None or score <= known:
                continue
            worst[case] = Loss(
                case=case,
                rival=rival,
                is_baseline=report.recommendation.baseline is not None
                and rival.arm == report.recommendation.baseline.arm,
                score=scores[case],
                rival_score=score,
                answer=_answer(report, ours[case]),
                rival_answer=_answer(report, theirs[case]),
            )
    return tuple(sorted(worst.values(), key=lambda loss: (loss.score - loss.rival_score, loss.case)))


def _answer(report: StudyReport, calls: list[ScoredCall]) -> str | None:
    return calls[0].outcome.answer if report.answers_allowed else None
