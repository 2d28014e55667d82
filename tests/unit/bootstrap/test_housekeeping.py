"""What is shown of a running study."""

from convergence_cluster.bootstrap.housekeeping import Caps, Housekeeping, Progress
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import AsTheyCome
from convergence_cluster.coordinator.rounds import drive
from convergence_cluster.domain.calls import Call, CallOutcome
from convergence_cluster.domain.search import StopReason
from convergence_cluster.metering.budget import Budget
from tests.fakes import STUDY, FakeClock, MemoryJournal, PlainObjectives, ScriptedSearch, ShufflingExecutor, answer_ok


def run_with_retries(n_attempts: int, *, max_calls: int) -> tuple[StopReason | None, list[Progress]]:
    """Run a study whose calls all take so many attempts, a second each; return what was shown of it."""
    clock, shown = FakeClock(), list[Progress]()
    budget = Budget(clock=clock, calls=max_calls)
    caps = Caps(usd=None, calls=max_calls, time_s=None)
    housekeeping = Housekeeping(clock=clock, caps=caps, listener=shown.append, renew=lambda: None)

    def outcome(call: Call) -> CallOutcome:
        clock.time_s += n_attempts
        reserved = [budget.reserve() for _ in range(n_attempts - 1)]
        return answer_ok(call, n_attempts=1 + sum(reserved))

    executor = ShufflingExecutor(outcome)
    coordinator = Coordinator(
        study=STUDY,
        optimizer=ScriptedSearch(n_arms=100),
        executor=executor,
        journal=MemoryJournal(),
        observer=Observer(PlainObjectives(), ()),
        order=AsTheyCome(),
        budget=budget,
        bound_usd=lambda _configuration, _case: 0.0,
        clock=clock,
        parallelism=1,
        on_absorbed=housekeeping,
    )
    housekeeping.begin(coordinator)
    reason = drive(coordinator.rounds(), executor.collect)
    housekeeping.show(coordinator, is_final=True)
    return reason, shown


def test_progress_counts_calls_as_the_cap_does_that_they_are_shown_against() -> None:
    reason, shown = run_with_retries(3, max_calls=30)

    assert reason is StopReason.BUDGET_CALLS
    assert (shown[-1].n_calls, shown[-1].max_calls, shown[-1].counts) == (30, 30, {"ok": 10})
    assert shown[-1].calls_per_s == 1.0
    assert [each.left_s for each in shown[:-1]] == [30.0 - each.n_calls for each in shown[:-1]]
