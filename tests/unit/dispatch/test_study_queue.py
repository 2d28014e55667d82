"""The calls of one study between its coordinator and the workers."""

from collections.abc import Sequence
from dataclasses import replace

from convergence_cluster.dispatch.coordinator_board import Registration
from convergence_cluster.dispatch.pace import Pace
from convergence_cluster.dispatch.study_queue import MAX_STARTS, StudyQueue
from convergence_cluster.dispatch.wire import Report, Task
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId, StudyId

STUDY = StudyId("demo")


def queue(parallelism: int = 100) -> StudyQueue:
    return StudyQueue(study=STUDY, digest="d", content="{}", pace=Pace(parallelism=parallelism), priority=3, token=1)


def calls(n: int, *, arm: int = 0) -> list[Call]:
    return [
        Call(study=STUDY, arm=ArmId(arm), case=case, repeat=0, configuration={"x": 1}, reserved_usd=0.5)
        for case in range(n)
    ]


def answer(call: Call, *, latency_s: float = 1.0, n_attempts: int = 1, at_s: float = 9.0) -> CallOutcome:
    return CallOutcome(
        call=replace(call, configuration={}),
        kind=OutcomeKind.OK,
        metrics={"quality": 1.0},
        n_attempts=n_attempts,
        cost_usd=0.1,
        latency_s=latency_s,
        finished_at_s=at_s,
    )


def report(task: Task, *outcomes: CallOutcome, is_done: bool = False) -> Report:
    return Report(task=task.id, attempt=task.attempt, study=STUDY, worker="w", outcomes=outcomes, is_done=is_done)


def sent(waiting: StudyQueue, n: int) -> list[Task]:
    waiting.submit(calls(n))
    return waiting.take(n, 0.0)


def sent_twice(waiting: StudyQueue) -> tuple[Task, Task]:
    """Send a call, give it up and send it again."""
    (task,) = sent(waiting, 1)
    waiting.give_up(task.id, was_begun=True)
    waiting.submit([waiting.lost.pop().call])
    (again,) = waiting.take(1, 0.0)
    return task, again


def test_no_more_calls_than_workers_asked_for_are_under_way() -> None:
    study = queue(parallelism=4)
    study.submit(calls(6))

    assert study.n_ready == 4
    tasks = study.take(4, 0.0)
    assert study.n_ready == 0
    study.deliver(report(tasks[0], answer(tasks[0].calls[0]), is_done=True))
    assert study.n_ready == 1
    assert study.n_under_way == 3


def test_an_answer_carries_the_call_as_it_was_asked() -> None:
    study = queue()
    (task,) = sent(study, 1)

    study.deliver(report(task, answer(task.calls[0]), is_done=True))

    (outcome,) = study.collect(0.0)
    assert outcome.call == task.calls[0]
    assert study.finished_tasks() == [task.id]
    assert study.finished_tasks() == []


def test_slow_calls_travel_alone_and_quick_ones_together() -> None:
    slow, quick = queue(), queue()
    for study, latency_s in ((slow, 1.0), (quick, 0.05)):
        (task,) = sent(study, 1)
        study.deliver(report(task, answer(task.calls[0], latency_s=latency_s), is_done=True))
        study.submit(calls(40, arm=1))

    assert [len(task.calls) for task in slow.take(40, 0.0)] == [1] * 40
    assert [len(task.calls) for task in quick.take(40, 0.0)] == [20] * 2


def test_a_call_whose_worker_died_comes_back_with_what_it_may_have_cost() -> None:
    study = queue()
    (task,) = sent(study, 1)

    study.give_up(task.id, was_begun=True)

    (lost,) = study.lost
    assert (lost.call, lost.n_attempts, lost.usd) == (task.calls[0], 1, 0.5)
    assert study.n_under_way == 0
    assert study.finished_tasks() == [task.id]


