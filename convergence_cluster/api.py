"""The Python API: run a study from code, with typed results."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.bootstrap.control import Control
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.reporting import write_report
from convergence_cluster.bootstrap.results_folder import require_writable
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmEstimate, Interval, StopReason
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.summary import last_lines
from convergence_cluster.settings import read_settings
from convergence_cluster.spec.loading import LoadedStudy, load_study, loads
from convergence_cluster.telemetry import configure_logging, is_logging_configured, redactor, secrets_of

Study = LoadedStudy
"""A study file with everything that it names, checked."""

__all__ = ["Progress", "Study", "StudyResult", "load_study", "loads", "optimize"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResult:
    """The answer of a study."""

    best_config: Configuration | None
    """None: no configuration could be run."""
    score: Interval | None
    """Posterior mean of the score with its 90 % interval."""
    is_feasible: bool | None
    """Whether the best configuration keeps the study's constraints; where none does, the one that breaks them least is
    the best. None: no configuration could be run."""
    change: Interval | None
    """Score of the best less that of the baseline; None without a measured baseline."""
    p_within: float
    """P(the best configuration is within the margin of the best of all tried)."""
    tied: tuple[ArmEstimate, ...]
    """Configurations that cannot be told from the best."""
    stop_reason: StopReason | None
    """None: interrupted."""
    spent_usd: float | None
    """None: no price is known."""
    n_calls: int
    files: tuple[Path, ...]
    """What was written."""
    report: StudyReport
    """Everything else."""

    def __str__(self) -> str:
        return "\n".join(last_lines(self.report))


def optimize(
    study: str | Path | Study,
    *,
    is_new: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    writes_files: bool = True,
) -> StudyResult:
    """Run a study in this process and return the answer; an unfinished run of the same study is taken up again.

    `study` is a path or what `load_study` returned. Settings come from `CONVERGENCE_*` and keys from the variables that
    the study names, both from the environment and from `.env` in the current folder.

    Raises:
        SpecError: the study file is not valid, lacks a key or a price, or its results could not be written.
        Conflict: another process runs the same study.
    """
    loaded = study if isinstance(study, LoadedStudy) else load_study(study)
    source = None if isinstance(study, LoadedStudy) else Path(study)
    environ = read_environment(Path.cwd(), os.environ)
    settings = read_settings(environ)
    if not is_logging_configured():
        configure_logging(settings.log_level, redact=redactor(secrets_of(environ)))
    require: Callable[[Study], None] = require_writable if writes_files else lambda _: None
    control = Control(settings, environ=environ, clock=SystemClock(), require=require)
    report = control.run(loaded, source=source, is_new=is_new, listener=on_progress).report
    answer = report.recommendation
    return StudyResult(
        best_config=answer.best.configuration if answer.best else None,
        score=answer.best.score if answer.best else None,
        is_feasible=answer.best.is_feasible if answer.best else None,
        change=answer.change,
        p_within=answer.p_within,
        tied=answer.tied,
        stop_reason=report.stop_reason,
        spent_usd=report.spend.usd,
        n_calls=report.spend.n_calls,
        files=tuple(write_report(report, loaded)) if writes_files else (),
        report=report,
    )
