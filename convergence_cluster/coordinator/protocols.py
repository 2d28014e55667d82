"""What the coordinator needs from the outside."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from convergence_cluster.domain.calls import Call, CallOutcome
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.journal import ArmRecord, Event, History, LedgerEntry
from convergence_cluster.domain.search import Block, Incumbent, Observation, Recommendation, StopReason


class Optimizer(Protocol):
    """A search. Deterministic: the same problem and the same sequence of asks and tells give the same decisions."""

    def ask(self) -> Block | StopReason | None:
        """Return the next block to run, why to stop, or None while everything worth knowing is in flight.

        An `ask` that returns a block counts its calls as in flight until they are told; one that returns anything else
        changes nothing, so that only blocks need a place in the journal.
        """
        ...

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn from finished calls of any blocks, in any order; a call told before is ignored."""
        ...

    def recommend(self, *, full: bool = False) -> Recommendation:
        """Return the answer so far, `full` with every arm. No effect on later decisions; may be called at any time."""
        ...

    def incumbent(self) -> Incumbent | None:
        """Return the recommended arm of `recommend` and its score, without the work that all the rest takes."""
        ...

    def learned(self) -> Mapping[str, Json]:
        """Return the operator policy's state as JSON, for the studies that follow."""
        ...


class ResumableOptimizer(Optimizer, Protocol):
    """A search that can go on with what another one decided."""

    def adopt(self, block: Block) -> None:
        """Count a block as asked for that was decided elsewhere: by another processor, or another release.

        A block of a new arm has the next id; one of an open arm names the same configuration.

        Raises:
            ValueError: an arm or a repeat before it was never asked for.
        """
        ...


class Executor(Protocol):
    """Where calls are run: in this process, or on workers."""

    def submit(self, calls: Sequence[Call]) -> None:
        """Queue calls; at most `parallel_workers` run at once. Never blocks."""
        ...

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time, waiting up to `timeout_s` for the first."""
        ...

    def cancel(self) -> None:
        """Return every call not yet sent as SKIPPED; those on the wire finish."""
        ...

    def close(self) -> None:
        """Abandon what is on the wire and free every resource. May be called twice."""
        ...


class Journal(Protocol):
    """The durable record of one study, written by whoever holds its lease."""

    def append(
        self,
        *,
        events: Sequence[Event] = (),
        outcomes: Sequence[CallOutcome] = (),
        ledger: Sequence[LedgerEntry] = (),
    ) -> None:
        """Write all of it in one durable transaction. An outcome whose call has one already is ignored.

        Raises:
            LeaseLost: another process has claimed the study since.
        """
        ...

    def read(self) -> History:
        """Return everything that was appended, events in their order."""
        ...

    def record_arms(self, arms: Sequence[ArmRecord]) -> None:
        """Write arms as Optuna trials, replacing earlier records of the same arms."""
        ...


class Budget(Protocol):
    """The caps of a study. Thread-safe: retries reserve from the same one."""

    def reserve(self, usd: float, *, n: int = 1, scoring_usd: float = 0.0) -> bool:
        """Set aside `n` attempts of at most `usd` and their scoring; False: a cap forbids it, and nothing changed."""
        ...

    def settle(
        self, *, reserved_usd: float, n_attempts: int, usd: float | None, n_reserved: int, scoring_usd: float = 0.0
    ) -> None:
        """Book what a call cost in all, in place of `n_reserved` times `reserved_usd` and of `scoring_usd`."""
        ...

    def restore(self, *, usd: float, calls: int, time_s: float = 0.0) -> None:
        """Book what earlier sittings spent."""
        ...

    def refusal(self, usd: float, *, n: int = 1) -> StopReason | None:
        """Say which cap keeps `n` more attempts of `usd` together from being reserved, or None.

        With `n` of 0: which one is spent to the end, also for those whom something is set aside for.
        """
        ...


class Objectives(Protocol):
    """From raw metrics to the one number that is searched for."""

    def unscaled(self) -> Sequence[str]:
        """Return the metrics whose scale the baseline's own calls must fix."""
        ...

    def calibrate(self, scales: Mapping[str, float]) -> None:
        """Fix the scales for good."""
        ...

    def score(self, metrics: Mapping[str, float]) -> float:
        """Return the weighted mean of utilities, in [0, 1]."""
        ...
