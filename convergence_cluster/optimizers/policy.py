"""The operator policy: which way of proposing configurations pays, learned within a study and carried to the next.

Linear Thompson sampling over a small context, one regression per operator; the reward is 1 when a child reached the
incumbent of its birth. Source: Agrawal & Goyal 2013, "Thompson sampling for contextual bandits with linear payoffs"
(algorithm 1).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Json

OPERATORS = ("random", "mutation", "local", "crossover", "difference")
CONTEXT = ("one", "log_arms", "share_categorical")
DISCOUNT = 0.985
"""Of what an operator has earned, at each of its rewards: the best operator changes as a study goes on."""
CARRIED = 0.5
"""How much of a former study's evidence counts in the next."""
_WIDTH = 0.3
"""Scale of the exploration: about the standard deviation of a reward."""
_FLOOR = 0.125
"""Least share of uniform proposals, so that every configuration stays reachable."""


class OperatorPolicy:
    """The regressions, by operator: precision `A` and moment `b`."""

    def __init__(self, carried: Mapping[str, Json], *, is_learning: bool = True) -> None:
        self._is_learning = is_learning
        self._precision = {name: np.eye(len(CONTEXT)) for name in OPERATORS}
        self._moment = {name: np.zeros(len(CONTEXT)) for name in OPERATORS}
        if is_learning:
            self._load(carried)

    def shares(self, context: NDArray[np.float64], n: int, rng: np.random.Generator) -> dict[str, int]:
        """Return how many of n proposals each operator makes, by one Thompson draw per eighth of them."""
        counts = dict.fromkeys(OPERATORS, 0)
        n_random = int(np.ceil(_FLOOR * n))
        counts["random"] += n_random
        parts = np.array_split(np.arange(n - n_random), 8)
        for part in parts:
            counts[self._draw(context, rng)] += len(part)
        return counts

    def learn(self, operator: str, context: NDArray[np.float64], reward: float) -> None:
        """Credit an operator with what its child was worth, once."""
        if not self._is_learning or operator not in self._precision:
            return
        eye = np.eye(len(CONTEXT))
        self._precision[operator] = eye + DISCOUNT * (self._precision[operator] - eye) + np.outer(context, context)
        self._moment[operator] = DISCOUNT * self._moment[operator] + reward * context

    def state(self) -> Mapping[str, Json]:
        """Return the regressions as JSON."""
        return {
            "context": list(CONTEXT),
            "operators": {
                name: {"precision": self._precision[name].tolist(), "moment": self._moment[name].tolist()}
                for name in OPERATORS
            },
        }

    def _draw(self, context: NDArray[np.float64], rng: np.random.Generator) -> str:
        if not self._is_learning:
            return str(OPERATORS[rng.integers(len(OPERATORS))])
        values = []
        for name in OPERATORS:
            covariance = np.linalg.inv(self._precision[name])
            mean = float(context @ covariance @ self._moment[name])
            values.append(mean + _WIDTH * float(np.sqrt(context @ covariance @ context)) * rng.standard_normal())
        return OPERATORS[int(np.argmax(values))]

    def _load(self, carried: Mapping[str, Json]) -> None:
        if carried.get("context") != list(CONTEXT):
            return
        for name, regression in carried.get("operators", {}).items():
            if name in self._precision:
                eye = np.eye(len(CONTEXT))
                self._precision[name] = eye + CARRIED * (np.array(regression["precision"]) - eye)
                self._moment[name] = CARRIED * np.array(regression["moment"])


def earned(state: Mapping[str, Json]) -> dict[str, tuple[float, float]]:
    """Return of each operator in a policy's state how many of its children were judged, and the share that paid.

    Older ones count less, so the number need not be whole; an operator without any is left out.
    """
    if state.get("context") != list(CONTEXT):
        return {}
    found = {}
    for name, regression in state.get("operators", {}).items():
        n = float(regression["precision"][0][0]) - 1.0  # the context begins with 1, the precision with the identity
        if n > 0:
            found[name] = (n, min(max(float(regression["moment"][0]) / n, 0.0), 1.0))
    return found


def policy_context(n_arms: int, share_categorical: float) -> NDArray[np.float64]:
    """Return the context of one decision, in the order of `CONTEXT`, each about 1 in size."""
    return np.array([1.0, np.log10(1.0 + n_arms) / 2.0, share_categorical])
