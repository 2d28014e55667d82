"""Figures of one method on one table, from the records of all seeds."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.runs import Record

Summary: TypeAlias = dict[str, Any]
Floats: TypeAlias = NDArray[np.float64]

WITHIN = (("calls_to_1pct", 0.01), ("calls_to_2pct", 0.02))
NEEDED_SHARE = 0.9
"""So many of the seeds must have an answer that is good enough."""
MARKS = (100, 300, 1000, 3000, 10_000, 30_000)
"""Calls at which the mean regret is stated."""
EARLIEST = 100
"""Calls before which an answer is not judged."""
N_RESAMPLES = 400
ROUNDING = 1e-6
"""Regrets are written with six digits."""


def calls_to(regrets: Floats, points: Sequence[int], within: float) -> int | None:
    """Return the first of `points` from which on the answer is good enough in 90 % of the seeds, or None.

    `regrets` has shape (n_seeds, n_points).
    """
    return _first_lasting((regrets <= within + ROUNDING).mean(axis=0) >= NEEDED_SHARE, points)


def calls_to_interval(regrets: Floats, points: Sequence[int], within: float) -> list[int | None]:
    """Return the 90 % bootstrap interval over seeds of `calls_to`; None: not within the horizon."""
    rng = np.random.default_rng(0)
    hits = regrets <= within + ROUNDING
    picks = rng.multinomial(len(hits), np.full(len(hits), 1 / len(hits)), size=N_RESAMPLES)
    shares = picks @ hits / len(hits)
    found = [_first_lasting(row >= NEEDED_SHARE - 1e-12, points) for row in shares]
    ranked = sorted(np.inf if calls is None else float(calls) for calls in found)
    ends = ranked[int(0.05 * N_RESAMPLES)], ranked[int(0.95 * N_RESAMPLES) - 1]
    return [None if np.isinf(end) else int(end) for end in ends]


def summarize_curves(records: Sequence[Record], points: Sequence[int]) -> Summary:
    """Return the figures of a method that answers at any time, at its best setting by calls to 1 %, then 2 %."""
    settings = sorted({record["setting"] for record in records})
    found = [_curve_summary([r for r in records if r["setting"] == setting], setting, points) for setting in settings]
    return min(found, key=_calls_then_regret)


def summarize_budgets(records: Sequence[Record], *, is_tuned: bool) -> Summary:
    """Return the figures of a method with a budget: the cheapest setting that is good enough, in hindsight.

    Not `is_tuned`: all dearer settings must be good enough as well, and the marks are met by the dearest that fits.
    """
    runs: dict[str, list[Record]] = {}
    for record in records:
        for run in record["runs"]:
            runs.setdefault(run["setting"], []).append(run)
    settings = sorted(runs.values(), key=lambda group: float(np.mean([run["calls"] for run in group])))
    calls = [int(np.mean([run["calls"] for run in group])) for group in settings]
    regrets = [np.array([run["regret"] for run in group]) for group in settings]
    summary: Summary = {"n_seeds": len(records), "setting": None}
    for name, within in WITHIN:
        good = np.array([(r <= within + ROUNDING).mean() >= NEEDED_SHARE for r in regrets], dtype=np.bool_)
        first = next((i for i, is_good in enumerate(good) if is_good), None) if is_tuned else None
        lasting = _first_lasting(good, calls)
        summary[name] = (None if first is None else calls[first]) if is_tuned else lasting
    target = summary["calls_to_1pct"]
    chosen = len(calls) - 1 if target is None else calls.index(target)
    group = settings[chosen] if settings else []
    means = [float(r.mean()) for r in regrets]
    summary["mean_regret_at"] = {
        str(mark): _mark(means, calls, mark, is_tuned=is_tuned) for mark in MARKS if calls and mark >= calls[0]
    }
    return summary | {
        "setting": group[0]["setting"] if group else None,
        "reported_minus_true": _mean(run["reported_minus_true"] for run in group),
        "interval_coverage": _mean(run["covered"] for run in group),
        "tied_set_coverage": None,
        "cpu_ms_per_call": _mean(record["cpu_ms_per_call"] for record in records),
        "curve": {"calls": calls, "regret": _envelope(means) if is_tuned else means},
    }


def _curve_summary(records: Sequence[Record], setting: str, points: Sequence[int]) -> Summary:
    regrets = np.array([record["regret"] for record in records])
    summary: Summary = {"n_seeds": len(records), "setting": setting}
    for name, within in WITHIN:
        summary[name] = calls_to(regrets, points, within)
        summary[f"{name}_90"] = calls_to_interval(regrets, points, within)
    means = regrets.mean(axis=0)
    reached = [mark for mark in MARKS if points[0] <= mark <= points[-1]]
    places = {mark: int(np.searchsorted(points, mark, side="right")) - 1 for mark in reached}
    final = [record["final"] for record in records if record["final"]["n"]]
    anytime = [record["anytime"] for record in records if record["anytime"]["n"]]
    return summary | {
        "mean_regret_at": {str(mark): float(means[place]) for mark, place in places.items()},
        "claims_at": {str(mark): _claims(records, place) for mark, place in places.items()},
        "on_the_way": _on_the_way(records, points),
        "wrong_stops": sum(r["is_stopped"] and r["regret"][-1] > WITHIN[0][1] + ROUNDING for r in records),
        "final_regret": float(means[-1]),
        "reported_minus_true": _mean(f["reported_minus_true"] for f in final),
        "interval_coverage": _mean(f["covered"] for f in final),
        "tied_set_coverage": _mean(f["tied"] for f in final),
        "tied_set_size": _mean(f["n_tied"] for f in final),
        "reported_minus_true_anytime": _mean(f["reported_minus_true"] for f in anytime),
        "interval_coverage_anytime": _mean(f["covered"] for f in anytime),
        "tied_set_coverage_anytime": _mean(f["tied"] for f in anytime),
        "stopped_share": _mean(float(record["is_stopped"]) for record in records),
        "mean_calls": _mean(float(record["n_calls"]) for record in records),
        "cpu_ms_per_call": _mean(record["cpu_ms_per_call"] for record in records),
        "curve": {"calls": list(points), "regret": [round(float(mean), 6) for mean in means]},
    }


def _claims(records: Sequence[Record], place: int) -> dict[str, float | None]:
    """Return how honest the answers at one point were; after its end a run's last answer counts."""
    return _honesty([record["claims"][place] for record in records if record.get("claims")])


