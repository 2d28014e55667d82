"""Working stand-ins for what the coordinator needs: small, deterministic, in memory."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId, Json, StudyId
from convergence_cluster.domain.journal import ArmRecord, CallKey, Event, History, LedgerEntry
from convergence_cluster.domain.search import (
    ArmEstimate,
    ArmState,
    Block,
    Incumbent,
    Interval,
    Observation,
    Recommendation,
    StopReason,
)

STUDY = StudyId("study-1")


class FakeClock:
    """Time that only moves when told."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s

    def monotonic_s(self) -> float:
        return self.time_s


class ScriptedSearch:
    """Opens arms one after another and gives a second block to those that score well so far; then it is certain."""

    def __init__(self, *, n_arms: int, block_size: int = 2, seed: int = 0) -> None:
        self._n_arms = n_arms
        self._block_size = block_size
        self._generator = np.random.default_rng(seed)
        self._next_arm = 0
        self._again: list[int] = []
        self.scores: dict[int, list[float]] = {}
        self.told: list[Observation] = []
        self._seen: set[tuple[int, int, int]] = set()

    def ask(self) -> Block | StopReason | None:
        if self._again:
            return self._block(self._again.pop(0), first_case=self._block_size)
        if self._next_arm < self._n_arms:
            self._next_arm += 1
            return self._block(self._next_arm - 1, first_case=0)
        n_expected = self._n_arms * self._block_size
        return StopReason.CERTAIN if len(self.told) >= n_expected else None

    def adopt(self, block: Block) -> None:
        if block.arm > self._next_arm:
            raise ValueError(f"arm {block.arm} comes before arm {self._next_arm} was asked for")
        self._next_arm = max(self._next_arm, block.arm + 1)
        self._again = [arm for arm in self._again if arm != block.arm]

    def _block(self, arm: int, *, first_case: int) -> Block:
        cases = tuple(range(first_case, first_case + self._block_size))
        return Block(arm=ArmId(arm), configuration={"x": arm}, cases=cases, operator="scripted")

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            key = (observation.arm, observation.case, observation.repeat)
            if key in self._seen:
                continue
            self._seen.add(key)
            self.told.append(observation)
            scores = self.scores.setdefault(observation.arm, [])
            scores.append(observation.score or 0.0)
            if len(scores) == self._block_size and self._generator.random() < np.mean(scores):
                self._again.append(observation.arm)

    def recommend(self, *, full: bool = False) -> Recommendation:
        arms = tuple(self._estimate(arm) for arm in sorted(self.scores, key=lambda a: -float(np.mean(self.scores[a]))))
        return Recommendation(
            best=arms[0] if arms else None,
            baseline=None,
            change=None,
            tied=(),
            front=(),
            p_within=0.5,
            gain_per_100_calls=0.0,
            n_arms=len(arms),
            n_alive=len(arms),
            n_calls=len(self.told),
            arms=arms if full else (),
        )

    def _estimate(self, arm: int) -> ArmEstimate:
        mean = float(np.mean(self.scores[arm]))
        return ArmEstimate(
            arm=ArmId(arm),
            configuration={"x": arm},
            state=ArmState.ALIVE,
            operator="scripted",
            score=Interval(mean=mean, low=mean, high=mean),
            n_calls=len(self.scores[arm]),
            n_cases=len(self.scores[arm]),
            p_best=0.0,
        )

    def incumbent(self) -> Incumbent | None:
        return self.recommend().incumbent

    def learned(self) -> Mapping[str, Json]:
        return {}


class MemoryJournal:
    """Keeps what was appended, and what `crash_after` appends left behind."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.outcomes: dict[CallKey, CallOutcome] = {}
        self.ledger: list[LedgerEntry] = []
        self.arms: dict[int, ArmRecord] = {}
        self.appends_left = 10**9

    def append(
        self,
        *,
        events: Sequence[Event] = (),
        outcomes: Sequence[CallOutcome] = (),
        ledger: Sequence[LedgerEntry] = (),
    ) -> None:
        if self.appends_left <= 0:
            raise KeyboardInterrupt
        self.appends_left -= 1
        self.events.extend(events)
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.call.key, outcome)
        self.ledger.extend(ledger)

    def read(self) -> History:
        return History(events=tuple(self.events), outcomes=dict(self.outcomes), ledger=tuple(self.ledger))

    def record_arms(self, arms: Sequence[ArmRecord]) -> None:
        self.arms.update((record.arm, record) for record in arms)


class ShufflingExecutor:
    """Finishes a few of the submitted calls at each `collect`, in an order that its own seed decides."""

    def __init__(self, outcome: Callable[[Call], CallOutcome], *, seed: int = 0) -> None:
        self._outcome = outcome
        self._generator = np.random.default_rng(seed)
        self._queued: list[Call] = []
        self.sent: list[Call] = []
        self._is_cancelled = False

    def submit(self, calls: Sequence[Call]) -> None:
        self._queued.extend(calls)

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        if self._is_cancelled:
            skipped = [CallOutcome(call=call, kind=OutcomeKind.SKIPPED) for call in self._queued]
            self._queued.clear()
            return skipped
        n_finished = int(self._generator.integers(1, len(self._queued) + 1))
        picked = self._generator.permutation(len(self._queued))[:n_finished]
        calls = [self._queued[index] for index in picked]
        self._queued = [call for index, call in enumerate(self._queued) if index not in set(picked.tolist())]
        self.sent.extend(calls)
        return [self._outcome(call) for call in calls]

    def cancel(self) -> None:
        self._is_cancelled = True

    def close(self) -> None:
        self._queued.clear()


class PlainObjectives:
    """The score is the metric `quality`, divided by a scale that is measured when `is_scaled`."""

    def __init__(self, *, is_scaled: bool = False) -> None:
        self._unscaled = ["quality"] if is_scaled else []
        self.scales: dict[str, float] = {}

    def unscaled(self) -> Sequence[str]:
        return tuple(self._unscaled)

    def calibrate(self, scales: Mapping[str, float]) -> None:
        self.scales.update(scales)
        self._unscaled.clear()

    def score(self, metrics: Mapping[str, float]) -> float:
        return metrics["quality"] / (2 * self.scales.get("quality", 0.5))


def answer_ok(call: Call, *, n_attempts: int = 1) -> CallOutcome:
    """The outcome of a call that depends on nothing but the call."""
    quality = ((call.arm * 37 + call.case * 11 + call.repeat * 5) % 17) / 17
    return CallOutcome(
        call=call,
        kind=OutcomeKind.OK,
        metrics={"quality": quality},
        cost_usd=0.01,
        n_attempts=n_attempts,
        price_source="fake",
    )
