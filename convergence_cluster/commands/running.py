"""What `optimize`, `submit` and `resume` share: their options, the view, the last lines, the exit code."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from convergence_cluster.bootstrap.control import Control
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.reporting import write_report
from convergence_cluster.bootstrap.results_folder import require_writable
from convergence_cluster.bootstrap.sitting import Sitting
from convergence_cluster.bootstrap.submitting import ClusterClient
from convergence_cluster.commands.conditions import Condition, parse_condition
from convergence_cluster.commands.live import choose_view
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import StopReason
from convergence_cluster.machine.control import BROKER, found_environment, place_in
from convergence_cluster.reports.constraints import breach_facts
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.summary import last_lines
from convergence_cluster.settings import Settings, read_settings
from convergence_cluster.telemetry import configure_logging, redactor, secrets_of

_CAPS = {
    StopReason.BUDGET_CALLS: "budget.calls",
    StopReason.BUDGET_USD: "budget.usd",
    StopReason.BUDGET_TIME: "budget.minutes",
}
ANSWERED, FAILED, WRONG_USAGE, NO_ANSWER, CONDITION_HOLDS, INTERRUPTED = 0, 1, 2, 3, 4, 130


def configure_view(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every command that runs a study."""
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write the results here (output.save_path)")
    parser.add_argument(
        "--no-cache", action="store_true", help="make every call anew, and keep no answer for later studies"
    )
    parser.add_argument("--json", action="store_true", help="print progress and answer as JSON, one object a line")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the answer only")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        type=parse_condition,
        metavar="'METRIC < VALUE'",
        help="exit with 4 if this holds for the answer: a metric, score, p_within or change; may be given often",
    )


def open_control(options: argparse.Namespace | None = None) -> Control:
    """Return the control over studies in this process, with logging set up and every secret known to it.

    With the options of a command that runs a study, no study begins whose results could not be written.
    """
    environ = dict(surroundings())
    if options is None:
        return Control(_settings_for(environ), environ=environ, clock=SystemClock())
    if options.no_cache:
        environ["CONVERGENCE_CACHE_MB"] = "0"  # the environment reaches the processes that make the calls
    require = partial(require_writable, folder=options.output)
    return Control(_settings_for(environ), environ=environ, clock=SystemClock(), require=require)


def surroundings() -> Mapping[str, str]:
    """Return this process's environment, completed by `.env`, and by where the cluster on this machine keeps studies.

    A broker is none of it, unless the user named one: what runs here runs here.
    """
    environ = read_environment(Path.cwd(), os.environ)
    state = place_in(read_settings(environ).home).state()
    if state is None or BROKER in environ:
        return environ
    return {**state.environment, BROKER: "", **environ}


def here() -> Settings:
    """Return the settings under which studies run here and are looked up."""
    return _settings_for(surroundings())


def cluster_environment() -> Mapping[str, str]:
    """Return this process's environment, completed by `.env`, and by where the cluster on this machine is.

    Raises:
        ConvergenceError: one was started on this machine, and has died.
    """
    environ = read_environment(Path.cwd(), os.environ)
    return found_environment(environ, read_settings(environ).home)


def find_cluster() -> Settings | None:
    """Return the settings of the cluster that is configured or runs on this machine, or None where there is none.

    Raises:
        ConvergenceError: one was started on this machine, and has died.
    """
    settings = read_settings(cluster_environment())
    return None if settings.broker_url is None else settings


def cluster_client() -> ClusterClient | None:
    """Return what talks to the cluster that is configured or runs on this machine, or None where there is none.

    Raises:
        ConvergenceError: one was started on this machine, and has died.
    """
    environ = cluster_environment()
    settings = _settings_for(environ)
    return None if settings.broker_url is None else ClusterClient(settings, environ=environ, clock=SystemClock())


def require_cluster() -> ClusterClient:
    """Return what talks to the cluster.

    Raises:
        ConvergenceError: none is configured.
    """
    client = cluster_client()
    if client is None:
        raise ConvergenceError(
            "no cluster is configured; set CONVERGENCE_BROKER_URL and CONVERGENCE_DATABASE_URL, or start one: make up"
        )
    return client


