"""The coordinator of a cluster: one loop that takes results, works on every study, and sends what they ask for."""

import gc
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TypeAlias

import structlog

from convergence_cluster.bootstrap.continuing import stored_study
from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.leadership import Leadership
from convergence_cluster.bootstrap.progress_text import dump_failure, dump_progress
from convergence_cluster.bootstrap.recording import me
from convergence_cluster.bootstrap.runner import cost_bound
from convergence_cluster.bootstrap.seat import Seat, unguarded
from convergence_cluster.bootstrap.sitting import Sitting, StudySitting
from convergence_cluster.bootstrap.traces import open_traces
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.dispatch.celery_app import CeleryPublisher, build_app
from convergence_cluster.dispatch.connections import BrokerAway, Names, connect
from convergence_cluster.dispatch.coordinator_board import CoordinatorBoard
from convergence_cluster.dispatch.dispatcher import Dispatcher
from convergence_cluster.dispatch.wire import Task
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError, LeaseLost, StorageError
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.settings import Settings
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.studies import Studies, StudyState
from convergence_cluster.storage.submissions import CANCEL, Submission, Submissions

log = structlog.get_logger()

Guard: TypeAlias = Callable[[Coordinator], AbstractContextManager[None]]

_INTAKE_S = 0.5
_SHOW_S = 1.0
_RECEIVE_S = 0.1
_AWAY_S = 0.5
_STANDBY_S = 1.0
_PAUSE_S = 2.0


class ClusterCoordinator:
    """`run` blocks until `stop`; studies that are at work then go on with the next coordinator."""

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], clock: Clock) -> None:
        if settings.broker_url is None:
            raise ConvergenceError("a coordinator needs CONVERGENCE_BROKER_URL, the Redis of the cluster")
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._redis = connect(settings.broker_url, sentinel_master=settings.sentinel_master)
        self._app = build_app(settings.broker_url, queue=settings.queue, sentinel_master=settings.sentinel_master)
        self._traces = open_traces(settings.traces)
        self._stopping = threading.Event()
        self.on_turn: Callable[[Term | None], None] = lambda _: None
        """Called after every turn of the loop, with what is at work while this coordinator leads."""
        self.guard: Guard = unguarded
        """Entered while a study is at work."""

    def stop(self) -> None:
        """Send nothing more and return from `run`. From any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Lead whenever nobody else does; a fault of database or broker pauses the work and loses none."""
        while not self._stopping.is_set():
            try:
                self._lead_once()
            except (StorageError, BrokerAway) as error:
                log.error("coordinator.paused", reason=str(error))  # noqa: TRY400 - the reason says all
                self.on_turn(None)
                self._stopping.wait(_PAUSE_S)
            except LeaseLost:
                log.warning("coordinator.replaced")
                self._stopping.wait(_STANDBY_S)

    def _lead_once(self) -> None:
        database = open_database(self._settings.database_url)
        try:
            leadership = Leadership(database, queue=self._settings.queue, holder=me(), clock=self._clock)
            token = leadership.try_claim()
            while token is None:
                self.on_turn(None)
                if self._stopping.wait(_STANDBY_S):
                    return
                token = leadership.try_claim()
            log.info("coordinator.leads", token=token)
            with leadership.kept(token):
                term = self._term(database, leadership, token)
                try:
                    term.serve(self._stopping, self.on_turn)
                finally:
                    term.leave()
        finally:
            database.close()

    def _headers(self, task: Task) -> Mapping[str, str]:
        return self._traces.headers(task.study, task.id, attempt=task.attempt, n_calls=len(task.calls))

    def _term(self, database: Database, leadership: Leadership, token: int) -> "Term":
        names = Names(queue=self._settings.queue)
        board = CoordinatorBoard(self._redis, names, token=token)
        publisher = CeleryPublisher(self._app, self._redis, queue=self._settings.queue, headers=self._headers)
        dispatcher = Dispatcher(board=board, publisher=publisher, clock=self._clock, lease_s=self._settings.lease_s)
        return Term(
            database,
            dispatcher,
            leadership=leadership,
            token=token,
            settings=self._settings,
            environ=self._environ,
            clock=self._clock,
            guard=self.guard,
        )


