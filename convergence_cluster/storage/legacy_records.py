"""What is kept of a finished study, and how it is put into words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from convergence_cluster.domain.identity import ArmId, Configuration, Json, digest
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.domain.space import Parameter, SearchSpace

_DAY_S = 86_400.0
MAX_KEPT = 200
"""Arms that are kept of a study."""
N_BEST = 120
"""Of them, the best."""
Z90 = 1.6448536269514722
"""Half width of a normal's central 90 % interval, in standard deviations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Studies that can learn from each other: the same API, measured by the same metrics."""

    name: str
    """The API's name in the study file."""
    provider: str
    endpoint: str
    """The URL; scheme, port, user and query do not matter."""
    metrics: tuple[str, ...]

    @property
    def id(self) -> str:
        """Identify the family, whatever its studies' ranges, values, test cases and weights."""
        api = api_of(self.endpoint) or self.provider
        return digest({"api": api, "name": self.name, "metrics": sorted(self.metrics)})[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyArm:
    """One configuration and how it did."""

    configuration: Configuration
    score: float
    """Posterior mean, or the mean over calls where nothing better is known."""
    n_calls: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Mean of each raw metric."""
    cases: Mapping[str, float] = field(default_factory=dict)
    """Mean score by test case id."""
    deviation: float | None = None
    """Standard deviation of the score's posterior; None where it was not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyStudy:
    """One finished study."""

    id: str
    origin: str
    """Where it was run: `convergence`, or the file it was imported from."""
    parameters: Json
    """The search space in words that a person can read."""
    policy: Mapping[str, Json]
    n_calls: int
    finished_at_s: float
    arms: tuple[LegacyArm, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyRecord:
    """A family and what is known of it."""

    family: Family
    n_studies: int
    n_calls: int
    last_at_s: float


def kept_arms(
    arms: Sequence[ArmEstimate], cases: Mapping[ArmId, Mapping[str, float]], metrics: Sequence[str]
) -> tuple[LegacyArm, ...]:
    """Return what to keep of a study's arms, best first; `cases` are mean scores by case id, `metrics` names.

    Of more than `MAX_KEPT` the best are kept, and of the others every so many, for what is bad is worth knowing too.
    """
    ranked = sorted((arm for arm in arms if arm.n_cases > 0), key=lambda arm: -arm.score.mean)
    rest = ranked[N_BEST:]
    step = max(len(rest) / (MAX_KEPT - N_BEST), 1.0)
    chosen = ranked[:N_BEST] + [rest[int(k * step)] for k in range(min(len(rest), MAX_KEPT - N_BEST))]
    return tuple(_kept(arm, cases.get(arm.arm, {}), metrics) for arm in chosen)


def _kept(arm: ArmEstimate, cases: Mapping[str, float], metrics: Sequence[str]) -> LegacyArm:
    means = {name: interval.mean for name, interval in zip(metrics, arm.objectives, strict=True)}
    score = arm.score
    return LegacyArm(
        configuration=arm.configuration,
        score=score.mean,
        n_calls=arm.n_calls,
        metrics=means,
        cases=cases,
        deviation=max(score.high - score.mean, score.mean - score.low) / Z90,
    )


def api_of(endpoint: str) -> str:
    """Return host and path of a URL: what identifies an API, and holds no secret."""
    parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    return f"{parts.hostname or ''}{parts.path.rstrip('/')}"


def parameters_of(space: SearchSpace) -> Json:
    """Return a search space as JSON that a person can read: each parameter without what it leaves at its default."""
    return [_described(parameter) for parameter in space.parameters]


def summarize(
    family: Family, studies: Sequence[LegacyStudy], *, n_elites: int, n_edited: int, n_others: int, now_s: float
) -> str:
    """Say in one sentence or two what a new study starts from."""
    if n_elites == 0:
        return f"No earlier study of {family.name} with these metrics: starting from nothing."
    n_calls = sum(study.n_calls for study in studies)
    sentence = (
        f"Starting from {_counted(n_elites, 'configuration')} that {_counted(len(studies), 'earlier study')} of "
        f"{family.name} found good in {_counted(n_calls, 'call')}, the last {_ago(now_s - studies[0].finished_at_s)}."
    )
    edited = f" {n_edited} of them were fitted to the edited search space." if n_edited > 0 else ""
    others = f" What was measured of {_counted(n_others, 'other')} counts as well." if n_others > 0 else ""
    return f"{sentence}{edited}{others}"


def _described(parameter: Parameter) -> dict[str, Json]:
    fields = asdict(parameter)
    unused = {"low", "high"} if parameter.values else {"values"}
    return {
        name: value
        for name, value in fields.items()
        if name not in unused and value is not None and (name != "log" or parameter.log)
    }


def _counted(n: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"


def _ago(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min ago" if seconds >= 60 else "less than a minute ago"  # noqa: PLR2004
    return f"{seconds / 3600:.0f} h ago" if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:.0f} days ago"