def test_what_was_set_aside_for_attempts_that_were_never_sent_is_given_back_with_their_call() -> None:
    study = queue()
    (task,) = sent(study, 1)
    skipped = CallOutcome(call=task.calls[0], kind=OutcomeKind.SKIPPED, n_attempts=1, n_unsent=2, finished_at_s=9.0)

    study.deliver(report(task, skipped, is_done=True))

    assert [(lost.task, lost.returned) for lost in study.lost] == [(task.id, skipped)]


def test_retries_of_a_dead_worker_are_counted_once() -> None:
    study = queue()
    first, second = calls(2)
    study.submit([first])
    task = study.take(1, 0.0)[0]
    study.tasks[task.id].calls[second.key] = second
    study._under_way[second.key] = task.id
    study.deliver(report(task, answer(first, n_attempts=3)))

    study.give_up(task.id, was_begun=True, n_extra=3)

    (lost,) = study.lost
    assert (lost.n_attempts, lost.usd) == (2, 1.0)


def test_a_zombies_answer_counts_if_it_is_the_first_and_says_whose_bound_is_too_much() -> None:
    study = queue()
    task, again = sent_twice(study)

    study.deliver(report(task, answer(task.calls[0])))
    study.deliver(report(again, answer(again.calls[0], at_s=11.0), is_done=True))

    assert [outcome.finished_at_s for outcome in study.collect(0.0)] == [9.0]
    assert [(late.task, late.is_accepted) for late in study.late] == [(task.id, True), (again.id, False)]


def test_a_zombies_answer_after_another_only_costs() -> None:
    study = queue()
    task, again = sent_twice(study)
    study.deliver(report(again, answer(again.calls[0]), is_done=True))
    study.collect(0.0)

    study.deliver(report(task, answer(task.calls[0], at_s=12.0), is_done=True))

    assert study.collect(0.0) == []
    assert [(late.task, late.is_accepted) for late in study.late] == [(task.id, False)]


def test_the_first_answer_to_what_an_earlier_coordinator_sent_may_be_to_what_it_gave_up() -> None:
    first, second = queue(), queue()
    (task,) = sent(first, 1)
    second.adopt([Registration(task=task.id, attempt=1, calls={task.calls[0].key: 0.5})], 0.0)
    second.submit(task.calls)

    second.deliver(report(task, answer(task.calls[0]), is_done=True))

    assert len(second.collect(0.0)) == 1
    assert [(late.task, late.is_accepted) for late in second.late] == [(task.id, True)]


def test_a_judges_work_counts_though_no_attempt_was_made() -> None:
    study = queue()
    task, again = sent_twice(study)
    judged = replace(answer(task.calls[0], n_attempts=0), cost_usd=None, scoring_usd=0.5)

    study.deliver(report(task, judged))
    study.deliver(report(again, replace(judged, finished_at_s=11.0), is_done=True))

    assert [(late.task, late.outcome.scoring_usd) for late in study.late] == [(task.id, 0.5), (again.id, 0.5)]


def test_an_answer_that_comes_again_changes_nothing() -> None:
    study = queue()
    (task,) = sent(study, 1)
    once = report(task, answer(task.calls[0]))

    study.deliver(once)
    study.deliver(once)

    assert len(study.collect(0.0)) == 1
    assert study.late == []


def test_a_skipped_call_of_the_present_task_comes_back_and_of_an_old_one_is_nothing() -> None:
    study = queue()
    (task,) = sent(study, 1)
    skipped = CallOutcome(call=task.calls[0], kind=OutcomeKind.SKIPPED)

    study.deliver(report(task, skipped, is_done=True))
    assert [lost.n_attempts for lost in study.lost] == [0]
    study.submit([study.lost.pop().call])
    study.take(1, 0.0)
    study.deliver(report(task, skipped, is_done=True))

    assert study.lost == []
    assert study.late == []
    assert study.n_under_way == 1