class Term:
    """The work of one leadership. For one thread."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        *,
        leadership: Leadership,
        token: int,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        guard: Guard,
    ) -> None:
        self.dispatcher = dispatcher
        self.n_alive: dict[StudyId, int] = {}
        """Configurations still in the race, of each study at work."""
        self._guard = guard
        self.seats: dict[StudyId, Seat] = {}
        self._database = database
        self._studies = Studies(database)
        self._submissions = Submissions(database)
        self._leadership = leadership
        self._token = token
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._shown: dict[StudyId, str] = {}
        self._looked_s = self._told_s = -1e9

    def serve(self, stopping: threading.Event, on_turn: Callable[["Term | None"], None]) -> None:
        """Work until told to stop, or until another coordinator leads.

        Raises:
            LeaseLost: it does.
            StorageError: the database does not answer; what is not written down is taken up again later.
        """
        self._begin()
        while not stopping.is_set():
            self._leadership.check()
            try:
                self.dispatcher.receive(_RECEIVE_S)
                self._leadership.check()  # most of a turn is this wait: who is frozen, is frozen here
                self._work()
                self.dispatcher.settle()
                self.dispatcher.reap()
                self._work()
                self.dispatcher.send()
                stopping.wait(self.dispatcher.linger_s)
            except BrokerAway as error:
                log.warning("broker.away", reason=str(error))
                self._work()
                stopping.wait(_AWAY_S)
            self._look()
            self._tell()
            on_turn(self)

    def leave(self) -> None:
        """Leave every study where it is."""
        for seat in self.seats.values():
            with suppress(ConvergenceError):
                seat.leave()
        self.seats.clear()

    def _begin(self) -> None:
        """Fence off earlier coordinators, take up all studies, then the results that were taken and not dropped."""
        self.dispatcher.board.lead()
        self._look()
        while self.dispatcher.receive(0.0, again=True):
            self._work()
            self.dispatcher.settle()

    def _work(self) -> None:
        """Work a round on every study that is due; once this returns, all that was received is durable."""
        for seat in list(self.seats.values()):
            if seat.is_due:
                self._guarded(seat, seat.step)

    def _look(self) -> None:
        """Take up new studies, and do what is asked of those at work."""
        if self._clock.monotonic_s() - self._looked_s < _INTAKE_S:
            return
        self._looked_s = self._clock.monotonic_s()
        for submission in self._submissions.open():
            seat = self.seats.get(submission.study)
            if submission.request == CANCEL:
                self._cancel(submission, seat)
            elif seat is None and submission.state in {StudyState.QUEUED, StudyState.RUNNING}:
                self._take_up(submission.study)

    def _cancel(self, submission: Submission, seat: Seat | None) -> None:
        """Cancel a study; what was asked stays written until it has ended, for whoever may go on with it."""
        if seat is not None:
            seat.cancel()
            return
        if submission.state in {StudyState.QUEUED, StudyState.RUNNING, StudyState.INTERRUPTED}:
            self._studies.set_state(submission.study, StudyState.CANCELLED, now_s=self._clock.now_s())
        self._submissions.ask(submission.study, None)

    def _take_up(self, study: StudyId) -> None:
        record = self._studies.get(study)
        seat = Seat(record, token=self._token, clock=self._clock, on_queue=self.dispatcher.open)
        self.seats[study] = seat
        log.info("study.taken_up", study=study, state=record.state.value)

        def begin() -> Sitting | None:
            loaded = stored_study(record)
            bound = cost_bound(loaded, environ=self._environ, clock=self._clock)
            bound.check()
            return seat.begin(
                StudySitting(
                    self._database,
                    record,
                    loaded,
                    settings=self._settings,
                    clock=self._clock,
                    bound=bound,
                    holder=me(),
                    open_executor=seat.open_executor,
                    listener=lambda progress: self._note(study, progress),
                    guard=self._guard,
                    is_under_way=lambda key: seat.queue is not None and seat.queue.carries(key),
                    is_shared=True,
                    is_resumed=record.state is StudyState.RUNNING,
                )
            )

        self._guarded(seat, begin)

    def _guarded(self, seat: Seat, work: Callable[[], Sitting | None]) -> None:
        """Work on one study; what goes wrong with it ends it alone."""
        try:
            sitting = work()
        except (StorageError, BrokerAway, LeaseLost):
            raise
        except Exception as error:
            log.exception("study.broke", study=seat.study)
            self._fail(seat, str(error) if isinstance(error, ConvergenceError) else f"{type(error).__name__}: {error}")
        else:
            if sitting is not None:
                self._end(seat, sitting)

    def count_studies(self) -> dict[str, int]:
        """Return how many studies of the cluster are in each state."""
        return self._submissions.counts()

    def _note(self, study: StudyId, progress: Progress) -> None:
        self._shown[study] = dump_progress(progress)
        self.n_alive[study] = progress.recommendation.n_alive

    def _end(self, seat: Seat, sitting: Sitting) -> None:
        self._stand_up(seat)
        if sitting.last_error is not None:
            self._shown[seat.study] = dump_failure(f"the API refuses every further call: {sitting.last_error}")
        log.info("study.ended", study=seat.study)

    def _stand_up(self, seat: Seat) -> None:
        del self.seats[seat.study]
        self.n_alive.pop(seat.study, None)
        gc.collect()  # a study's parts refer to each other and hold all its calls; on its own Python looks seldom

    def _fail(self, seat: Seat, message: str) -> None:
        self._stand_up(seat)
        with suppress(ConvergenceError):
            seat.leave()
        if seat.queue is not None:
            seat.queue.close()
        self._shown[seat.study] = dump_failure(message)
        self._studies.set_state(seat.study, StudyState.INTERRUPTED, now_s=self._clock.now_s())

    def _tell(self) -> None:
        """Let everybody who watches see how far the studies are."""
        if not self._shown or self._clock.monotonic_s() - self._told_s < _SHOW_S:
            return
        shown, self._shown = self._shown, {}
        self._submissions.show_all(shown, now_s=self._clock.now_s())
        self._told_s = self._clock.monotonic_s()
