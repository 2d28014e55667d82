"""What a study takes from earlier ones of its family, and what it leaves to later ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from convergence_cluster.bootstrap.searching import ScoredMetrics
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import ArmId, Json
from convergence_cluster.domain.search import Legacy
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.settings import Settings, sqlite_url
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.legacy import LegacyStore
from convergence_cluster.storage.legacy_records import Family, LegacyStudy, kept_arms, parameters_of
from convergence_cluster.storage.studies import StudyRecord

_MAX_ELITES = 8


class Memory:
    """The legacy as one study uses it; does nothing where the study switches it off."""

    def __init__(self, study: LoadedStudy, settings: Settings, clock: Clock) -> None:
        self._study = study
        self._section = study.spec.legacy
        own = self._section.sqlite_path
        self._url = sqlite_url(Path(own).absolute()) if own else settings.legacy_url
        self._clock = clock

    def recall(self) -> tuple[Legacy, str | None]:
        """Return what the study starts from and the sentence that says so; None: legacy is off."""
        if not self._section.enabled:
            return Legacy(), None
        metrics = ScoredMetrics(self._study)

        def rescore(means: Mapping[str, float]) -> float | None:
            names = {utility.name for utility in metrics.utilities}
            return None if metrics.unscaled() or not names <= means.keys() else metrics.score(means)

        evolution = self._study.spec.optimization.evolution
        limit = evolution.elite_size if "elite_size" in evolution.model_fields_set else _MAX_ELITES
        with open_legacy(self._url) as store:
            inheritance = store.inherit(
                self._family(),
                self._study.space,
                now_s=self._clock.now_s(),
                limit=limit,
                defaults=self._study.baseline,
                rescore=rescore,
                keeps=self._keeps,
                cases=tuple(case.id for case in self._study.cases),
            )
        return inheritance.legacy, inheritance.summary

    def save(self, record: StudyRecord, report: StudyReport, policy: Mapping[str, Json]) -> None:
        """Keep what a finished study learned."""
        if not self._section.enabled or not report.arms:
            return
        study = LegacyStudy(
            id=record.id,
            origin="convergence",
            parameters=parameters_of(self._study.space),
            policy=policy,
            n_calls=len(report.calls),
            finished_at_s=report.finished_at_s,
            arms=kept_arms(report.arms, _case_scores(report), [objective.name for objective in self._study.objectives]),
        )
        with open_legacy(self._url) as store:
            store.save(self._family(), study)

    def _keeps(self, means: Mapping[str, float]) -> bool:
        """Say whether mean metrics, as far as they were kept, keep every bound."""
        return all(o.keeps(means[o.name]) for o in self._study.objectives if o.name in means)

    def _family(self) -> Family:
        api = self._study.spec.api
        return Family(
            name=self._section.session_id or api.name,
            provider=api.provider or ("http" if api.function is None else "python"),
            endpoint=api.endpoint or next((model.endpoint for model in (api.models or {}).values()), ""),
            metrics=tuple(metric.name for metric in self._study.metrics),
        )


@contextmanager
def open_legacy(url: str) -> Iterator[LegacyStore]:
    """Give the legacy kept in a database."""
    database = open_database(url)
    try:
        yield LegacyStore(database)
    finally:
        database.close()


def _case_scores(report: StudyReport) -> dict[ArmId, dict[str, float]]:
    """Return each arm's mean score by test case id."""
    arms = {arm.arm for arm in report.arms}
    scores: dict[ArmId, dict[str, list[float]]] = {}
    for call in report.calls:
        outcome = call.outcome
        if call.score is not None and outcome.call.arm in arms:
            case = report.cases[outcome.call.case].id
            scores.setdefault(outcome.call.arm, {}).setdefault(case, []).append(call.score)
    return {arm: {case: sum(v) / len(v) for case, v in by_case.items()} for arm, by_case in scores.items()}
