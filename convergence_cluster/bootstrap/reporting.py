"""Gathers all that is known of a study into a report, and puts the report's files on disk."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from convergence_cluster import __version__
from convergence_cluster.bootstrap.assembly import Assembly
from convergence_cluster.bootstrap.calibrating import agreements
from convergence_cluster.bootstrap.confirming import holdout_notes, holdout_result
from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.search import Direction, StopReason
from convergence_cluster.reports.constraints import BROKEN, breach_words
from convergence_cluster.reports.documents import documents
from convergence_cluster.reports.exporting import ExportFormat, export
from convergence_cluster.reports.intervals import rounded
from convergence_cluster.reports.ranges import out_of_range
from convergence_cluster.reports.records import (
    Caps,
    MetricDefinition,
    ScoredCall,
    Spend,
    StudyReport,
    TrajectoryPoint,
    Visualization,
)
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.storage.studies import StudyRecord

_UNITS = {"_usd": "usd", "_ms": "ms", "_s": "s", "_tokens": "tokens"}


def build_report(
    assembly: Assembly, study: LoadedStudy, record: StudyRecord, reason: StopReason | None, *, finished_at_s: float
) -> StudyReport:
    """Return everything that the documents say."""
    coordinator = assembly.coordinator
    answer = rounded(coordinator.optimizer.recommend(full=True))
    outcomes = tuple(coordinator.outcomes.values())
    return StudyReport(
        study=record.id,
        name=study.spec.api.name,
        started_at_s=record.created_at_s,
        finished_at_s=finished_at_s,
        stop_reason=reason,
        recommendation=answer,
        arms=tuple(sorted(answer.arms, key=lambda arm: arm.arm)),
        calls=tuple(_scored(assembly, outcome) for outcome in outcomes if outcome.call.case < len(study.cases)),
        cases=study.cases,
        metrics=_metrics(assembly, study),
        space=study.space,
        within=study.spec.optimization.execution.early_stopping.within,
        spend=_spend(assembly),
        caps=Caps(usd=study.spec.budget.usd, calls=study.max_calls, minutes=study.spec.budget.minutes),
        price_sources=tuple(sorted({source for o in outcomes for source in _sources(o)})),
        legacy=json.loads(record.spec_json)["started_from"],
        holdout=holdout_result(assembly, study) if study.holdout else None,
        trajectory=tuple(
            TrajectoryPoint(n_calls=point.n_calls, arm=point.arm, score=point.score)
            for point in coordinator.trajectory.points
        ),
        notes=(
            *study.notes,
            *agreements(assembly, study),
            *holdout_notes(assembly, study, reason),
            *out_of_range(o for o in outcomes if o.call.case < len(study.all_cases)),
        ),
        answers_allowed=study.spec.output.save_answers,
        provenance={
            "version": __version__,
            "study digest": study.digest,
            "seed": str(study.spec.optimization.seed),
            "algorithm": study.spec.optimization.algorithm,
        },
    )


def write_report(report: StudyReport, study: LoadedStudy, *, folder: Path | None = None) -> list[Path]:
    """Write the files that the study asks for, each of them whole or not at all; return their paths.

    Raises:
        ConvergenceError: the folder cannot be written.
    """
    output = study.spec.output
    target = folder or Path(output.save_path)
    charts = tuple(Visualization(name) for name in output.visualizations if name in set(Visualization)) or None
    files: dict[Path, bytes] = {
        target / name: content
        for name, content in documents(report, formats=output.formats, visualizations=charts).items()
    }
    best = report.recommendation.best
    exported = output.export_best_config
    if exported is not None and exported.enabled and best is not None:
        broken = breach_words(report)
        source = f"best of study {report.study}" + (f"; {BROKEN}: {broken}" if broken else "")
        text = export(best.configuration, ExportFormat(exported.format), source=source)
        files[Path(exported.output_path)] = text.encode()
    try:
        for path, content in files.items():
            _replace(path, content)
    except OSError as error:
        raise ConvergenceError(f"the results cannot be written to {target}: {error.strerror or error}") from error
    return list(files)


def _scored(assembly: Assembly, outcome: CallOutcome) -> ScoredCall:
    return ScoredCall(
        outcome=outcome,
        score=assembly.metrics.score(outcome.metrics) if outcome.is_scored else None,
        block=assembly.coordinator.block_index.get(outcome.call.key, 0),
    )


def _metrics(assembly: Assembly, study: LoadedStudy) -> tuple[MetricDefinition, ...]:
    scales: Mapping[str, float | None] = {utility.name: utility.scale for utility in assembly.metrics.utilities}
    return tuple(
        MetricDefinition(
            name=metric.name,
            weight=metric.weight,
            direction=metric.direction,
            unit=next((unit for ending, unit in _UNITS.items() if metric.name.endswith(ending)), ""),
            scale=scales[metric.name] if metric.direction is Direction.MINIMIZE else None,
            low=objective.low,
            high=objective.high,
        )
        for metric, objective in zip(study.metrics, study.objectives, strict=True)
    )


def _sources(outcome: CallOutcome) -> list[str]:
    scoring = f"{outcome.scoring_source} (scoring)" if outcome.scoring_source else None
    return [source for source in (outcome.price_source, scoring) if source]


def _spend(assembly: Assembly) -> Spend:
    accounts, sittings = assembly.coordinator.accounts, assembly.coordinator.sittings
    return Spend(
        usd=accounts.known_usd,
        n_calls=accounts.n_attempts,
        seconds=sittings.active_s,
        n_retries=accounts.n_retries,
        n_unpriced_calls=accounts.n_unpriced,
        unknown_usd=accounts.unknown_usd,
        scoring_usd=accounts.scoring_usd,
        n_unpriced_scorings=accounts.n_unpriced_scorings,
        n_cached_calls=accounts.n_cached,
        cached_usd=accounts.cached_usd,
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
