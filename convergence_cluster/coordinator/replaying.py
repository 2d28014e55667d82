"""Brings a coordinator to where its study was, by making the same decisions again."""

from collections.abc import Callable, Sequence
from typing import assert_never

import structlog

from convergence_cluster.coordinator.accounts import unknown_entry
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import block_keys
from convergence_cluster.coordinator.protocols import Budget, ResumableOptimizer
from convergence_cluster.domain.calls import Call, CallOutcome, Lost
from convergence_cluster.domain.errors import Conflict
from convergence_cluster.domain.identity import canonical_json
from convergence_cluster.domain.journal import (
    Asked,
    Calibrated,
    CallKey,
    Event,
    History,
    LedgerEntry,
    Resumed,
    Sat,
    Stopped,
    Told,
)
from convergence_cluster.domain.search import EXTRA, HOLDOUT, Block

log = structlog.get_logger()


def replay(
    coordinator: Coordinator,
    history: History,
    *,
    fresh: Callable[[], ResumableOptimizer],
    observer: Observer,
    budget: Budget,
    is_under_way: Callable[[CallKey], bool] = lambda _: False,
) -> tuple[Call, ...]:
    """Repeat a study's history in memory; return the calls that may have been paid for without a durable outcome.

    The calls that were asked for and never finished are queued to be made, first those that workers are making already:
    the budget's room is theirs. A search that would decide otherwise now gives way to a `fresh` one that takes over
    what was decided and what came of it.

    Raises:
        Conflict: what the journal has cannot be taken over: it is not of this study.
    """
    past = _Past(coordinator, fresh, observer)
    told: set[CallKey] = set()
    asked: dict[CallKey, Call] = {}
    extra: dict[CallKey, Call] = {}
    coordinator.outcomes.update(history.outcomes)
    for event in history.events:
        if isinstance(event, Asked) and event.block.operator in EXTRA:
            extra.update(_calls(coordinator, event.block))
            continue
        _repeat(coordinator, event, past, asked=asked)
        if isinstance(event, Told):
            told.update(event.keys)
    coordinator.restore_outcomes([o for key, o in history.outcomes.items() if key in asked and key not in told])
    missing = tuple(call for key, call in asked.items() if key not in history.outcomes)
    missing = tuple(sorted(missing, key=lambda call: not is_under_way(call.key)))
    coordinator.restore_calls(missing)
    missing += tuple(call for key, call in extra.items() if key not in history.outcomes)
    coordinator.restore_money(history)
    coordinator.sittings.restore(history.events, history.ledger)
    accounts, active_s = coordinator.accounts, coordinator.sittings.active_s
    budget.restore(usd=accounts.counted_usd, calls=accounts.n_attempts, time_s=active_s)
    was_interrupted_cleanly = bool(history.events) and isinstance(history.events[-1], Stopped)
    at_rest = _at_rest(history.events)
    return () if was_interrupted_cleanly else tuple(call for call in missing if call.key not in at_rest)


def unknown_entries(calls: tuple[Call, ...], *, at_s: float) -> tuple[tuple[LedgerEntry, ...], Resumed]:
    """Return what to write down for calls that a crash may have hidden: each at its reserved maximum."""
    lost = (Lost(call=call, n_attempts=call.n_draws, usd=call.most_usd) for call in calls)
    entries = tuple(unknown_entry(each, at_s=at_s) for each in lost)
    return entries, Resumed(unknown=tuple(call.key for call in calls))


def _at_rest(events: Sequence[Event]) -> set[CallKey]:
    """Return the search's calls that the last sitting did not send, for it had come to the final comparison."""
    asked: set[CallKey] = set()
    at_rest: set[CallKey] = set()
    for event in events:
        match event:
            case Asked(block=block) if block.operator == HOLDOUT:
                at_rest = set(asked)
            case Asked(block=block):
                asked.update(block_keys(block))
            case Sat(began_s=began_s, until_s=until_s) if began_s < until_s:
                pass  # the same sitting goes on
            case Sat() | Resumed() | Stopped():
                at_rest = set()
            case Told() | Calibrated():
                pass
            case _:
                assert_never(event)
    return at_rest


def _repeat(coordinator: Coordinator, event: Event, past: "_Past", *, asked: dict[CallKey, Call]) -> None:
    match event:
        case Asked(block=block):
            past.ask(block)
            coordinator.restore_block(block)
            asked.update(_calls(coordinator, block))
        case Told(keys=keys):
            outcomes = [coordinator.outcomes[key] for key in keys]
            coordinator.restore_told(outcomes)
            past.told(outcomes)
        case Calibrated(scales=scales):
            past.observer.calibrate(scales)
        case Resumed() | Stopped() | Sat():
            pass


def _calls(coordinator: Coordinator, block: Block) -> dict[CallKey, Call]:
    return {
        key: coordinator.call(block.arm, case, block.configuration, repeat=block.repeat)
        for key, case in zip(block_keys(block), block.cases, strict=True)
    }


class _Past:
    """Lets a search decide again what was decided, and take it over once it would decide otherwise.

    Processors round differently, and releases decide differently. What was paid for counts all the same.
    """

    def __init__(self, coordinator: Coordinator, fresh: Callable[[], ResumableOptimizer], observer: Observer) -> None:
        self.observer = observer
        self._coordinator = coordinator
        self._fresh = fresh
        self._events: list[Block | Sequence[CallOutcome]] = []
        self._adopting: ResumableOptimizer | None = None

    def ask(self, block: Block) -> None:
        """Let the search ask for a block of the journal."""
        if self._adopting is None:
            decision = self._coordinator.optimizer.ask()
            decided = _identity(decision) if isinstance(decision, Block) else str(decision)
            if decided != _identity(block):
                log.warning("study.decided_otherwise", study=self._coordinator.study, was=_identity(block), now=decided)
                self._coordinator.optimizer = self._adopting = self._caught_up()
        if self._adopting is not None:
            self._adopt(self._adopting, block)
        self._events.append(block)

    def told(self, outcomes: Sequence[CallOutcome]) -> None:
        """Note what the search was told."""
        self._events.append(outcomes)

    def _caught_up(self) -> ResumableOptimizer:
        search = self._fresh()
        for event in self._events:
            if isinstance(event, Block):
                self._adopt(search, event)
            else:
                search.tell([self.observer.observe(outcome) for outcome in event])
        return search

    def _adopt(self, search: ResumableOptimizer, block: Block) -> None:
        try:
            search.adopt(block)
        except ValueError as error:
            raise Conflict(
                f"study {self._coordinator.study} cannot be resumed: its journal has {_identity(block)}, but {error}; "
                "it was not written by this program: start anew (--new)"
            ) from None


def _identity(block: Block) -> str:
    return f"arm {block.arm} {canonical_json(block.configuration)} cases {list(block.cases)} repeat {block.repeat}"
