"""The loop of a study against working stand-ins."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import AsAsked, AsTheyCome, Order
from convergence_cluster.coordinator.replaying import replay, unknown_entries
from convergence_cluster.coordinator.rounds import drive
from convergence_cluster.domain.calls import Call, CallOutcome, Late, Lost, OutcomeKind
from convergence_cluster.domain.errors import Conflict
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.journal import Asked, Calibrated, CallKey, Told
from convergence_cluster.domain.search import HOLDOUT, Block, Direction, Objective, StopReason
from convergence_cluster.metering.budget import Budget
from tests.fakes import (
    STUDY,
    FakeClock,
    MemoryJournal,
    PlainObjectives,
    ScriptedSearch,
    ShufflingExecutor,
    answer_ok,
)

QUALITY = Objective(name="quality", direction=Direction.MAXIMIZE)


def _budget(*, calls: int | None = None) -> Budget:
    return Budget(clock=FakeClock(), calls=calls)


class Bench:
    """A coordinator with all its stand-ins."""

    def __init__(
        self,
        *,
        journal: MemoryJournal | None = None,
        outcome: Callable[[Call], CallOutcome] = answer_ok,
        order: Order | None = None,
        budget: Budget | None = None,
        executor_seed: int = 0,
        n_arms: int = 30,
        parallelism: int = 4,
        is_scaled: bool = False,
        clock: FakeClock | None = None,
        on_absorbed: Callable[[Coordinator], None] = lambda _: None,
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.executor = ShufflingExecutor(outcome, seed=executor_seed)
        self.search = ScriptedSearch(n_arms=n_arms)
        self.budget = budget or _budget()
        self.clock = clock or FakeClock()
        self.observer = Observer(PlainObjectives(is_scaled=is_scaled), (QUALITY,))
        self.coordinator = Coordinator(
            study=STUDY,
            optimizer=self.search,
            executor=self.executor,
            journal=self.journal,
            observer=self.observer,
            order=order or AsTheyCome(),
            budget=self.budget,
            bound_usd=lambda _configuration, _case: 0.02,
            clock=self.clock,
            parallelism=parallelism,
            on_absorbed=on_absorbed,
        )

    def run(self) -> StopReason | None:
        return drive(self.coordinator.rounds(), self.executor.collect)

    def resume(self, is_under_way: Callable[[CallKey], bool] = lambda _: False) -> tuple[Call, ...]:
        missing = replay(
            self.coordinator,
            self.journal.read(),
            fresh=lambda: ScriptedSearch(n_arms=30),
            observer=self.observer,
            budget=self.budget,
            is_under_way=is_under_way,
        )
        entries, event = unknown_entries(missing, at_s=0.0)
        if entries:
            self.journal.append(events=(event,), ledger=entries)
        return missing


def test_every_call_asked_for_is_told_exactly_once() -> None:
    bench = Bench()

    reason = bench.run()

    asked = [key for event in bench.journal.events if isinstance(event, Asked) for key in _keys(event)]
    told = [key for event in bench.journal.events if isinstance(event, Told) for key in event.keys]
    assert reason is StopReason.CERTAIN
    assert len(asked) >= 60
    assert sorted(asked) == sorted(told) == sorted(bench.journal.outcomes)
    assert len(bench.search.told) == len(asked)


def test_a_call_is_written_down_before_it_can_be_sent() -> None:
    journal = MemoryJournal()

    def outcome(call: Call) -> CallOutcome:
        asked = {key for event in journal.events if isinstance(event, Asked) for key in _keys(event)}
        assert call.key in asked
        return answer_ok(call)

    Bench(journal=journal, outcome=outcome).run()


def test_the_search_learns_only_what_is_durable() -> None:
    bench = Bench()
    bench.journal.appends_left = 9

    with pytest.raises(KeyboardInterrupt):
        bench.run()

    assert {(o.arm, o.case, o.repeat) for o in bench.search.told} <= set(bench.journal.outcomes)


@pytest.mark.parametrize("executor_seed", range(5))
def test_in_asked_order_the_history_does_not_depend_on_who_finishes_first(executor_seed: int) -> None:
    reference = Bench(order=AsAsked(), executor_seed=99)
    bench = Bench(order=AsAsked(), executor_seed=executor_seed)

    reference.run()
    bench.run()

    assert bench.journal.events == reference.journal.events


@pytest.mark.parametrize("n_appends", range(1, 60, 3))
def test_a_crash_at_any_write_repeats_no_finished_call_and_ends_the_same(n_appends: int) -> None:
    reference = Bench(order=AsAsked(), executor_seed=1)
    reference.run()
    crashed = Bench(order=AsAsked(), executor_seed=2)
    crashed.journal.appends_left = n_appends
    with pytest.raises(KeyboardInterrupt):
        crashed.run()
    crashed.journal.appends_left = 10**9
    finished_before = set(crashed.journal.outcomes)

    resumed = Bench(order=AsAsked(), executor_seed=3, journal=crashed.journal)
    missing = resumed.resume()
    resumed.run()

    assert not {call.key for call in resumed.executor.sent} & finished_before
    assert resumed.search.recommend() == reference.search.recommend()
    assert resumed.journal.outcomes == reference.journal.outcomes
    unknown = [entry for entry in resumed.journal.ledger if entry.kind == "unknown"]
    assert [entry.key for entry in unknown] == [call.key for call in missing]


def test_the_budgets_last_room_belongs_to_the_calls_that_workers_are_making() -> None:
    crashed = Bench(order=AsAsked())
    crashed.journal.appends_left = 20
    with pytest.raises(KeyboardInterrupt):
        crashed.run()
    crashed.journal.appends_left = 10**9
    under_way = Bench(order=AsAsked(), journal=crashed.journal).resume()[-1]
    n_attempts = sum(entry.n_attempts for entry in crashed.journal.ledger)

    resumed = Bench(order=AsAsked(), journal=crashed.journal, budget=_budget(calls=n_attempts + 1))
    resumed.resume(lambda key: key == under_way.key)
    resumed.run()

    assert resumed.executor.sent == [under_way]


@pytest.mark.parametrize("n_appends", [0, 1])
def test_a_bound_is_taken_back_in_the_transaction_that_settles_the_answer(n_appends: int) -> None:
    bench = Bench(parallelism=1)
    rounds = bench.coordinator.rounds()
    next(rounds)
    call = bench.executor._queued[0]
    bench.coordinator.account_for([Lost(call=call, n_attempts=1, usd=call.most_usd, task="demo:1.1")], [])
    rounds.send(())
    answer = replace(answer_ok(call), finished_at_s=7.0)
    before = list(bench.journal.ledger)

    bench.journal.appends_left = n_appends
    bench.coordinator.account_for([], [Late(outcome=answer, task="demo:1.1", is_accepted=True)])
    with suppress(KeyboardInterrupt):
        rounds.send([answer])

    booked = [(entry.kind, entry.usd) for entry in bench.journal.ledger[len(before) :]]
    assert booked == [("corrected", -call.most_usd), ("settled", answer.cost_usd)] * n_appends
    assert (call.key in bench.journal.outcomes) == bool(n_appends)


def test_what_an_outage_holds_back_is_paid_for_when_it_arrives_and_once() -> None:
    bench = Bench(parallelism=2)
    rounds = bench.coordinator.rounds()
    next(rounds)
    first, second = bench.executor._queued[:2]
    held = CallOutcome(
        call=first, kind=OutcomeKind.FAILED, n_attempts=4, cost_usd=0.08, is_passing=True, finished_at_s=7.0
    )
    bench.budget.reserve(0.02, n=3)  # its retries

    rounds.send([held])
    assert [(entry.n_attempts, entry.usd) for entry in bench.journal.ledger] == [(4, 0.08)]
    assert bench.journal.outcomes == {}
    rounds.send([answer_ok(second)])

    assert set(bench.journal.outcomes) == {first.key, second.key}
    assert [entry.usd for entry in bench.journal.ledger] == [0.08, answer_ok(second).cost_usd]
    assert bench.budget.calls == 5
    assert bench.budget.reserved_usd == pytest.approx(0.02 * bench.coordinator.n_in_flight)


def test_a_budget_of_calls_is_spent_to_the_last_and_not_beyond() -> None:
    bench = Bench(budget=_budget(calls=37))

    reason = bench.run()

    assert reason is StopReason.BUDGET_CALLS
    assert len(bench.executor.sent) == 37


def test_what_is_set_aside_is_spent_on_the_blocks_it_was_set_aside_for() -> None:
    bench = Bench(budget=_budget(calls=37))
    bench.budget.set_aside(calls=4, usd=0.0)
    reason = bench.run()
    bench.budget.give_back()

    drive(bench.coordinator.extra_rounds(_extra_blocks(4)), bench.executor.collect)

    assert reason is StopReason.BUDGET_CALLS
    assert len(bench.executor.sent) == 37
    assert sorted(call.key for call in bench.executor.sent[-4:]) == [(0, 100 + n, 0) for n in range(4)]


def test_a_crash_in_the_final_comparison_hides_none_of_the_searchs_own_calls() -> None:
    bench = Bench(budget=_budget(calls=37))
    bench.budget.set_aside(calls=4, usd=0.0)
    bench.coordinator.begin()
    bench.run()
    bench.budget.give_back()
    bench.journal.appends_left = 1
    with pytest.raises(KeyboardInterrupt):
        drive(bench.coordinator.extra_rounds(_extra_blocks(4)), bench.executor.collect)
    bench.journal.appends_left = 10**9

    hidden = Bench(budget=_budget(calls=37), journal=bench.journal).resume()

    assert [call.key for call in hidden] == [(0, 100 + n, 0) for n in range(4)]


def test_time_that_is_set_aside_ends_the_search_and_lets_other_blocks_be_run() -> None:
    clock = FakeClock()
    budget = Budget(clock=clock, time_s=60.0)
    budget.set_aside(calls=0, usd=0.0, time_s=lambda: 20.0)

    def outcome(call: Call) -> CallOutcome:
        clock.time_s += 1.0
        return answer_ok(call)

    bench = Bench(budget=budget, outcome=outcome)
    reason = bench.run()
    budget.give_back()
    n_before = len(bench.executor.sent)
    stopped = drive(bench.coordinator.extra_rounds(_extra_blocks(4)), bench.executor.collect)

    assert (reason, stopped) == (StopReason.BUDGET_TIME, None)
    assert len(bench.executor.sent) == n_before + 4


def test_a_search_learns_of_calls_that_waited_while_other_blocks_were_run() -> None:
    stopped = Bench(budget=_budget(calls=37))
    stopped.coordinator.finish(stopped.run())
    resumed = Bench(budget=_budget(calls=10**6), journal=stopped.journal)
    resumed.resume()

    drive(resumed.coordinator.extra_rounds(_extra_blocks(2)), resumed.executor.collect)
    n_before = len(resumed.executor.sent)
    reason = resumed.run()

    assert n_before == 2
    assert reason is StopReason.CERTAIN
    assert len(resumed.search.told) == len(resumed.journal.outcomes) - n_before


def test_what_a_budget_stopped_goes_on_with_a_larger_one() -> None:
    stopped = Bench(budget=_budget(calls=37))
    stopped.coordinator.finish(stopped.run())

    resumed = Bench(budget=_budget(calls=10**6), journal=stopped.journal)
    missing = resumed.resume()
    reason = resumed.run()

    assert missing == ()
    assert reason is StopReason.CERTAIN
    assert not {call.key for call in resumed.executor.sent} & {call.key for call in stopped.executor.sent}


def test_an_interrupt_sends_nothing_more_and_is_taken_up_without_unknown_calls() -> None:
    bench = Bench(n_arms=200)
    bench.coordinator.stop()

    reason = bench.run()
    bench.coordinator.finish(reason)

    assert reason is None
    assert bench.executor.sent == []


def test_a_deadline_stops_the_study() -> None:
    clock = FakeClock()
    budget = Budget(clock=clock, time_s=60.0)
    clock.time_s += 61.0

    bench = Bench(budget=budget)

    assert bench.run() is StopReason.BUDGET_TIME


def test_scales_are_fixed_once_from_the_baselines_own_calls() -> None:
    bench = Bench(is_scaled=True)

    bench.run()

    calibrations = [event for event in bench.journal.events if isinstance(event, Calibrated)]
    baseline = [answer_ok(call).metrics["quality"] for call in bench.executor.sent if call.arm == 0 and call.case < 2]
    assert [event.scales["quality"] for event in calibrations] == [pytest.approx(sum(baseline) / 2)]
    first_told = next(index for index, event in enumerate(bench.journal.events) if isinstance(event, Told))
    assert isinstance(bench.journal.events[first_told - 1], Calibrated)


def test_a_baseline_that_cannot_run_does_not_hold_up_the_study() -> None:
    def outcome(call: Call) -> CallOutcome:
        return replace(answer_ok(call), kind=OutcomeKind.INFEASIBLE, metrics={}) if call.arm == 0 else answer_ok(call)

    bench = Bench(is_scaled=True, outcome=outcome)

    assert bench.run() is StopReason.CERTAIN
    assert any(isinstance(event, Calibrated) for event in bench.journal.events)


def test_an_api_that_answers_nothing_stops_the_study_with_its_error() -> None:
    def outcome(call: Call) -> CallOutcome:
        return CallOutcome(
            call=call, kind=OutcomeKind.FAILED, n_attempts=4, error="connection refused", is_passing=True
        )

    bench = Bench(outcome=outcome, n_arms=500)

    assert bench.run() is StopReason.PROVIDER
    assert bench.coordinator.last_error == "connection refused"
    assert len(bench.executor.sent) < 40


def test_calls_that_got_no_answer_in_an_outage_are_made_again_on_resume() -> None:
    n_before_outage = 30

    def outcome(call: Call) -> CallOutcome:
        nonlocal n_before_outage
        n_before_outage -= 1
        if n_before_outage < 0:
            return CallOutcome(call=call, kind=OutcomeKind.FAILED, n_attempts=4, error="HTTP 503", is_passing=True)
        return answer_ok(call)

    stopped = Bench(outcome=outcome, n_arms=100)
    stopped.coordinator.finish(stopped.run())
    n_before_outage = 10**6
    resumed = Bench(outcome=outcome, n_arms=100, journal=stopped.journal)
    resumed.resume()
    reason = resumed.run()

    assert reason is StopReason.CERTAIN
    assert len(resumed.journal.outcomes) >= 200
    assert {o.kind for o in resumed.journal.outcomes.values()} == {OutcomeKind.OK}


def test_a_single_call_without_an_answer_is_final_once_another_has_one() -> None:
    def outcome(call: Call) -> CallOutcome:
        is_bad = call.arm == 3 and call.case == 0
        failed = CallOutcome(call=call, kind=OutcomeKind.FAILED, n_attempts=4, error="timeout", is_passing=True)
        return failed if is_bad else answer_ok(call)

    bench = Bench(outcome=outcome)

    assert bench.run() is StopReason.CERTAIN
    assert [o.call.key for o in bench.journal.outcomes.values() if o.kind is OutcomeKind.FAILED] == [(3, 0, 0)]


def test_a_provider_out_of_money_stops_the_study_and_its_call_is_made_again_on_resume() -> None:
    def outcome(call: Call) -> CallOutcome:
        if len(bench.executor.sent) < 20:
            return answer_ok(call)
        return CallOutcome(call=call, kind=OutcomeKind.FAILED, n_attempts=1, error="no credit", halts=True)

    bench = Bench(outcome=outcome)

    reason = bench.run()

    assert reason is StopReason.PROVIDER
    assert bench.coordinator.last_error == "no credit"
    assert all(o.kind is OutcomeKind.OK for o in bench.journal.outcomes.values())


def test_attempts_of_a_call_that_the_provider_stopped_are_paid_for_although_it_is_made_again() -> None:
    def outcome(call: Call) -> CallOutcome:
        if len(bench.executor.sent) < 20:
            return answer_ok(call)
        return CallOutcome(
            call=call, kind=OutcomeKind.FAILED, n_attempts=3, cost_usd=0.04, error="no credit", halts=True
        )

    bench = Bench(outcome=outcome)
    bench.run()

    halted = [entry for entry in bench.journal.ledger if entry.key not in bench.journal.outcomes]
    assert {(entry.n_attempts, entry.usd) for entry in halted} == {(3, 0.04)}
    assert bench.budget.calls == sum(entry.n_attempts for entry in bench.journal.ledger)
    assert bench.budget.spent_usd == pytest.approx(sum(entry.usd or 0.0 for entry in bench.journal.ledger))
    assert bench.budget.reserved_usd == 0.0


def test_attempts_that_were_never_sent_leave_their_room_in_the_budget() -> None:
    budget = _budget(calls=40)

    def outcome(call: Call) -> CallOutcome:
        is_retry = budget.reserve()
        return replace(answer_ok(call), n_attempts=1, n_unsent=int(is_retry))

    bench = Bench(budget=budget, outcome=outcome, parallelism=1)
    bench.run()

    assert (len(bench.executor.sent), budget.calls) == (40, 40)
    assert budget.reserved_usd == 0.0


@pytest.mark.parametrize("n_same", [0, 5])
def test_a_search_that_decides_otherwise_takes_over_what_was_decided_and_goes_on(n_same: int) -> None:
    stopped = Bench(budget=_budget(calls=20))
    stopped.coordinator.finish(stopped.run())
    changed = Bench(journal=stopped.journal)
    original = changed.search.ask

    def ask() -> Block | StopReason | None:
        changed.search._block_size = 2 if changed.search._next_arm < n_same else 3
        return original()

    changed.search.ask = ask  # type: ignore[method-assign]
    paid = set(stopped.journal.outcomes)

    changed.resume()
    reason = changed.run()

    asked = [key for event in changed.journal.events if isinstance(event, Asked) for key in _keys(event)]
    assert reason is StopReason.CERTAIN
    assert len(asked) == len(set(asked)) >= 60
    assert sorted(asked) == sorted(changed.journal.outcomes)
    assert not {call.key for call in changed.executor.sent} & paid
    assert len(changed.coordinator.optimizer.recommend(full=True).arms) == 30


def test_a_journal_of_another_study_is_refused() -> None:
    stopped = Bench(budget=_budget(calls=10))
    stopped.coordinator.finish(stopped.run())
    first = next(k for k, event in enumerate(stopped.journal.events) if isinstance(event, Asked))
    del stopped.journal.events[first]

    with pytest.raises(
        Conflict, match=r"arm 1 .* comes before arm 0 was asked for; it was not written by this program"
    ):
        Bench(journal=stopped.journal).resume()


def test_every_arm_ends_as_a_record_with_its_posterior_score() -> None:
    bench = Bench()

    bench.coordinator.finish(bench.run())

    assert sorted(bench.journal.arms) == list(range(30))
    assert all(record.is_final and record.score is not None for record in bench.journal.arms.values())


def test_the_trajectory_is_the_same_after_a_replay() -> None:
    bench = Bench()
    bench.coordinator.finish(bench.run())

    replayed = Bench(journal=bench.journal)
    replayed.resume()

    assert replayed.coordinator.trajectory.points == bench.coordinator.trajectory.points
    assert len(replayed.coordinator.trajectory.points) > 3


def _keys(event: Asked) -> list[tuple[int, int, int]]:
    return [(event.block.arm, case, event.block.repeat) for case in event.block.cases]


def test_after_a_fault_of_ours_what_is_on_the_wire_is_still_written_down() -> None:
    def fail(coordinator: Coordinator) -> None:
        if coordinator.accounts.n_calls > 10:
            raise BrokenPipeError

    bench = Bench(n_arms=100, on_absorbed=fail)

    with pytest.raises(BrokenPipeError):
        bench.run()
    bench.coordinator.drain(60.0)

    assert bench.coordinator.n_in_flight == 0
    assert {call.key for call in bench.executor.sent} == set(bench.journal.outcomes)


def test_a_study_that_is_taken_up_has_the_time_that_its_earlier_sittings_left() -> None:
    clock = FakeClock()
    first = Bench(budget=_budget(calls=10), clock=clock)
    first.coordinator.begin()
    reason = first.run()
    clock.time_s += 40.0
    first.coordinator.finish(reason)
    clock.time_s += 50.0

    second = Bench(budget=Budget(clock=clock, time_s=60.0), journal=first.journal, clock=clock)
    second.resume()
    second.coordinator.begin()
    clock.time_s += 5.0

    assert second.budget.remaining.time_s == 15.0
    assert second.coordinator.sittings.active_s == 45.0


def test_a_crash_in_a_sitting_that_only_made_calls_again_hides_them() -> None:
    stopped = Bench(budget=_budget(calls=37))
    stopped.coordinator.begin()
    stopped.coordinator.finish(stopped.run())
    crashed = Bench(journal=stopped.journal)
    missing = crashed.resume()
    crashed.coordinator.begin()

    assert missing == ()
    assert Bench(journal=stopped.journal).resume() != ()


def _extra_blocks(n: int) -> list[Block]:
    return [Block(arm=ArmId(0), configuration={"x": 0}, cases=(100 + index,), operator=HOLDOUT) for index in range(n)]


def test_a_study_none_of_whose_answers_can_be_scored_ends_before_its_budget() -> None:
    def outcome(call: Call) -> CallOutcome:
        return CallOutcome(call=call, kind=OutcomeKind.FAILED, n_attempts=1, error="KeyError: 'text'", latency_s=0.1)

    bench = Bench(outcome=outcome, n_arms=300, budget=_budget(calls=1000))

    reason = bench.run()

    assert reason is StopReason.NO_FEASIBLE
    assert 40 <= len(bench.journal.outcomes) < 60
