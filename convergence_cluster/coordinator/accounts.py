"""What happened so far, counted: calls by outcome, money, and each arm's own tally."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from convergence_cluster.domain.calls import CallOutcome, Lost, OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration
from convergence_cluster.domain.journal import SCORING, ArmRecord, LedgerEntry
from convergence_cluster.domain.search import ArmEstimate, ArmState, Block

CACHED = "cached"
UNKNOWN = "unknown"
CORRECTED = "corrected"


@dataclass(kw_only=True, slots=True)
class _ArmTally:
    configuration: Configuration
    operator: str
    started_at_s: float
    finished_at_s: float | None = None
    n_calls: int = 0
    cases: set[int] = field(default_factory=set)
    score_sum: float = 0.0
    metric_sums: Counter[str] = field(default_factory=Counter)
    n_scored: int = 0


class Accounts:
    """Running sums; constant work per call."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.spent_usd = 0.0
        self.unknown_usd = 0.0
        self.scoring_usd = 0.0
        """The part of `spent_usd` that models took that help to score."""
        self.n_unpriced_scorings = 0
        self.cached_usd = 0.0
        """What the answers from the cache would have cost; no part of `spent_usd`."""
        self.n_cached = 0
        self.n_attempts = 0
        self.n_retries = 0
        """The part of `n_attempts` that tried again what had failed in passing."""
        self.n_unpriced = 0
        self._arms: dict[ArmId, _ArmTally] = {}
        self._changed: set[ArmId] = set()

    @property
    def counted_usd(self) -> float:
        """Return what counts against the cap: all calls as if each had been paid."""
        return self.spent_usd + self.cached_usd

    @property
    def known_usd(self) -> float | None:
        """Return what was spent, or None where calls were paid and the price of none is known."""
        return self.spent_usd if self.spent_usd or not self.n_unpriced else None

    @property
    def n_calls(self) -> int:
        """Count the finished calls."""
        return self.counts.total()

    def open_arm(self, block: Block, *, now_s: float) -> None:
        """Note an arm the first time it is asked for."""
        if block.arm not in self._arms:
            self._arms[block.arm] = _ArmTally(
                configuration=block.configuration, operator=block.operator, started_at_s=now_s
            )
            self._changed.add(block.arm)

    def book(self, entries: Sequence[LedgerEntry]) -> None:
        """Add money."""
        for entry in entries:
            self.n_attempts += entry.n_attempts
            if entry.kind == CACHED:
                self.n_cached += entry.n_attempts
                self.cached_usd += entry.usd or 0.0
                continue
            self.spent_usd += entry.usd or 0.0
            self.unknown_usd += (entry.usd or 0.0) if entry.kind in {UNKNOWN, CORRECTED} else 0.0
            self.scoring_usd += (entry.usd or 0.0) if entry.kind == SCORING else 0.0
            self.n_unpriced_scorings += entry.usd is None and entry.kind == SCORING
            self.n_unpriced += entry.usd is None and entry.n_attempts > 0

    def count(self, outcome: CallOutcome, score: float | None) -> None:
        """Add one finished call."""
        self.counts[outcome.kind.value] += 1
        self.n_retries += max(0, outcome.n_attempts - outcome.call.n_draws)
        tally = self._arms.get(outcome.call.arm)
        if tally is None:
            return
        self._changed.add(outcome.call.arm)
        tally.n_calls += 1
        tally.cases.add(outcome.call.case)
        tally.finished_at_s = outcome.finished_at_s
        if score is not None:
            tally.n_scored += 1
            tally.score_sum += score
            for name, value in outcome.metrics.items():
                tally.metric_sums[name] += value  # type: ignore[assignment]  # a Counter of floats

    def changed_arms(self) -> Sequence[ArmRecord]:
        """Return the records of arms that changed since the last time, as still running."""
        changed, self._changed = sorted(self._changed), set()
        return tuple(self._record(arm, ArmState.ALIVE, is_final=False, score=None) for arm in changed)

    def final_arms(self, estimates: Mapping[ArmId, ArmEstimate]) -> Sequence[ArmRecord]:
        """Return the records of all arms with their posterior scores, as finished."""
        records = []
        for arm, tally in self._arms.items():
            estimate = estimates.get(arm)
            state = ArmState.OUT if tally.n_scored == 0 else ArmState.ALIVE
            score = estimate.score.mean if estimate and tally.n_scored else None
            records.append(self._record(arm, estimate.state if estimate else state, is_final=True, score=score))
        return records

    def _record(self, arm: ArmId, state: ArmState, *, is_final: bool, score: float | None) -> ArmRecord:
        tally = self._arms[arm]
        n_scored = tally.n_scored
        return ArmRecord(
            arm=arm,
            configuration=tally.configuration,
            state=state,
            is_final=is_final,
            score=score if score is not None else (tally.score_sum / n_scored if n_scored else None),
            objectives={name: total / n_scored for name, total in tally.metric_sums.items()} if n_scored else {},
            n_calls=tally.n_calls,
            n_cases=len(tally.cases),
            operator=tally.operator,
            started_at_s=tally.started_at_s,
            finished_at_s=tally.finished_at_s,
        )


def total_usd(outcome: CallOutcome) -> float | None:
    """Return what a call and its scoring cost, as far as it is known; None: nothing of it is."""
    known = [usd for usd in (outcome.cost_usd, outcome.scoring_usd) if usd is not None]
    return sum(known) if known and not (outcome.cost_usd is None and outcome.scoring_usd == 0.0) else None


def settle_entries(outcome: CallOutcome, *, at_s: float) -> list[LedgerEntry]:
    """Return the ledger entries of a finished call: its own, and that of its scoring where there was any to pay."""
    entry = LedgerEntry(
        key=outcome.call.key,
        n_attempts=outcome.n_attempts,
        usd=outcome.cost_usd if outcome.n_attempts else 0.0,
        kind=CACHED if outcome.is_cached else "settled",
        price_source=outcome.price_source,
        at_s=at_s,
        answered_at_s=outcome.finished_at_s or None,
    )
    return [entry, *_scoring_entries(outcome, entry)]


def _scoring_entries(outcome: CallOutcome, entry: LedgerEntry) -> list[LedgerEntry]:
    """Return what scoring took: what was paid, and apart from it what the cache answered."""
    total_usd, cached_usd = outcome.scoring_usd, outcome.scoring_cached_usd
    scored = replace(entry, n_attempts=0, kind=SCORING, price_source=outcome.scoring_source)
    entries = [replace(scored, usd=cached_usd, kind=CACHED)] if cached_usd else []
    if total_usd is None or total_usd != cached_usd:
        entries.append(replace(scored, usd=None if total_usd is None else total_usd - cached_usd))
    return entries


def unknown_entry(lost: Lost, *, at_s: float) -> LedgerEntry:
    """Return the ledger entry of a call that may have been paid for."""
    return LedgerEntry(
        key=lost.call.key, n_attempts=lost.n_attempts, usd=lost.usd, kind=UNKNOWN, at_s=at_s, task=lost.task
    )


def corrected_entry(booked: LedgerEntry, *, at_s: float) -> LedgerEntry:
    """Return the ledger entry that takes an `unknown` one back."""
    usd = None if booked.usd is None else -booked.usd
    return replace(booked, n_attempts=-booked.n_attempts, usd=usd, kind=CORRECTED, at_s=at_s)


def is_finished(outcome: CallOutcome) -> bool:
    """Say whether this call is over for good; a skipped one, or one the provider stopped, is made on resume."""
    return outcome.kind is not OutcomeKind.SKIPPED and not outcome.halts
