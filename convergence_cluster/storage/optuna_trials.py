"""Arms as Optuna trials in the same database, so that any Optuna tool opens a study.

One objective, maximized: the score, on which the search decides, so that `best_trial` means something. A trial's raw
metrics are user attributes `metric.<name>`; several objectives would leave Optuna without a best trial and without
pruned ones. Optuna creates its tables and the study; the rows of trials are written into its tables directly, many at
once, at less than a twentieth of the cost of its own `create_new_trial`, which counts all earlier trials and commits
for each.

Source: optuna 5.0, `RDBStorage._get_prepared_new_trial` for what it would have written.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import TrialState
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Configuration, StudyId
from convergence_cluster.domain.journal import ArmRecord
from convergence_cluster.domain.search import ArmState
from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.storage import optuna_tables
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.distributions import Dimension, dimension

_FINITE = "FINITE"
_REPLACED = tuple(
    delete(table).where(table.c.trial_id == bindparam("id"))
    for table in (optuna_tables.params, optuna_tables.values, optuna_tables.user_attributes)
)
_SAME_STEP = delete(optuna_tables.intermediate_values).where(
    optuna_tables.intermediate_values.c.trial_id == bindparam("id"),
    optuna_tables.intermediate_values.c.step == bindparam("at"),
)
_CHANGED = (
    update(optuna_tables.trials)
    .where(optuna_tables.trials.c.trial_id == bindparam("id"))
    .values(state=bindparam("new_state"), datetime_start=bindparam("start"), datetime_complete=bindparam("complete"))
)


class OptunaTrials:
    """The trials of one Optuna study; trial n is arm n."""

    def __init__(self, *, optuna_study: int, dimensions: Mapping[str, Dimension]) -> None:
        self._optuna_study = optuna_study
        self._dimensions = dimensions

    def write(self, connection: Connection, arms: Sequence[ArmRecord]) -> None:
        """Write arms within the caller's transaction, replacing earlier records of the same arms.

        The score at each number of calls stays as an intermediate value, so the history of an arm remains visible.
        """
        if not arms:
            return
        records = {int(record.arm): record for record in arms}
        ids = self._known(connection, sorted(records))
        if ids:
            self._replace(connection, [(trial, records[arm]) for arm, trial in ids.items()])
        new = [record for arm, record in sorted(records.items()) if arm not in ids]
        if new:
            ids.update(self._insert(connection, new))
        for table, rows_of in (
            (optuna_tables.params, self._params),
            (optuna_tables.values, _value),
            (optuna_tables.intermediate_values, _step),
            (optuna_tables.user_attributes, self._attributes),
        ):
            rows = [row for arm, record in records.items() for row in rows_of(ids[arm], record)]
            if rows:
                connection.execute(insert(table), rows)

    @staticmethod
    def _replace(connection: Connection, known: Sequence[tuple[int, ArmRecord]]) -> None:
        connection.execute(
            _CHANGED, [{"id": trial, "new_state": trial_state(record), **_times(record)} for trial, record in known]
        )
        for statement in _REPLACED:
            connection.execute(statement, [{"id": trial} for trial, _ in known])
        connection.execute(_SAME_STEP, [{"id": trial, "at": record.n_calls} for trial, record in known])

    def _known(self, connection: Connection, arms: Sequence[int]) -> dict[int, int]:
        query = select(optuna_tables.trials.c.number, optuna_tables.trials.c.trial_id).where(
            optuna_tables.trials.c.study_id == self._optuna_study
        )
        rows = connection.execute(query.where(optuna_tables.trials.c.number.between(arms[0], arms[-1])))
        wanted = set(arms)
        return {number: trial for number, trial in rows if number in wanted}

    def _insert(self, connection: Connection, records: Sequence[ArmRecord]) -> dict[int, int]:
        rows = [
            {
                "number": int(record.arm),
                "study_id": self._optuna_study,
                "state": trial_state(record),
                "datetime_start": _utc(record.started_at_s),
                "datetime_complete": _times(record)["complete"],
            }
            for record in records
        ]
        stored = connection.execute(
            insert(optuna_tables.trials).returning(optuna_tables.trials.c.number, optuna_tables.trials.c.trial_id), rows
        )
        return {row.number: row.trial_id for row in stored}

    def _params(self, trial: int, record: ArmRecord) -> Iterator[dict[str, Any]]:
        for name, value in record.configuration.items():
            stored = self._stored(name, value)
            if stored is not None:
                number, distribution = stored
                yield {"trial_id": trial, "param_name": name, "param_value": number, "distribution_json": distribution}

    def _attributes(self, trial: int, record: ArmRecord) -> Iterator[dict[str, Any]]:
        attributes: dict[str, Any] = {
            "state": record.state.value,
            "operator": record.operator,
            "score": record.score,
            "n_calls": record.n_calls,
            "n_cases": record.n_cases,
            **{f"metric.{name}": value for name, value in record.objectives.items()},
            **{
                f"param.{name}": value
                for name, value in record.configuration.items()
                if self._stored(name, value) is None
            },
        }
        for key, value in attributes.items():
            yield {"trial_id": trial, "key": key, "value_json": json.dumps(value)}

    def _stored(self, name: str, value: object) -> tuple[float, str] | None:
        known = self._dimensions.get(name)
        return None if known is None else known.stored(value)


def open_trials(
    database: Database,
    *,
    study: StudyId,
    space: SearchSpace,
    baseline: Configuration | None = None,
    attributes: Mapping[str, str] | None = None,
) -> OptunaTrials:
    """Create the Optuna study named like ours if it is not there yet, and return where its trials are written.

    Costs about a second the first time, when Optuna creates its tables. Not inside a transaction on the same database.

    Raises:
        ConvergenceError: Optuna cannot use this database; the message says why.
    """
    dimensions = {parameter.name: dimension(parameter, baseline) for parameter in space.parameters}
    try:
        with _quiet():
            storage = optuna.storages.RDBStorage(database.url)
        try:
            with _quiet():
                created = optuna.create_study(
                    storage=storage, study_name=study, direction="maximize", load_if_exists=True
                )
            for key, value in (attributes or {}).items():
                created.set_user_attr(key, value)
            optuna_study = storage.get_study_id_from_name(study)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (OptunaError, SQLAlchemyError, RuntimeError) as error:
        raise ConvergenceError(f"Optuna cannot use the database {database.name}: {error}") from error
    return OptunaTrials(optuna_study=optuna_study, dimensions=dimensions)


def trial_state(record: ArmRecord) -> TrialState:
    """Return the state that Optuna's tools understand: an arm that cannot run, or has no score, has failed."""
    match record.state:
        case ArmState.OUT:
            return TrialState.FAIL
        case ArmState.DEAD:
            return TrialState.PRUNED
        case ArmState.ALIVE:
            if not record.is_final:
                return TrialState.RUNNING
            return TrialState.FAIL if _score(record) is None else TrialState.COMPLETE


def _score(record: ArmRecord) -> float | None:
    return record.score if record.score is not None and math.isfinite(record.score) else None


def _value(trial: int, record: ArmRecord) -> Iterator[dict[str, Any]]:
    score = _score(record)
    if score is not None and trial_state(record) in {TrialState.COMPLETE, TrialState.PRUNED}:
        yield {"trial_id": trial, "objective": 0, "value": float(score), "value_type": _FINITE}


def _step(trial: int, record: ArmRecord) -> Iterator[dict[str, Any]]:
    score = _score(record)
    if score is not None:
        yield {
            "trial_id": trial,
            "step": record.n_calls,
            "intermediate_value": float(score),
            "intermediate_value_type": _FINITE,
        }


def _times(record: ArmRecord) -> dict[str, datetime | None]:
    """Optuna wants an end exactly where a trial is finished."""
    is_finished = trial_state(record).is_finished()
    end_s = record.finished_at_s if record.finished_at_s is not None else record.started_at_s
    return {"start": _utc(record.started_at_s), "complete": _utc(end_s) if is_finished else None}


def _utc(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling the terminal that it created a study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
