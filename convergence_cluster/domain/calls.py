"""A call: one arm on one test case; what goes out, what comes back, what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from convergence_cluster.domain.identity import ArmId, CaseId, Configuration, Json, StudyId


class OutcomeKind(StrEnum):
    """How a call ended. Whatever was answered is scored by what it says; what was not answered has no score."""

    OK = "ok"
    INFEASIBLE = "infeasible"
    """The API does not accept this configuration: the arm is out."""
    REFUSED = "refused"
    """The model or a content filter declined to answer; scored as the answer it is."""
    TRUNCATED = "truncated"
    """The answer was cut by a token limit; scored by what arrived, because that is what its user would get."""
    FAILED = "failed"
    """No usable answer after all retries, or the evaluator could not score it."""
    SKIPPED = "skipped"
    """Never sent: the budget or the time was spent, or the study was cancelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestCase:
    """One input with what is expected of the answer."""

    __test__ = False

    id: CaseId
    input: Mapping[str, Json]
    expected: Json = None
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    asserts: tuple[Mapping[str, Json], ...] = ()
    """What the answer must be, in the study file's words; counted by metrics with function `assert`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """The work order of one call. Carries no secret and no prompt: the worker has the study."""

    study: StudyId
    arm: ArmId
    case: int
    """Index of the test case in the study, from 0."""
    repeat: int
    """0 for the first draw of this arm on this case, 1 for the second, and so on."""
    configuration: Configuration
    reserved_usd: float = 0.0
    """What the budget set aside for one attempt; the settled cost takes its place."""
    scoring_usd: float = 0.0
    """What it set aside, once, for the models that help to score the answer."""
    n_draws: int = 1
    """How many answers are drawn, each set aside; what they say is one outcome."""

    @property
    def most_usd(self) -> float:
        """Return what an attempt for each draw and the scoring of all can cost at most."""
        return self.n_draws * self.reserved_usd + self.scoring_usd

    @property
    def key(self) -> tuple[ArmId, int, int]:
        """Identify the call within its study."""
        return (self.arm, self.case, self.repeat)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One attempt of one call, before any wire format."""

    configuration: Configuration
    case: TestCase
    idempotency_key: str
    """The same for every attempt of one call; ends in `:<repeat>`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as the provider counts them: `input_tokens` includes cached, `output_tokens` includes reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    long_write_tokens: int = 0
    """Those of `cache_write_tokens` that are kept for an hour, at another price."""
    reasoning_tokens: int = 0


class Finish(StrEnum):
    """Why the provider stopped writing."""

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a provider still allows, by its own counts."""

    hold_s: float = 0.0
    """There is no room for another such call for this long."""
    rpm: float | None = None
    """Requests a minute that it allows, where few of them are left."""
    tpm: float | None = None
    """The same for tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an API answered to one attempt, in the product's own words."""

    text: str
    """The result as text; JSON results are serialised compactly."""
    result: Json
    """The result as selected by the study's `result_field`, else the text."""
    raw: Json
    """The whole response body."""
    status: int = 200
    finish: Finish = Finish.STOP
    usage: Usage | None = None
    model: str | None = None
    """The model that answered, where the provider says so."""
    cost_usd: float | None = None
    """What the provider itself says this call cost; None where it does not say."""
    latency_s: float = 0.0
    """From the request's first byte on the socket to the answer's last, for this attempt alone."""
    ttft_s: float | None = None
    """The same to the first piece of the answer, where it came as a stream."""
    is_cached: bool = False
    """This is what the same request got in an earlier study; the latency too is what was measured then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOutcome:
    """The durable record of a finished call."""

    call: Call
    kind: OutcomeKind
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Raw metric values by name, in their own units; empty where nothing was answered or it could not be scored."""
    clamped: Mapping[str, float] = field(default_factory=dict)
    """Metrics that an evaluator gave outside of [0, 1], as it gave them; `metrics` has them clamped."""
    latency_s: float | None = None
    cost_usd: float | None = None
    """None: unknown price. Includes every attempt that was billed."""
    price_source: str | None = None
    scoring_usd: float | None = 0.0
    """What judges and other models took that helped to score; beside `cost_usd`. None: unknown price."""
    scoring_source: str | None = None
    """Whose word their prices are."""
    scoring_cached_usd: float = 0.0
    """The part of `scoring_usd` for questions that the cache answered: it was not paid."""
    usage: Usage | None = None
    n_attempts: int = 0
    """An answer from the cache counts as one, so that caps hold as if it had been paid for."""
    n_unsent: int = 0
    """Attempts that were set aside and never went on the wire: they failed before, or an earlier draw did."""
    waited_s: float = 0.0
    """Spent in retries' pauses and rate limiters; never part of the latency."""
    error: str | None = None
    answer: str | None = None
    model: str | None = None
    is_cached: bool = False
    """Nothing was sent: the answer, its latency and what it costs are those of the same call in an earlier study."""
    halts: bool = False
    """The provider refuses every further call, so the study stops here and this call is made again on resume."""
    is_passing: bool = False
    """No answer came, for a passing reason: many of these in a row mean that the API is away."""
    finished_at_s: float = 0.0

    @property
    def is_paid(self) -> bool:
        """Say whether it may have cost something: an attempt, or a model that helped to score."""
        return self.n_attempts > 0 or self.scoring_usd != 0.0

    @property
    def is_scored(self) -> bool:
        """Say whether there is something to score."""
        return bool(self.metrics)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A call that comes back unanswered, and what it may have cost."""

    call: Call
    n_attempts: int = 0
    usd: float | None = 0.0
    """None: no price is known."""
    task: str | None = None
    """What it was sent with; None: a process that died itself was making it."""
    returned: CallOutcome | None = None
    """What its worker gave back, which says in place of the others what it cost; None: nobody did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """An answer of a call that has one already, or that may have been given up."""

    outcome: CallOutcome
    task: str
    """What the call was sent with."""
    is_accepted: bool
    """It became the call's outcome; only what was booked for its being lost is too much."""
