"""What finished studies learned, kept for the next study of the same family."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from convergence_cluster.domain.errors import NotFound
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Legacy
from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.encoding import dumps
from convergence_cluster.storage.legacy_priors import Keeps, Rescore, known_arms, known_cases, score_of
from convergence_cluster.storage.legacy_records import Family, FamilyRecord, LegacyArm, LegacyStudy, api_of, summarize
from convergence_cluster.storage.mapping import Candidate, elites, standings
from convergence_cluster.storage.schema import LOCAL_OWNER, families, legacy_arms, legacy_studies

_MAX_STUDIES = 10
"""An older study counts for less than a tenth."""
_MAX_ARMS = 200
"""The best arms of each study that are considered."""


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
        rescore: Rescore | None = None,
        keeps: Keeps | None = None,
        cases: Sequence[str] = (),
    ) -> Inheritance:
        """Return what earlier studies learned, mapped into `space`: their best, all they knew, and the newest policy.

        `defaults` fills parameters that are new since. `rescore` gives an arm's score under today's weights from its
        mean metrics; None where it cannot. `keeps` says whether mean metrics keep today's bounds: where any arm does,
        no other is an elite. `cases` are today's test case ids in order.
        """
        studies = self.studies(family.id, limit=_MAX_STUDIES, max_arms=_MAX_ARMS)
        candidates = _candidates(studies, rescore, keeps) or _candidates(studies, rescore, None)
        chosen, n_edited = elites(candidates, space, defaults=defaults or {}, limit=limit)
        policy = next((study.policy for study in studies if study.policy), {})
        arms = known_arms(studies, space, defaults=defaults or {}, rescore=rescore, cases=cases)
        return Inheritance(
            legacy=Legacy(
                elites=chosen,
                arms=arms,
                cases=known_cases(studies[0], cases, rescore) if studies else (),
                policy=policy,
            ),
            summary=summarize(
                family,
                studies,
                n_elites=len(chosen),
                n_edited=n_edited,
                n_others=max(len(arms) - len(chosen), 0),
                now_s=now_s,
            ),
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
            "deviation": arm.deviation,
        }


def _candidates(studies: Sequence[LegacyStudy], rescore: Rescore | None, keeps: Keeps | None) -> list[Candidate]:
    """Return the arms of all studies, newest study first, that keep the bounds."""
    found = []
    for n_later, study in enumerate(studies):
        arms = [arm for arm in study.arms if keeps is None or keeps(arm.metrics)]
        scores = [score_of(arm, rescore) for arm in arms]
        found += [
            Candidate(
                configuration=arm.configuration, score=score, n_calls=arm.n_calls, standing=standing, n_later=n_later
            )
            for arm, score, standing in zip(arms, scores, standings(scores), strict=True)
        ]
    return found


def _arm(row: Row[Any]) -> LegacyArm:
    return LegacyArm(
        configuration=json.loads(row.configuration),
        score=row.score,
        n_calls=row.n_calls,
        metrics=json.loads(row.metrics),
        cases=json.loads(row.cases),
        deviation=row.deviation,
    )


def _family_record(row: Row[Any]) -> FamilyRecord:
    family = Family(name=row.name, provider=row.provider, endpoint=row.endpoint, metrics=tuple(json.loads(row.metrics)))
    return FamilyRecord(family=family, n_studies=row.n_studies, n_calls=int(row.n_calls), last_at_s=row.last_at_s)