def _settings_for(environ: Mapping[str, str]) -> Settings:
    settings = read_settings(environ)
    configure_logging(settings.log_level, redact=redactor(secrets_of(environ)))
    return settings


class Sit(Protocol):
    """Runs one sitting of a study."""

    def __call__(self, *, listener: Callable[[Progress], None]) -> Sitting:
        """Run it, showing progress to the listener."""
        ...


def show(options: argparse.Namespace, sit: Sit) -> int:
    """Run a sitting under the view that the options ask for; write the results; return the exit code."""
    with choose_view(as_json=options.json, is_quiet=options.quiet) as view:
        sitting = sit(listener=view)
    study, report = sitting.study, sitting.report
    try:
        paths, unwritten = write_report(report, study, folder=options.output), None
    except ConvergenceError as error:
        paths, unwritten = [], error
    folder = options.output or Path(study.spec.output.save_path)
    if options.json:
        print(json.dumps(answer_facts(report, paths)), flush=True)
    else:
        is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        print("\n".join(last_lines(report, saved_to=str(folder) if paths else None, is_unicode=is_unicode)), flush=True)
    if unwritten is not None:
        raise ConvergenceError(f"{unwritten}; they are kept: convergence report {report.study} -o DIR") from unwritten
    return _exit_code(sitting, options.fail_if)


def answer_facts(report: StudyReport, paths: list[Path]) -> Json:
    """Return the answer as JSON."""
    answer = report.recommendation
    best = answer.best
    return {
        "event": "answer",
        "study": report.study,
        "stop_reason": report.stop_reason and report.stop_reason.value,
        "best_config": best and dict(best.configuration),
        "is_feasible": best and best.is_feasible,
        "constraints_broken": breach_facts(report),
        "score": best and {"mean": best.score.mean, "low": best.score.low, "high": best.score.high},
        "change": answer.change and {"mean": answer.change.mean, "low": answer.change.low, "high": answer.change.high},
        "p_within": answer.p_within,
        "tied": [dict(arm.configuration) for arm in answer.tied],
        "calls": report.spend.n_calls,
        "spent_usd": report.spend.usd,
        "files": [str(path) for path in paths],
    }


def _no_answer(report: StudyReport) -> str:
    cap = _CAPS.get(report.stop_reason) if report.stop_reason is not None else None
    if cap is not None and not report.calls:
        return f"no call has ended; raise {cap} in the study file, then: convergence resume {report.study}"
    return f"no configuration could be run: {_commonest_error(report)}"


def _commonest_error(report: StudyReport) -> str:
    errors = Counter(call.outcome.error for call in report.calls if call.outcome.error)
    return next((error for error, _ in errors.most_common(1) if error), "the report says what went wrong")


def _mending(report: StudyReport) -> str:
    """Return what is to be done before a study that its API stopped can go on."""
    spend, caps = report.spend, report.caps
    spent: dict[str, tuple[float, float | None]] = {
        "budget.calls": (spend.n_calls, caps.calls),
        "budget.usd": ((spend.usd or 0.0) + spend.cached_usd, caps.usd),
        "budget.minutes": (spend.seconds / 60.0, caps.minutes),
    }
    gone = [name for name, (used, cap) in spent.items() if cap is not None and used >= cap]
    return f"mend it and raise {' and '.join(gone)} in the study file" if gone else "mend it"


def _exit_code(sitting: Sitting, conditions: list[Condition]) -> int:
    report = sitting.report
    if report.stop_reason is StopReason.PROVIDER:
        why = sitting.last_error or "no further detail"
        raise ConvergenceError(
            f"the API refuses every further call: {why}\n"
            f"What is finished is kept; {_mending(report)}, then: convergence resume {report.study}"
        )
    if report.stop_reason is None:
        print(f"interrupted; go on with: convergence resume {report.study}", file=sys.stderr)
        return INTERRUPTED
    if report.recommendation.best is None:
        print(_no_answer(report), file=sys.stderr)
        return NO_ANSWER
    held = [condition for condition in conditions if condition.holds(report)]
    for condition in held:
        print(f"fail-if: {condition.describe(report)}", file=sys.stderr)
    return CONDITION_HOLDS if held else ANSWERED
