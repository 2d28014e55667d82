"""What no method without a model of the parameters can do better: the cost of identifying a good arm."""

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table

MAX_ANSWERS = 5
"""Only so many of the best rows are tried as the answer; others cost more."""


def residual_sd(table: Table) -> NDArray[np.float64]:
    """Return the noise of each row's draws, shape (n_configs,), that is left when items' own effects are known.

    Rows of aggregate tables share no items, so nothing is taken away there.
    """
    if table.is_aggregate:
        return np.asarray(table.score.std(axis=1, dtype=np.float64))
    score = table.score.astype(np.float64)
    residual = score - score.mean(axis=0) - score.mean(axis=1, keepdims=True) + score.mean()
    variance = residual.var(axis=1)
    if table.repeats is not None:
        variance = variance + np.nanvar(table.repeats, axis=2, dtype=np.float64).mean(axis=1)
    return np.asarray(np.sqrt(variance))


def calls_needed(table: Table, within: float, failure: float = 0.1) -> float:
    """Return a lower bound on the expected calls to name, with so small a risk, a row within `within` of the best.

    Normal noise as in `residual_sd`, every arm told apart only by its own draws. Draws of one arm are without
    replacement, so n of N tell as much as 1 / (1/n - 1/N) with replacement. The bound is for methods that keep that
    risk whatever the truth is: one whose budget was chosen knowing the truth, or that knows more than draws, may
    need less.
    Source: Garivier & Kaufmann, "Optimal best arm identification with fixed confidence", COLT (2016), theorem 1.
    """
    return _calls_among(table, np.arange(len(table.true_mean)), within, failure)


def calls_for_last_choice(table: Table, within: float, failure: float = 0.1) -> float:
    """Return a lower bound for methods that are told the best value of every parameter but one, for the hardest one.

    Of the rows that share those values they still have to choose by draws. Or that are told every true score but those
    of the best row and its hardest rival, where that is more. Either way: unless they know more of the last parameter,
    or of the two, than draws say.
    """
    mean, sd = table.true_mean, np.maximum(residual_sd(table), 1e-6)
    best = int(mean.argmax())
    hardness = (sd[best] + sd) / np.maximum(mean[best] - (1 - within) * mean, 1e-6)
    hardness[best] = 0.0
    groups = [np.unique([best, int(hardness.argmax())])]
    for last in table.params:
        others = [values for name, values in table.columns.items() if name not in {last, "config_id"}]
        alike = [row for row in range(len(mean)) if all(values[row] == values[best] for values in others)]
        groups.append(np.array(alike))
    return max(_calls_among(table, rows, within, failure) for rows in groups)


def _calls_among(table: Table, rows: NDArray[np.intp], within: float, failure: float) -> float:
    """Return the bound where only some of the rows may be the answer; a single one is named without a call."""
    if len(rows) == 1:
        return 0.0
    mean, sd = table.true_mean[rows], np.maximum(residual_sd(table)[rows], 1e-6)
    evidence = (1 - 2 * failure) * math.log((1 - failure) / failure)
    n_population = table.score.shape[1] * table.n_repeats
    good = np.flatnonzero(mean >= (1 - within) * mean.max())
    answers = good[np.argsort(-mean[good])][:MAX_ANSWERS]
    return min(
        _calls_for(int(answer), mean, sd, within=within, evidence=evidence, n_population=n_population)
        for answer in answers
    )


def _calls_for(
    answer: int,
    mean: NDArray[np.float64],
    sd: NDArray[np.float64],
    *,
    within: float,
    evidence: float,
    n_population: int,
) -> float:
    """Minimise the sum of draws such that every rival j has gap^2 / 2 / (s_i^2/n_i + s_j^2/n_j) >= evidence."""
    rivals = np.delete(np.arange(len(mean)), answer)
    gaps = np.maximum(mean[answer] - (1 - within) * mean[rivals], 1e-6)
    allowed = gaps**2 / (2 * evidence)
    least = float((sd[answer] ** 2 / allowed).max())
    best = math.inf
    for factor in np.geomspace(1.0005, 1e4, 400):
        own = least * factor
        others = sd[rivals] ** 2 / (allowed - sd[answer] ** 2 / own)
        total = _without_replacement(np.append(others, own), n_population).sum()
        best = min(best, float(total))
    return best


def _without_replacement(draws: NDArray[np.float64], n_population: int) -> NDArray[np.float64]:
    return np.maximum(1 / (1 / np.maximum(draws, 1e-9) + 1 / n_population), 1.0)
