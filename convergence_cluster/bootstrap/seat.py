"""A study at the coordinator of a cluster: its sitting, its queue, and the money of calls that went astray."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import structlog

from convergence_cluster.bootstrap.sitting import Sitting, SittingRounds, StudySitting
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.rounds import POLL_S
from convergence_cluster.dispatch.allowance import Allowance
from convergence_cluster.dispatch.celery_app import PRIORITIES
from convergence_cluster.dispatch.pace import Pace
from convergence_cluster.dispatch.study_queue import StudyQueue
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import StudyId, digest
from convergence_cluster.metering.budget import Budget
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack
from convergence_cluster.storage.studies import StudyRecord

log = structlog.get_logger()


@contextmanager
def unguarded(_coordinator: Coordinator) -> Iterator[None]:
    """Do nothing: signals and faults are the cluster coordinator's, which goes on with the study later."""
    yield


class Seat:
    """For one thread."""

    def __init__(
        self, record: StudyRecord, *, token: int, clock: Clock, on_queue: Callable[[StudyQueue], None]
    ) -> None:
        self.study: StudyId = record.id
        self.sitting: StudySitting | None = None
        self.queue: StudyQueue | None = None
        self.account = ""
        """Whose limits the study's calls are under: studies of one account share them."""
        self._record = record
        self._token = token
        self._clock = clock
        self._on_queue = on_queue
        self._rounds: SittingRounds | None = None
        self._stepped_s = 0.0

    def open_executor(self, study: LoadedStudy, budget: Budget) -> StudyQueue:
        """Return the study's queue, which has taken over what an earlier coordinator sent."""
        api = study.spec.api
        self.account = " ".join([urlsplit(api.endpoint or "").netloc, *api.auth.environment_names()])
        parallelism = study.spec.optimization.execution.parallel_workers
        document = pack(study)
        content = json.dumps(document)
        self.queue = StudyQueue(
            study=self.study,
            digest=digest(json.loads(content)),
            content=content,
            pace=Pace(parallelism=parallelism, rpm=api.rate.rpm, concurrency=api.rate.concurrency),
            priority=PRIORITIES[self._record.priority.value],
            token=self._token,
            allowance=Allowance(
                study=self.study,
                budget=budget,
                parallelism=parallelism,
                clock=self._clock,
            ),
        )
        self._on_queue(self.queue)
        return self.queue

    @property
    def n_wanted(self) -> int:
        """Count the calls that the study could have on the wire now; its budget has room for them."""
        queue = self.queue
        return 0 if queue is None else min(queue.pace.parallelism, queue.n_under_way + len(queue.waiting))

    @property
    def max_slots(self) -> float:
        """Return how many calls on the wire the provider's stated limits can keep busy."""
        return math.inf if self.queue is None else self.queue.pace.n_busy

    def begin(self, sitting: StudySitting) -> Sitting | None:
        """Bring the study to where its journal ends and begin its first round; return what came of it if it ends."""
        self.sitting = sitting
        self._rounds = sitting.rounds()
        return self._advance(next)

    @property
    def is_due(self) -> bool:
        """Say whether there is something to do."""
        queue = self.queue
        return (queue is not None and queue.has_news) or self._clock.monotonic_s() - self._stepped_s >= POLL_S

    def step(self) -> Sitting | None:
        """Work a round on the study; return what came of it when it ends."""
        assert self.queue is not None
        self._book_losses(self.queue)
        arrived = self.queue.collect(0.0)
        return self._advance(lambda rounds: rounds.send(arrived))

    def cancel(self) -> None:
        """Send nothing more; the study ends when its calls under way have."""
        if self.sitting is not None:
            self.sitting.cancel()

    def leave(self) -> None:
        """Stop working on the study where it is; it is for another to go on."""
        if self._rounds is not None:
            self._rounds.close()

    def _advance(self, move: Callable[[SittingRounds], None]) -> Sitting | None:
        assert self._rounds is not None
        self._stepped_s = self._clock.monotonic_s()
        try:
            move(self._rounds)
        except StopIteration as end:
            ended: Sitting = end.value
            return ended
        return None

    def _book_losses(self, queue: StudyQueue) -> None:
        """Write down what calls cost that came back, came late, or came twice."""
        if not (queue.lost or queue.late):
            return
        assert self.sitting is not None
        assert self.sitting.coordinator is not None
        self.sitting.coordinator.account_for(queue.lost, queue.late)
        queue.lost, queue.late = [], []