def test_after_a_loss_each_call_travels_alone_and_suspects_one_after_another_until_they_are_given_up() -> None:
    study = queue()
    (task,) = sent(study, 1)
    study.deliver(report(task, answer(task.calls[0], latency_s=0.01), is_done=True))
    study.submit(calls(3, arm=1))
    (batch,) = study.take(3, 0.0)
    study.collect(0.0)

    once = lose(study, [batch])
    twice = lose(study, once)
    n_ready = study.n_ready
    thrice = lose(study, twice)
    study.deliver(report(thrice[0], answer(thrice[0].calls[0]), is_done=True))
    (last,) = lose(study, [])
    lose(study, [last])

    assert [len(tasks) for tasks in (once, twice, thrice)] == [3, 1, 1]
    assert n_ready == 0
    first, second, third = study.collect(0.0)
    assert [outcome.kind for outcome in (first, second, third)] == [
        OutcomeKind.FAILED,
        OutcomeKind.OK,
        OutcomeKind.FAILED,
    ]
    assert first.n_attempts == 0
    assert "3 workers died with this call" in str(first.error)


def lose(study: StudyQueue, tasks: Sequence[Task]) -> list[Task]:
    """Let the workers of some tasks die; return what is sent in their place."""
    for task in tasks:
        study.give_up(task.id, was_begun=True)
    lost, study.lost = study.lost, []
    study.submit([each.call for each in lost])
    return study.take(study.n_ready, 0.0)


def test_a_call_of_a_finished_task_of_which_nothing_was_told_may_have_been_paid_for() -> None:
    study = queue()
    (task,) = sent(study, 1)

    study.deliver(report(task, is_done=True))
    study.deliver(report(task, answer(task.calls[0])))

    (lost,) = study.lost
    assert (lost.n_attempts, lost.usd) == (1, 0.5)
    assert [(late.task, late.is_accepted) for late in study.late] == [(task.id, False)]


def test_a_task_that_redis_forgot_is_no_start() -> None:
    study = queue()
    (task,) = sent(study, 1)

    for _ in range(MAX_STARTS + 1):
        study.give_up(task.id, was_begun=True, is_start=False)
        study.submit([study.lost.pop().call])
        (task,) = study.take(1, 0.0)

    assert study.collect(0.0) == []


def test_a_task_nobody_began_is_sent_anew_without_a_start() -> None:
    study = queue()
    (task,) = sent(study, 1)

    again = study.resend(task.id, 1.0)

    assert again.id != task.id
    assert again.attempt == 1
    assert study.n_under_way == 1
    assert study.lost == []


def test_what_an_earlier_coordinator_sent_is_taken_over_and_not_sent_again() -> None:
    study = queue()
    first, second, third = calls(3)
    study.adopt([Registration(task="demo:0.1", attempt=1, calls={first.key: 0.5, second.key: 0.5})], 0.0)
    assert study.carries(first.key)
    assert not study.carries(third.key)

    study.submit([first, second, third])

    assert list(study.waiting) == [third]
    assert study.n_under_way == 2
    assert study.finished_tasks() == []
    old = Task(id="demo:0.1", study=STUDY, digest="d", attempt=1, calls=(first, second))
    study.deliver(report(old, answer(first), answer(second), is_done=True))
    assert {outcome.call.key for outcome in study.collect(0.0)} == {first.key, second.key}
    assert study.finished_tasks() == ["demo:0.1"]


def test_cancelling_returns_what_was_not_sent_at_once_and_what_was_revoked_later() -> None:
    study = queue(parallelism=1)
    study.submit(calls(3))
    (task,) = study.take(1, 0.0)

    study.cancel()
    assert [outcome.kind for outcome in study.collect(0.0)] == [OutcomeKind.SKIPPED] * 2
    study.revoked(task.id)

    assert [outcome.kind for outcome in study.collect(0.0)] == [OutcomeKind.SKIPPED]
    assert study.n_under_way == 0