def _on_the_way(records: Sequence[Record], points: Sequence[int]) -> dict[str, float | None]:
    """Return how honest all answers between the first `EARLIEST` calls and a run's end were."""
    return _honesty([
        claim
        for record in records
        for calls, claim in zip(points, record.get("claims", ()), strict=False)
        if EARLIEST <= calls < record["n_calls"]
    ])  # fmt: skip


def _honesty(claims: Sequence[tuple[float, bool] | None]) -> dict[str, float | None]:
    given = [claim for claim in claims if claim is not None]
    return {
        "reported_minus_true": _mean(off for off, _ in given),
        "interval_coverage": _mean(float(is_held) for _, is_held in given),
    }


def _calls_then_regret(summary: Summary) -> tuple[float, float, float]:
    first, second = (np.inf if summary[name] is None else float(summary[name]) for name, _ in WITHIN)
    return first, second, summary["final_regret"]


def _first_lasting(is_good: NDArray[np.bool_], calls: Sequence[int]) -> int | None:
    """Return the calls from which on all are good."""
    bad = np.flatnonzero(~is_good)
    start = int(bad[-1]) + 1 if len(bad) else 0
    return calls[start] if start < len(calls) else None


def _mark(means: Sequence[float], calls: Sequence[int], mark: int, *, is_tuned: bool) -> float:
    within = [mean for mean, n_calls in zip(means, calls, strict=True) if n_calls <= mark]
    return min(within) if is_tuned else within[-1]


def _envelope(means: Sequence[float]) -> list[float]:
    return [float(mean) for mean in np.minimum.accumulate(means)] if means else []


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
