"""What a search is asked, what it decides, what it is told and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration, Json
from convergence_cluster.domain.space import SearchSpace


class Direction(StrEnum):
    """Which way a metric gets better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


ROUNDING = 1e-9
"""Part of a bound that a mean of numbers on it may be off by."""


def broken_bound(mean: float, *, low: float | None, high: float | None) -> float | None:
    """Return the bound that a mean lies beyond, or None; what it lies beyond one for being rounded is nothing."""
    if low is not None and mean < low - ROUNDING * abs(low):
        return low
    return high if high is not None and mean > high + ROUNDING * abs(high) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """One raw metric that the search watches, with the bounds that an arm's mean must keep."""

    name: str
    direction: Direction
    low: float | None = None
    high: float | None = None

    def keeps(self, mean: float) -> bool:
        """Say whether a mean keeps the bounds; see `broken_bound`."""
        return broken_bound(mean, low=self.low, high=self.high) is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """When enough is known. Budgets are not here: they are hard and held elsewhere."""

    enabled: bool = True
    confidence: float = 0.95
    """Stop when P(the recommended arm is within `within` of the best) reaches this."""
    within: float = 0.01
    """Relative to the best score."""
    patience: int | None = None
    """Stop after this many rounds of `parallelism`-independent size without `min_improvement`; None: never."""
    min_improvement: float = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Elite:
    """A configuration that did well in an earlier study of the same family, mapped into this study's space."""

    configuration: Configuration
    score: float
    n_calls: int
    weight: float = 1.0
    """In (0, 1]: how much of that evidence still counts after decay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownArm:
    """What earlier studies measured of a configuration, good or bad, mapped into this study's space."""

    configuration: Configuration
    score: float
    variance: float
    """How uncertain that score was, with what an edit of the configuration adds."""
    cases: tuple[tuple[int, float], ...] = ()
    """Scores on single cases that are among this study's too, by their index here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownCase:
    """What a test case added to every configuration's score in an earlier study."""

    case: int
    """Its index among this study's cases."""
    effect: float
    n_arms: int
    """How many configurations showed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Legacy:
    """What earlier studies of the same family learned."""

    elites: tuple[Elite, ...] = ()
    arms: tuple[KnownArm, ...] = ()
    cases: tuple[KnownCase, ...] = ()
    """Empty where no case is the same."""
    policy: Mapping[str, Json] = field(default_factory=dict)
    """The operator policy's state, as `Optimizer.learned` returned it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchProblem:
    """Everything a search may know before the first call."""

    space: SearchSpace
    n_cases: int
    objectives: tuple[Objective, ...]
    baseline: Configuration | None = None
    """Always opened as arm 0 and measured on the cases it needs for a fair comparison."""
    case_weights: tuple[float, ...] | None = None
    """Shape (n_cases,), positive; None: all equal. The true score of an arm is the weighted mean over cases."""
    case_tags: tuple[str, ...] | None = None
    """Shape (n_cases,): the stratum of each case, for a balanced order; None: one stratum."""
    max_calls: int | None = None
    """The planning horizon in calls; the cap itself is enforced elsewhere."""
    parallelism: int = 1
    """How many calls run at once."""
    max_repeats: int = 1
    """How often one arm may be drawn on one case; 1 where the API is deterministic."""
    stopping: Stopping = field(default_factory=Stopping)
    legacy: Legacy = field(default_factory=Legacy)
    settings: Mapping[str, Json] = field(default_factory=dict)
    """The study's `mab` and `evolution` settings that the user gave, by name."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One decision: draw these cases of one arm. The next unit of paid work."""

    arm: ArmId
    configuration: Configuration
    cases: tuple[int, ...]
    """Case indices, in the order to send them."""
    repeat: int = 0
    operator: str = ""
    """What proposed the arm: baseline, elite, random, mutation, crossover, ..."""


CALIBRATION = "calibration"
"""The operator of a block that no search asked for: a judge grades an answer that people have graded."""

BASELINE = ArmId(0)
"""The arm that every study opens first; a search that is asked without a baseline opens any."""
HOLDOUT = "holdout"
"""The operator of a block that no search asked for: the final comparison on cases that it never sees."""


EXTRA = frozenset({CALIBRATION, HOLDOUT})
"""The operators of blocks that no search asked for."""


class StopReason(StrEnum):
    """Why a study ended."""

    CERTAIN = "certain"
    """The recommended arm is within `within` of the best with probability `confidence`."""
    PATIENCE = "patience"
    EXHAUSTED = "exhausted"
    """Every configuration was called on every case as often as allowed."""
    BUDGET_USD = "budget_usd"
    BUDGET_CALLS = "budget_calls"
    BUDGET_TIME = "budget_time"
    CANCELLED = "cancelled"
    PROVIDER = "provider"
    """The provider refuses every further call."""
    NO_FEASIBLE = "no_feasible"
    """No configuration could be run, so there is no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One finished call as the search sees it."""

    arm: ArmId
    case: int
    repeat: int
    kind: OutcomeKind
    score: float | None
    """Weighted mean of the metrics' utilities, in [0, 1]; None where there is nothing to score."""
    objectives: tuple[float, ...] = ()
    """Raw metric values, shape (n_objectives,) in the problem's order; empty where there is no score."""
    cost: float = 1.0
    """USD, or 1.0 where no price is known."""


class ArmState(StrEnum):
    """Where an arm is in its life."""

    ALIVE = "alive"
    DEAD = "dead"
    """Clearly beaten."""
    OUT = "out"
    """Cannot run: infeasible, or more than half of at least four calls gave no score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with its central 90 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Incumbent:
    """The arm that would be recommended now, and its score."""

    arm: ArmId
    score: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmEstimate:
    """What is known of one arm."""

    arm: ArmId
    configuration: Configuration
    state: ArmState
    operator: str
    score: Interval
    """Posterior of the arm's true mean score over all cases."""
    n_calls: int
    n_cases: int
    p_best: float
    """Probability of having the highest true mean among the arms opened that may keep the constraints."""
    objectives: tuple[Interval, ...] = ()
    """Posterior means of the raw metrics, in the problem's order."""
    is_feasible: bool = True
    """Keeps the problem's constraints, by posterior mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """The answer so far. Never the luckiest draw: the best posterior mean."""

    best: ArmEstimate | None
    """None until some arm has a score."""
    baseline: ArmEstimate | None
    change: Interval | None
    """Score of `best` minus score of `baseline`, paired on common cases."""
    tied: tuple[ArmEstimate, ...]
    """Arms that the data cannot tell from `best`, best excluded, by falling mean."""
    front: tuple[ArmEstimate, ...]
    """Arms that no other arm beats in every objective (by posterior mean), feasible first, then by what they cover."""
    p_within: float
    """P(score of `best` >= (1 - within) * the highest score among the arms opened that may keep the constraints)."""
    gain_per_100_calls: float
    """Expected rise of the recommended arm's true score from 100 more calls."""
    n_arms: int
    n_alive: int
    n_calls: int
    arms: tuple[ArmEstimate, ...] = ()
    """Every arm by falling posterior mean; only where a full recommendation was asked for."""

    @property
    def incumbent(self) -> Incumbent | None:
        """Return the arm that is recommended and its score."""
        return None if self.best is None else Incumbent(arm=self.best.arm, score=self.best.score)
