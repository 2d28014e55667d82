"""What a coordinator's metrics are fed with: a look every second, and what studies tell as they go."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from convergence_cluster.bootstrap.cluster import Term
from convergence_cluster.bootstrap.seat import Seat
from convergence_cluster.coordinator.accounts import Accounts
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.dispatch.celery_app import PRIORITIES
from convergence_cluster.dispatch.connections import BrokerAway
from convergence_cluster.dispatch.dispatcher import Dispatcher
from convergence_cluster.domain.calls import CallOutcome, OutcomeKind
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import Block, Incumbent, Observation, Recommendation, StopReason
from convergence_cluster.metrics import Values

_LOOK_S = 1.0
_COUNT_S = 5.0
_COUNTERS = ("results", "lease_losses", "tasks_resent")


@dataclass(kw_only=True)
class ClusterMeasures:
    """Fed by the coordinator's thread; `values` may be read by another."""

    clock: Clock
    on_decided: Callable[[float], None] = lambda _: None
    values: Values = field(default_factory=lambda: {"convergence_leader": 0.0})
    _outcomes: Counter[str] = field(default_factory=lambda: Counter({kind.value: 0 for kind in OutcomeKind}))
    _watched: dict[int, "tuple[Accounts, float]"] = field(default_factory=dict)
    """Accounts of the studies at work, each with what it had spent when last looked at."""
    _spent_usd: float = 0.0
    _shown_usd: float = 0.0
    _dispatcher: Dispatcher | None = None
    _seen: Counter[str] = field(default_factory=Counter)
    _totals: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTERS, 0)))
    _looked_s: float = -_LOOK_S
    _counted_s: float = -_COUNT_S
    _studies: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    @contextmanager
    def watching(self, coordinator: Coordinator) -> Iterator[None]:
        """Count what a study does from here on; what earlier sittings did was counted then."""
        coordinator.optimizer = _Timed(coordinator.optimizer, self.clock, self.on_decided)
        coordinator.on_booked = self._count
        self._watched[id(coordinator)] = (coordinator.accounts, coordinator.accounts.spent_usd)
        try:
            yield
        finally:
            self._look_at_money()
            del self._watched[id(coordinator)]

    def turn(self, term: Term | None) -> None:
        """Look how things are, at most once a second; None: another coordinator leads, or none can."""
        now_s = self.clock.monotonic_s()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if term is None:
            self._dispatcher = None
            self.values = {"convergence_leader": 0.0, **self._counted()}
            return
        self._look_at_money()
        self._look_at_counters(term.dispatcher)
        if now_s - self._counted_s >= _COUNT_S:
            self._counted_s = now_s
            self._studies = {(state,): float(n) for state, n in term.count_studies().items()}
        self.values = {"convergence_leader": 1.0, **self._counted(), **_depths(term.dispatcher), **self._levels(term)}

    def _levels(self, term: Term) -> Values:
        dispatcher, queues = term.dispatcher, list(term.dispatcher.queues.values())
        return {
            "convergence_calls_in_flight": float(sum(queue.n_under_way for queue in queues)),
            "convergence_calls_waiting": float(sum(len(queue.waiting) for queue in queues)),
            "convergence_arms_alive": {(study,): float(n) for study, n in term.n_alive.items()},
            "convergence_studies": self._studies,
            "convergence_workers": float(dispatcher.n_workers),
            "convergence_worker_slots": float(dispatcher.n_slots),
            "convergence_desired_slots": float(desired_slots(list(term.seats.values()))),
        }

    def _counted(self) -> Values:
        return {
            "convergence_calls_total": {(kind,): float(n) for kind, n in self._outcomes.items()},
            "convergence_spend_usd_total": self._shown_usd,
            **{f"convergence_{name}_total": float(self._totals[name]) for name in _COUNTERS},
        }

    def _count(self, finished: Sequence[CallOutcome]) -> None:
        self._outcomes.update(outcome.kind.value for outcome in finished)

    def _look_at_money(self) -> None:
        """Add what was booked. A booking that proved too high is shown only once as much has been spent again."""
        for key, (accounts, before_usd) in self._watched.items():
            self._spent_usd += accounts.spent_usd - before_usd
            self._watched[key] = (accounts, accounts.spent_usd)
        self._shown_usd = max(self._shown_usd, self._spent_usd)

    def _look_at_counters(self, dispatcher: Dispatcher) -> None:
        """Add what has happened since the last time; every leadership counts from 0."""
        now = Counter(
            results=dispatcher.n_results, lease_losses=dispatcher.n_lost_leases, tasks_resent=dispatcher.n_resent
        )
        before = self._seen if dispatcher is self._dispatcher else Counter()
        for name in _COUNTERS:
            self._totals[name] += now[name] - before[name]
        self._dispatcher, self._seen = dispatcher, now


def desired_slots(seats: Sequence[Seat]) -> int:
    """Return how many calls could be on the wire: what studies have to send, within what each provider admits."""
    wanted: Counter[str] = Counter()
    caps: dict[str, float] = {}
    for seat in seats:
        wanted[seat.account] += seat.n_wanted
        caps[seat.account] = min(caps.get(seat.account, float("inf")), seat.max_slots)
    return sum(int(min(n, caps[account])) for account, n in wanted.items())


def _depths(dispatcher: Dispatcher) -> Values:
    """Return what the queue holds; nothing while Redis is away."""
    try:
        depths = dispatcher.publisher.depths()
    except BrokerAway:
        return {}
    return {
        "convergence_queue_depth": {(name,): float(depths[name]) for name in PRIORITIES},
        "convergence_tasks_unacked": float(depths["unacked"]),
    }


class _Timed:
    """A search whose decisions are timed."""

    def __init__(self, search: Optimizer, clock: Clock, on_decided: Callable[[float], None]) -> None:
        self._search = search
        self._clock = clock
        self._on_decided = on_decided

    def ask(self) -> Block | StopReason | None:
        began_s = self._clock.monotonic_s()
        decision = self._search.ask()
        if isinstance(decision, Block):
            self._on_decided(self._clock.monotonic_s() - began_s)
        return decision

    def tell(self, observations: Sequence[Observation]) -> None:
        self._search.tell(observations)

    def recommend(self, *, full: bool = False) -> Recommendation:
        return self._search.recommend(full=full)

    def incumbent(self) -> Incumbent | None:
        return self._search.incumbent()

    def learned(self) -> Mapping[str, Json]:
        return self._search.learned()
