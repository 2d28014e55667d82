"""What a study writes down, in the order in which it happened, so that it can be replayed exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.identity import ArmId, Configuration
from convergence_cluster.domain.search import ArmState, Block, StopReason

CallKey: TypeAlias = tuple[ArmId, int, int]
"""(arm, case, repeat): one call within a study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The search decided on a block, and its calls may be on the wire from now on."""

    block: Block
    reserved_usd: float
    """Set aside for one attempt of each of its calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The search learned from these finished calls, in this order, at once."""

    keys: tuple[CallKey, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """The scales of lower-is-better metrics were fixed, once, from the baseline's own calls."""

    scales: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """A process took the study up again; calls asked for and not finished before this may have been paid for."""

    unknown: tuple[CallKey, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The study ended or was interrupted."""

    reason: StopReason | None
    """None: interrupted; `convergence resume` goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sat:
    """A process was at work on the study from `began_s` to `until_s`, as it says now and then; its last word counts."""

    began_s: float
    until_s: float


Event: TypeAlias = Asked | Told | Calibrated | Resumed | Stopped | Sat


SCORING = "scoring"
"""The kind of a ledger entry for models that helped to score a call's answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """Money: what one call cost, or may have cost. Append-only; the spend is the sum over all but `cached` entries."""

    key: CallKey
    n_attempts: int
    usd: float | None
    """None: no price is known."""
    kind: str
    """`settled`: what the answer cost, or what was paid until its worker gave it back. `scoring`: what judging it cost.
    `unknown`: a crash hid the outcome, booked at the reserved maximum. `corrected`: an `unknown` one taken back, for
    the outcome came to light. `cached`: what an answer from the cache would have cost; it was not paid, and counts
    against the caps all the same."""
    price_source: str | None = None
    at_s: float = 0.0
    answered_at_s: float | None = None
    """When the answer that it pays for was finished, by its worker's clock: with the key, which answer that is. None:
    no answer accounts for it, or an earlier release wrote it."""
    task: str | None = None
    """Which task was given up: with the key, the attempts that an `unknown` entry is for and a `corrected` one takes
    back. None: the calls of a process that died itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All that a study has written."""

    events: tuple[Event, ...] = ()
    outcomes: Mapping[CallKey, CallOutcome] = field(default_factory=dict)
    ledger: tuple[LedgerEntry, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRecord:
    """An arm as it goes into the Optuna storage: one trial."""

    arm: ArmId
    configuration: Configuration
    state: ArmState
    is_final: bool
    """The study is over or the arm is dead: COMPLETE or PRUNED; else it is written as RUNNING."""
    score: float | None
    objectives: Mapping[str, float]
    n_calls: int
    n_cases: int
    operator: str
    started_at_s: float
    finished_at_s: float | None
