"""A study's coordinator with all it needs, brought to where its journal ends."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convergence_cluster.bootstrap.answers import RecordedSearch
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.bootstrap.searching import ScoredMetrics, build_optimizer, parse_legacy
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import AsAsked, AsTheyCome
from convergence_cluster.coordinator.protocols import Executor, Journal, Optimizer, ResumableOptimizer
from convergence_cluster.coordinator.replaying import replay, unknown_entries
from convergence_cluster.coordinator.trajectory import Trajectory
from convergence_cluster.domain.calls import Call
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.journal import CallKey, History
from convergence_cluster.metering.budget import Budget, Remaining
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import unpack
from convergence_cluster.spec.search_problem import to_search_problem
from convergence_cluster.storage.studies import StudyRecord

_ROUNDING_USD = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """A coordinator ready to run, and what a report needs besides."""

    coordinator: Coordinator
    budget: Budget
    metrics: ScoredMetrics
    history: History
    """What the journal held before this sitting."""


def assemble(
    study: LoadedStudy,
    record: StudyRecord,
    *,
    journal: Journal,
    budget: Budget,
    bound: CostBound,
    clock: Clock,
    executor: Executor,
    on_absorbed: Callable[[Coordinator], None] = lambda _: None,
    recorded: str | None = None,
    books_unknown: bool = True,
    is_under_way: Callable[[CallKey], bool] = lambda _: False,
) -> Assembly:
    """Return the coordinator of a study, replayed; `books_unknown` writes down what a crash may have hidden.

    Calls that are under way are not hidden: their outcomes will come.

    With a `recorded` answer the study is only looked at: nothing is decided again.

    Raises:
        Conflict: the journal is not of this study.
    """
    metrics = ScoredMetrics(study)
    observer = Observer(metrics, study.objectives)
    history = journal.read()
    search: Optimizer = _search(study, record) if recorded is None else RecordedSearch(recorded, history)
    coordinator = Coordinator(
        study=record.id,
        optimizer=search,
        executor=executor,
        journal=journal,
        observer=observer,
        order=AsAsked() if study.spec.optimization.execution.reproducible else AsTheyCome(),
        budget=budget,
        bound_usd=bound.usd,
        scoring_usd=bound.scoring_usd,
        n_draws=study.n_draws,
        clock=clock,
        parallelism=study.spec.optimization.execution.parallel_workers,
        on_absorbed=on_absorbed,
    )
    if isinstance(search, RecordedSearch):
        coordinator.trajectory = Trajectory(search.points)
    missing = replay(
        coordinator, history,
        fresh=lambda: _search(study, record), observer=observer, budget=budget, is_under_way=is_under_way,
    )  # fmt: skip
    unknown = may_be_paid(missing, budget.remaining, is_under_way=is_under_way)
    if unknown and books_unknown:
        _book_unknown(coordinator, unknown, journal=journal, budget=budget, at_s=clock.now_s())
    return Assembly(coordinator=coordinator, budget=budget, metrics=metrics, history=history)


def _search(study: LoadedStudy, record: StudyRecord) -> ResumableOptimizer:
    began = json.loads(record.spec_json)
    problem = to_search_problem(unpack(began["study"]), legacy=parse_legacy(began["legacy"]))
    return build_optimizer(study, problem)


def may_be_paid(
    missing: Sequence[Call], remaining: Remaining, *, is_under_way: Callable[[CallKey], bool]
) -> tuple[Call, ...]:
    """Return the calls that a crash may hide.

    Whatever was sent had been reserved, so it all fitted into what the budget had left; what does not fit any more,
    beside the calls that are known to be under way, was never sent.
    """
    n_left = math.inf if remaining.calls is None else remaining.calls
    usd_left = math.inf if remaining.usd is None else remaining.usd
    unknown = []
    for call in sorted(missing, key=lambda call: not is_under_way(call.key)):
        if call.n_draws > n_left or call.most_usd > usd_left + _ROUNDING_USD:
            continue
        n_left -= call.n_draws
        usd_left -= call.most_usd
        if not is_under_way(call.key):
            unknown.append(call)
    return tuple(unknown)


def _book_unknown(
    coordinator: Coordinator, missing: tuple[Call, ...], *, journal: Journal, budget: Budget, at_s: float
) -> None:
    entries, event = unknown_entries(missing, at_s=at_s)
    journal.append(events=(event,), ledger=entries)
    coordinator.accounts.book(entries)
    budget.restore(usd=sum(entry.usd or 0.0 for entry in entries), calls=sum(entry.n_attempts for entry in entries))


class NoExecutor:
    """Runs nothing: for a study that is only looked at."""

    def submit(self, calls: Sequence[Call]) -> None:
        """Refuse."""
        raise ConvergenceError(f"{len(calls)} calls were submitted by a study that is only looked at; please report")

    def collect(self, timeout_s: float) -> tuple[()]:
        """Return nothing."""
        del timeout_s
        return ()

    def cancel(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
