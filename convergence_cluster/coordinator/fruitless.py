"""Tells a configuration that fails from a study that can score no answer at all."""

from collections.abc import Iterable, Sequence

from convergence_cluster.domain.calls import CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId

_MIN_CALLS = 40
_MIN_ARMS = 10


class Fruitless:
    """Counts answers that all fail to be scored, in the same words, whatever the configuration.

    An evaluator with a mistake, or a price that nobody knows, fails every call alike, and each of them is paid for. One
    score ends the counting for good.
    """

    def __init__(self, parallelism: int) -> None:
        self._min_calls = max(_MIN_CALLS, 2 * parallelism)
        self._is_over = False
        self._by_error: dict[str, list[ArmId]] = {}

    def note(self, finished: Sequence[CallOutcome], *, among: Iterable[CallOutcome] = ()) -> bool:
        """Count calls that have just finished; return whether no further one is worth its price.

        `among` are all calls of the study, of earlier sittings too: if one of them has a score, the counting ends.
        """
        self._is_over = self._is_over or any(outcome.is_scored for outcome in finished)
        if self._is_over:
            return False
        for outcome in finished:
            if _is_unscorable(outcome):
                self._by_error.setdefault(outcome.error or "", []).append(outcome.call.arm)
        if not any(len(arms) >= self._min_calls and len(set(arms)) >= _MIN_ARMS for arms in self._by_error.values()):
            return False
        self._is_over = any(outcome.is_scored for outcome in among)
        return not self._is_over


def _is_unscorable(outcome: CallOutcome) -> bool:
    is_answered = outcome.latency_s is not None
    return is_answered and not outcome.is_passing and outcome.kind is not OutcomeKind.INFEASIBLE
