"""What a report is made of: all that is known of one study, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from convergence_cluster.domain.calls import CallOutcome, TestCase
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.search import ArmEstimate, Direction, Interval, Recommendation, StopReason
from convergence_cluster.domain.space import SearchSpace


class Visualization(StrEnum):
    """The charts that a study file may name."""

    SCORE_OVER_TIME = "score_over_time"
    PARAMETER_IMPORTANCE = "parameter_importance"
    PARETO_FRONT = "pareto_front"
    COST_VS_QUALITY = "cost_vs_quality"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricDefinition:
    """One metric of the study."""

    name: str
    weight: float
    direction: Direction
    unit: str = ""
    """`usd`, `ms`, `s`, `tokens` or empty: a plain number."""
    scale: float | None = None
    """The value of a lower-is-better metric whose utility is 1/2; None: clipped to [0, 1]."""
    low: float | None = None
    """The bounds that a configuration's mean must keep: `low` at least, `high` at most."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredCall:
    """A finished call with its score."""

    outcome: CallOutcome
    score: float | None
    """Weighted mean of the metrics' utilities, in [0, 1]; None unless the outcome is OK."""
    block: int = 0
    """Index of the decision that asked for it, from 0: what the predecessor called a generation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrajectoryPoint:
    """The incumbent after `n_calls` finished calls."""

    n_calls: int
    arm: ArmId
    score: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What the study used. Holds every attempt that was billed, also of calls without a score."""

    usd: float | None = None
    """None: no call had a known price."""
    n_calls: int = 0
    seconds: float = 0.0
    n_retries: int = 0
    """The part of `n_calls` that tried again what had failed in passing."""
    n_unpriced_calls: int = 0
    unknown_usd: float = 0.0
    """The part of `usd` booked at the reserved maximum, because a crash hid the outcome."""
    scoring_usd: float = 0.0
    """The part of `usd` that models took that help to score."""
    n_unpriced_scorings: int = 0
    n_cached_calls: int = 0
    """The part of `n_calls` that the cache answered."""
    cached_usd: float = 0.0
    """What those would have cost; no part of `usd`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """The study's budget; None: no cap."""

    usd: float | None = None
    calls: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdout:
    """The final comparison on cases that the search never saw."""

    n_cases: int
    best: Interval
    baseline: Interval | None = None
    change: Interval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReport:
    """Everything the documents say. All intervals are central 90 % intervals."""

    study: StudyId
    name: str
    started_at_s: float
    finished_at_s: float
    stop_reason: StopReason | None
    """None: interrupted, to be resumed."""
    recommendation: Recommendation
    arms: tuple[ArmEstimate, ...]
    """Every arm opened, in the order in which it was opened."""
    calls: tuple[ScoredCall, ...]
    """Every finished call, in the order in which it finished, SKIPPED ones included."""
    cases: tuple[TestCase, ...]
    """The cases of the search; `Call.case` is an index into it."""
    metrics: tuple[MetricDefinition, ...]
    """In the order of `ArmEstimate.objectives`."""
    space: SearchSpace
    within: float = 0.01
    """What `Recommendation.p_within` is about, relative to the best score."""
    spend: Spend = field(default_factory=Spend)
    caps: Caps = field(default_factory=Caps)
    price_sources: tuple[str, ...] = ()
    legacy: str | None = None
    """One sentence on what the study started from."""
    holdout: Holdout | None = None
    trajectory: tuple[TrajectoryPoint, ...] = ()
    notes: tuple[str, ...] = ()
    answers_allowed: bool = True
    """Whether answers may stand in the documents."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Whatever identifies the run: version, digest of the study file, seed."""
