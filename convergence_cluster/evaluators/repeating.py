"""Metrics of several draws of one configuration on one case: whether all of them pass, how far they agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from statistics import fmean
from typing import Protocol

from rapidfuzz.distance import Levenshtein


class Repeated(Protocol):
    """A metric that needs all draws of a call."""

    @property
    def metric(self) -> str:
        """Its name."""
        ...

    def value(self, texts: Sequence[str], metrics: Sequence[Mapping[str, float]]) -> float:
        """Return its value in [0, 1] from the answers' texts and their other metrics, draw by draw."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PassAll:
    """The chance that `k` draws all pass, that is, reach `mark` in another metric: pass^k, unbiased from n draws."""

    metric: str
    of: str
    k: int
    mark: float

    def value(self, texts: Sequence[str], metrics: Sequence[Mapping[str, float]]) -> float:
        """Return C(passed, k) / C(n, k): with n = k, 1 where all passed, else 0.

        Source: Yao et al., "tau-bench" (2024), section 4: the estimator of pass^k.
        """
        n_passed = sum(each[self.of] >= self.mark - 1e-9 for each in metrics)
        return comb(n_passed, self.k) / comb(len(texts), self.k)


@dataclass(frozen=True, kw_only=True, slots=True)
class Consistency:
    """How alike the draws are: the mean over all pairs."""

    metric: str
    alike: Callable[[str, str], float]

    def value(self, texts: Sequence[str], metrics: Sequence[Mapping[str, float]]) -> float:
        """Return the mean likeness of two draws; 1 where there is only one."""
        del metrics
        pairs = list(combinations(texts, 2))
        return fmean(self.alike(a, b) for a, b in pairs) if pairs else 1.0


def same_text(a: str, b: str) -> float:
    """1 where two texts are the same but for letter case and blanks."""
    return float(a.casefold().split() == b.casefold().split())


def close_text(a: str, b: str) -> float:
    """1 minus the edit distance over the longer length, whatever the letter case."""
    return Levenshtein.normalized_similarity(a.casefold().strip(), b.casefold().strip())
