"""The calls of a study that are still to be made: in line behind the budget, then with whoever makes them."""

from collections import deque
from collections.abc import Callable, Sequence

from convergence_cluster.coordinator.protocols import Budget, Executor
from convergence_cluster.domain.calls import Call
from convergence_cluster.domain.identity import ArmId, Configuration, StudyId
from convergence_cluster.domain.journal import CallKey
from convergence_cluster.domain.search import Block, StopReason


class Line:
    """First in, first out; what was lost on the wire goes to the front again."""

    def __init__(
        self,
        study: StudyId,
        *,
        executor: Executor,
        budget: Budget,
        bound_usd: Callable[[Configuration, int], float],
        scoring_usd: Callable[[int], float],
        n_draws: int,
    ) -> None:
        self._study = study
        self._executor = executor
        self._budget = budget
        self._bound_usd = bound_usd
        self._scoring_usd = scoring_usd
        self._n_draws = n_draws
        self._waiting: deque[Call] = deque()
        self._on_wire: dict[CallKey, Call] = {}

    @property
    def n_on_wire(self) -> int:
        """Count the calls sent and not finished."""
        return len(self._on_wire)

    def call(self, arm: ArmId, case: int, configuration: Configuration, *, repeat: int = 0) -> Call:
        """Return the work order of one call, with the most that one attempt and its scoring may cost."""
        return Call(
            study=self._study,
            arm=arm,
            case=case,
            repeat=repeat,
            configuration=configuration,
            reserved_usd=self._bound_usd(configuration, case),
            scoring_usd=self._scoring_usd(case),
            n_draws=self._n_draws,
        )

    def calls(self, block: Block) -> list[Call]:
        """Return the work orders of a block."""
        return [self.call(block.arm, case, block.configuration, repeat=block.repeat) for case in block.cases]

    def extend(self, calls: Sequence[Call]) -> None:
        """Put calls in line."""
        self._waiting.extend(calls)

    def swap(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Put calls in line in place of those that wait there, and return these."""
        waiting, self._waiting = self._waiting, deque(calls)
        return tuple(waiting)

    def send(self) -> None:
        """Send as many calls as the budget has room for."""
        affordable = []
        while self._waiting:
            call = self._waiting[0]
            if not self._budget.reserve(call.reserved_usd, n=call.n_draws, scoring_usd=call.scoring_usd):
                break
            self._on_wire[call.key] = self._waiting.popleft()
            affordable.append(call)
        if affordable:
            self._executor.submit(affordable)

    def on_wire(self, key: CallKey) -> Call:
        """Return the work order of a call that is on the wire."""
        return self._on_wire[key]

    def arrived(self, key: CallKey) -> None:
        """Take a call off the wire."""
        del self._on_wire[key]

    def take_back(self, call: Call) -> bool:
        """Put a call that nobody is making any more to the front of the line; False where it is not on the wire."""
        if self._on_wire.pop(call.key, None) is None:
            return False
        self._waiting.appendleft(call)
        return True

    def is_empty(self) -> bool:
        """Say whether nobody waits in line."""
        return not self._waiting

    def refusal(self) -> StopReason | None:
        """Return why the budget has no room for the first in line, or None where it has."""
        return self._budget.refusal(self._waiting[0].most_usd, n=self._waiting[0].n_draws)
