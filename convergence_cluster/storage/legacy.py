"""What finished studies learned, kept for the next study of the same family."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, func, insert, select

from convergence_cluster.domain.errors import NotFound
from convergence_cluster.domain.identity import Configuration, Json, digest
from convergence_cluster.domain.search import Legacy
from convergence_cluster.domain.space import Parameter, SearchSpace
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.encoding import dumps
from convergence_cluster.storage.mapping import Candidate, elites, standings
from convergence_cluster.storage.schema import LOCAL_OWNER, families, legacy_arms, legacy_studies

_MAX_STUDIES = 10
"""An older study counts for less than a tenth."""
_MAX_ARMS = 200
"""The best arms of each study that are considered."""
_DAY_S = 86_400.0


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Inheritance:
    """What a new study starts from, and the sentence that says so."""

    legacy: Legacy
    summary: str


class LegacyStore:
    """The legacy of one owner."""

    def __init__(self, database: Database, *, owner: str = LOCAL_OWNER) -> None:
        self._database = database
        self._owner = owner

    def save(self, family: Family, study: LegacyStudy) -> None:
        """Keep what a study learned, in place of what was kept of it before."""
        with self._database.write() as connection:
            connection.execute(self._database.insert_new(families, self._family_values(family)))
            for table, key in ((legacy_arms, legacy_arms.c.study), (legacy_studies, legacy_studies.c.id)):
                connection.execute(delete(table).where(table.c.owner == self._owner, key == study.id))
            connection.execute(insert(legacy_studies).values(self._study_values(family, study)))
            if study.arms:
                connection.execute(insert(legacy_arms), [self._arm_values(study.id, arm) for arm in study.arms])

    def inherit(
        self,
        family: Family,
        space: SearchSpace,
        *,
        now_s: float,
        limit: int = 10,
        defaults: Configuration | None = None,
        rescore: Callable[[Mapping[str, float]], float | None] | None = None,
    ) -> Inheritance:
        """Return the best configurations of earlier studies, mapped into `space`, and the newest operator policy.

        `defaults` fills parameters that are new since. `rescore` gives an arm's score under today's weights from its
        mean metrics; None where it cannot.
        """
        studies = self.studies(family.id, limit=_MAX_STUDIES, max_arms=_MAX_ARMS)
        candidates = [
            candidate for n_later, study in enumerate(studies) for candidate in _candidates(study, n_later, rescore)
        ]
        chosen, n_edited = elites(candidates, space, defaults=defaults or {}, limit=limit)
        policy = next((study.policy for study in studies if study.policy), {})
        return Inheritance(
            legacy=Legacy(elites=chosen, policy=policy),
            summary=summarize(family, studies, n_elites=len(chosen), n_edited=n_edited, now_s=now_s),
        )

    def families(self) -> tuple[FamilyRecord, ...]:
        """Return every family, the one used last first."""
        query = (
            select(
                families,
                func.count().label("n_studies"),
                func.sum(legacy_studies.c.n_calls).label("n_calls"),
                func.max(legacy_studies.c.finished_at_s).label("last_at_s"),
            )
            .join(
                legacy_studies,
                (legacy_studies.c.family == families.c.id) & (legacy_studies.c.owner == families.c.owner),
            )
            .where(families.c.owner == self._owner)
            .group_by(*families.c)
            .order_by(func.max(legacy_studies.c.finished_at_s).desc(), families.c.id)
        )
        with self._database.read() as connection:
            return tuple(_family_record(row) for row in connection.execute(query))

    def find(self, text: str) -> FamilyRecord:
        """Return the family with this id, beginning of an id, or name; of several, the one used last.

        Raises:
            NotFound: there is none; the message names those there are.
        """
        known = self.families()
        for record in known:
            if record.family.name == text or (text and record.family.id.startswith(text)):
                return record
        names = ", ".join(f"{record.family.name} ({record.family.id})" for record in known) or "none yet"
        raise NotFound(f"There is no legacy called {text!r}; there are: {names}.")

    def studies(
        self, family_id: str, *, limit: int | None = None, max_arms: int | None = None
    ) -> tuple[LegacyStudy, ...]:
        """Return the studies of a family, newest first, each with its arms, best first."""
        query = (
            select(legacy_studies)
            .where(legacy_studies.c.owner == self._owner, legacy_studies.c.family == family_id)
            .order_by(legacy_studies.c.finished_at_s.desc(), legacy_studies.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(self._study(connection, row, max_arms) for row in connection.execute(query).all())

    def _study(self, connection: Connection, row: Row[Any], max_arms: int | None) -> LegacyStudy:
        query = (
            select(legacy_arms)
            .where(legacy_arms.c.owner == self._owner, legacy_arms.c.study == row.id)
            .order_by(legacy_arms.c.score.desc(), legacy_arms.c.id)
            .limit(max_arms)
        )
        return LegacyStudy(
            id=row.id,
            origin=row.origin,
            parameters=json.loads(row.parameters),
            policy=json.loads(row.policy),
            n_calls=row.n_calls,
            finished_at_s=row.finished_at_s,
            arms=tuple(_arm(arm) for arm in connection.execute(query)),
        )

    def _family_values(self, family: Family) -> dict[str, object]:
        return {
            "owner": self._owner,
            "id": family.id,
            "name": family.name,
            "provider": family.provider,
            "endpoint": api_of(family.endpoint),
            "metrics": dumps(sorted(family.metrics)),
        }

    def _study_values(self, family: Family, study: LegacyStudy) -> dict[str, object]:
        return {
            "owner": self._owner,
            "id": study.id,
            "family": family.id,
            "origin": study.origin,
            "parameters": dumps(study.parameters),
            "policy": dumps(study.policy),
            "n_calls": study.n_calls,
            "finished_at_s": study.finished_at_s,
        }

    def _arm_values(self, study: str, arm: LegacyArm) -> dict[str, object]:
        return {
            "owner": self._owner,
            "study": study,
            "configuration": dumps(arm.configuration),
            "score": arm.score,
            "n_calls": arm.n_calls,
            "metrics": dumps(arm.metrics),
            "cases": dumps(arm.cases),
        }


def api_of(endpoint: str) -> str:
    """Return host and path of a URL: what identifies an API, and holds no secret."""
    parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    return f"{parts.hostname or ''}{parts.path.rstrip('/')}"


def parameters_of(space: SearchSpace) -> Json:
    """Return a search space as JSON that a person can read: each parameter without what it leaves at its default."""
    return [_described(parameter) for parameter in space.parameters]


def summarize(family: Family, studies: Sequence[LegacyStudy], *, n_elites: int, n_edited: int, now_s: float) -> str:
    """Say in one sentence or two what a new study starts from."""
    if n_elites == 0:
        return f"No earlier study of {family.name} with these metrics: starting from nothing."
    n_calls = sum(study.n_calls for study in studies)
    sentence = (
        f"Starting from {_counted(n_elites, 'configuration')} that {_counted(len(studies), 'earlier study')} of "
        f"{family.name} found good in {_counted(n_calls, 'call')}, the last {_ago(now_s - studies[0].finished_at_s)}."
    )
    return sentence if n_edited == 0 else f"{sentence} {n_edited} of them were fitted to the edited search space."


def _described(parameter: Parameter) -> dict[str, Json]:
    fields = asdict(parameter)
    unused = {"low", "high"} if parameter.values else {"values"}
    return {
        name: value
        for name, value in fields.items()
        if name not in unused and value is not None and (name != "log" or parameter.log)
    }


def _candidates(
    study: LegacyStudy, n_later: int, rescore: Callable[[Mapping[str, float]], float | None] | None
) -> list[Candidate]:
    scores = [_score(arm, rescore) for arm in study.arms]
    return [
        Candidate(configuration=arm.configuration, score=score, n_calls=arm.n_calls, standing=standing, n_later=n_later)
        for arm, score, standing in zip(study.arms, scores, standings(scores), strict=True)
    ]


def _score(arm: LegacyArm, rescore: Callable[[Mapping[str, float]], float | None] | None) -> float:
    again = None if rescore is None else rescore(arm.metrics)
    return arm.score if again is None else again


def _arm(row: Row[Any]) -> LegacyArm:
    return LegacyArm(
        configuration=json.loads(row.configuration),
        score=row.score,
        n_calls=row.n_calls,
        metrics=json.loads(row.metrics),
        cases=json.loads(row.cases),
    )


def _family_record(row: Row[Any]) -> FamilyRecord:
    family = Family(name=row.name, provider=row.provider, endpoint=row.endpoint, metrics=tuple(json.loads(row.metrics)))
    return FamilyRecord(family=family, n_studies=row.n_studies, n_calls=int(row.n_calls), last_at_s=row.last_at_s)


def _counted(n: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"


def _ago(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{max(0.0, seconds) / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:.0f} days ago"
