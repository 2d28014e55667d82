"""How far a judge agrees with people, by answers that both have graded."""

from collections.abc import Sequence
from statistics import fmean

from convergence_cluster.reports.wording import counted, percent

_POOR_KAPPA = 0.4
"""Below it agreement is called fair at most. Source: Landis and Koch (1977), table 2."""


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa of two raters, or None where chance alone would make them agree.

    Source: Cohen, "A coefficient of agreement for nominal scales" (1960), equation 1.
    """
    if not pairs:
        return None
    observed = fmean(a == b for a, b in pairs)
    share_a, share_b = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
    chance = share_a * share_b + (1.0 - share_a) * (1.0 - share_b)
    return None if chance >= 1.0 else (observed - chance) / (1.0 - chance)


def agreement(metric: str, graded: Sequence[tuple[float | None, float]], *, mark: float) -> str:
    """Return one sentence on a judge's values (None: it had none) beside people's labels, both in [0, 1].

    `mark` is the value from which either counts as passed.
    """
    both = [(value, label) for value, label in graded if value is not None]
    missing = f", {counted(len(graded) - len(both), 'label')} without a verdict" if len(both) < len(graded) else ""
    if not both:
        return f"{metric}: the judge was compared with no label{missing}"
    passed = [(value >= mark, label >= mark) for value, label in both]
    n_agreed, found = sum(a == b for a, b in passed), kappa(passed)
    words = "undefined, for all passed or all failed" if found is None else f"{found:.2f}"
    off = fmean(abs(value - label) for value, label in both)
    advice = (
        "; a score by such a judge says little: make the rubric plainer, or take another judge"
        if found is not None and found < _POOR_KAPPA
        else ""
    )
    return (
        f"{metric}: the judge agrees with {n_agreed} of {counted(len(both), 'label')} on what passes (from {mark:g} "
        f"on), {percent(n_agreed / len(both))}, kappa {words}; its value is off by {off:.2f} on average{missing}"
        f"{advice}"
    )
