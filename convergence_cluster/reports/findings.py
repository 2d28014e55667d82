"""What a study found, as plain sentences that every document shares. Unescaped: whoever writes them escapes them."""

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.search import BASELINE, ArmEstimate, Interval, StopReason
from convergence_cluster.reports.constraints import BROKEN, breach_words
from convergence_cluster.reports.contrast import verdict
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.tally import Tally
from convergence_cluster.reports.wording import (
    STOP_REASONS,
    UNKNOWN,
    chance,
    counted,
    duration,
    finite,
    number,
    score,
    score_interval,
    usd,
)


def headline(report: StudyReport) -> str:
    """Return whether there is an answer, why the study ended, and a warning where the answer must not be used."""
    why, best = stopping(report), report.recommendation.best
    if best is None:
        return f"No answer: no configuration has a score ({why})"
    broken = "" if best.is_feasible else f"; {BROKEN}"
    if report.stop_reason is None:
        return f"Interrupted: the answer so far ({why}){broken}"
    return f"Optimization complete: {why}{broken}"


FRONT_ORDER = "no other configuration beats these in every metric; those that cover most of it first"
"""What the front is, and the order in which it is listed."""


def front_rows(report: StudyReport) -> tuple[ArmEstimate, ...]:
    """Return the front as far as it is worth a table: one metric leaves nothing to weigh."""
    return report.recommendation.front if len(report.metrics) > 1 else ()


def unkept(report: StudyReport) -> str | None:
    """Return which constraints the answer breaks; None where it keeps all."""
    words = breach_words(report)
    return words and f"NOT KEPT, by this or any other configuration so far: {words}"


def stopping(report: StudyReport) -> str:
    """Return why the study ended."""
    if report.stop_reason is None:
        return "`convergence resume` goes on"
    return STOP_REASONS[report.stop_reason]


def is_baseline_best(report: StudyReport) -> bool:
    """Say whether the study recommends to change nothing."""
    answer = report.recommendation
    return answer.best is not None and answer.baseline is not None and answer.best.arm == answer.baseline.arm


def no_baseline(report: StudyReport) -> str:
    """Return why there is no baseline beside the answer."""
    if any(call.outcome.call.arm == BASELINE for call in report.calls):
        return "no call of the baseline has a score to compare with"
    return "no baseline to compare with"


def score_change(report: StudyReport) -> str:
    """Return the change of the score against the baseline."""
    answer = report.recommendation
    if is_baseline_best(report):
        return "it is the baseline: nothing better was found"
    if answer.baseline is None:
        return no_baseline(report)
    if answer.change is None:
        return "the baseline has no score to compare with"
    usual = answer.baseline.score.mean
    broken = "" if answer.baseline.is_feasible else ", which breaks a constraint"
    return f"{verdict(answer.change, usual, decimals=3)} vs baseline {score(usual)}{broken}"


def how_sure(report: StudyReport) -> str:
    """Return the confidence in the answer, and how many others may be as good."""
    answer = report.recommendation
    if answer.best is None:
        return "there is nothing to be sure of"
    if not answer.best.is_feasible:
        return "no configuration tried keeps the constraints; this one breaks them least"
    tried = f"{counted(answer.n_arms, 'configuration')} tried"
    n_broken = sum(not arm.is_feasible for arm in report.arms)
    if n_broken:
        n_kept = answer.n_arms - n_broken
        tried = f"those that may keep the constraints, as {n_kept:,} of {tried} {'does' if n_kept == 1 else 'do'}"
    share = number(100 * report.within)
    sure = f"{chance(answer.p_within)} sure that it is within {share} % of the best of {tried}"
    if not answer.tied:
        return f"{sure}; no other is tied with it"
    others = "1 other cannot" if len(answer.tied) == 1 else f"{len(answer.tied):,} others cannot"
    return f"{sure}; {others} be told from it"


def gain(report: StudyReport) -> str:
    """Return what going on would buy."""
    if report.stop_reason is StopReason.EXHAUSTED:
        return "no call is left; more test cases, or a larger max_repeats where answers vary, would tell more"
    rise = finite(report.recommendation.gain_per_100_calls)
    if rise is None or report.recommendation.best is None:
        return f"what 100 more calls would bring is {UNKNOWN}"
    if rise < 0.0005:  # noqa: PLR2004 - it would be shown as 0.000
        return "100 more calls would hardly raise the score (by less than 0.001)"
    return f"100 more calls would raise the score by about {rise:.3f}"


def spending(report: StudyReport) -> str:
    """Return what was spent, beside the caps."""
    spend, caps = report.spend, report.caps
    money = "cost unknown (no price known)" if spend.usd is None else usd(spend.usd)
    parts = [
        money + (f" of {usd(caps.usd)}" if caps.usd is not None else ""),
        counted(spend.n_calls, "call")
        + (f" of {caps.calls:,}" if caps.calls is not None else "")
        + (f" ({spend.n_retries:,} of them retries)" if spend.n_retries else ""),
        duration(spend.seconds) + (f" of {duration(60 * caps.minutes)}" if caps.minutes is not None else ""),
    ]
    if spend.n_unpriced_calls and spend.usd is not None:
        parts.append(f"{counted(spend.n_unpriced_calls, 'call')} of unknown price not included")
    if spend.n_cached_calls:
        worth = f", worth {usd(spend.cached_usd)}" if spend.cached_usd else ""
        parts.append(f"{spend.n_cached_calls:,} of the calls answered from the cache{worth}")
    elif spend.cached_usd:
        parts.append(f"scoring worth {usd(spend.cached_usd)} answered from the cache")
    if spend.scoring_usd:
        parts.append(f"{usd(spend.scoring_usd)} of it for scoring")
    if spend.n_unpriced_scorings:
        parts.append(f"the scoring of {counted(spend.n_unpriced_scorings, 'answer')} of unknown price not included")
    if spend.unknown_usd:
        parts.append(f"{usd(spend.unknown_usd)} of it is the most that calls lost in a crash can have cost")
    return ", ".join(parts)


def shortfalls(counts: Tally) -> str | None:
    """Return how many calls gave no score, or less than a whole answer, by how they ended; None where all did."""
    missing = [f"{n:,} {kind.value}" for kind, n in counts.unscored.items() if n]
    total = counted(sum(counts.kinds.values()), "call")
    parts = [f"{', '.join(missing)} (of {total}; not scored)"] if missing else []
    cut = [
        f"{n:,} {kind.value}"
        for kind in (OutcomeKind.TRUNCATED, OutcomeKind.REFUSED)
        if (n := counts.kinds.get(kind, 0) - counts.unscored.get(kind, 0))
    ]
    if cut:
        parts.append(f"{', '.join(cut)} (of {total}; scored by what they say)")
    return "; ".join(parts) or None


def holdout(report: StudyReport) -> str | None:
    """Return the final comparison on unseen cases; None where there was none."""
    found = report.holdout
    if found is None:
        return None
    words = f"{score_interval(found.best)} on {counted(found.n_cases, 'unseen case')}"
    return words if found.change is None else f"{words}, {_against(found.change, found.baseline)}"


def _against(change: Interval, baseline: Interval | None) -> str:
    if finite(change.low) is None:
        return f"{verdict(change, None)} against the baseline"
    return f"{verdict(change, None if baseline is None else baseline.mean, decimals=3)} vs baseline"
