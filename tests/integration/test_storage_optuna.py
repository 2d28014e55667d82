"""Arms as Optuna trials, read back by Optuna itself, on SQLite and a real PostgreSQL."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from convergence_cluster.domain.errors import LeaseLost
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.journal import ArmRecord
from convergence_cluster.domain.search import ArmState
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.optuna_trials import open_trials
from convergence_cluster.storage.studies import Studies
from tests.postgres import PostgresServer, postgres_server

PROMPT = "You are a patient assistant. " * 20
SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("mini", "nano", None, True, 1, {"a": [1]})),
        Parameter(name="prompt", kind=ParameterKind.CATEGORICAL, values=(PROMPT, "Be brief.")),
        Parameter(name="max_tokens", kind=ParameterKind.ORDINAL, values=(256, 512, 1024)),
        Parameter(name="n", kind=ParameterKind.INTEGER, low=1, high=10, step=2),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.05, step=0.1),
        Parameter(name="rate", kind=ParameterKind.CONTINUOUS, low=1e-5, high=1e-2, log=True),
        Parameter(
            name="effort", kind=ParameterKind.CATEGORICAL, values=("low", "high"), when={"model": ("mini", "nano")}
        ),
    )
)
BASELINE = {"model": "large", "max_tokens": 2048, "n": 13, "temperature": 0.33, "rate": 0.5, "unknown": [1]}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/convergence.db")
    else:
        running: PostgresServer = request.getfixturevalue("server")
        opened = open_database(running.new_database())
    yield opened
    opened.close()


def arm(number: int, **changes: Any) -> ArmRecord:
    values: dict[str, Any] = {
        "arm": ArmId(number),
        "configuration": {
            "model": "mini",
            "prompt": PROMPT,
            "max_tokens": 512,
            "n": 3,
            "temperature": 0.3,
            "rate": 1e-4,
            "effort": "low",
        },
        "state": ArmState.ALIVE,
        "is_final": False,
        "score": 0.5 + number / 100,
        "objectives": {"quality": 0.75, "latency_ms": 412.5},
        "n_calls": 4,
        "n_cases": 4,
        "operator": "mutation",
        "started_at_s": 1_700_000_000.25,
        "finished_at_s": None,
        **changes,
    }
    return ArmRecord(**values)


def journal_of(database: Database) -> tuple[StudyId, StudyJournal]:
    study = Studies(database).create(name="demo", digest="d", spec_json="{}", now_s=1.0).id
    token = Leases(database).claim(study, "tester", ttl_s=30.0, now_s=100.0)
    trials = open_trials(database, study=study, space=SPACE, baseline=BASELINE, attributes={"digest": "d"})
    return study, StudyJournal(database, study=study, token=token, trials=trials)


@contextmanager
def optuna_storage(database: Database) -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(database.url)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def as_optuna_reads(database: Database, study: str) -> list[FrozenTrial]:
    with optuna_storage(database) as storage:
        return optuna.load_study(study_name=study, storage=storage).get_trials()


def rows(database: Database, study: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that Optuna's tables say of a study, without its row ids."""
    queries = {
        "trials": "t.number, t.state, t.datetime_start, t.datetime_complete FROM trials t",
        "params": "t.number, c.param_name, c.param_value, c.distribution_json "
        "FROM trials t JOIN trial_params c USING (trial_id)",
        "values": "t.number, c.objective, c.value, c.value_type FROM trials t JOIN trial_values c USING (trial_id)",
        "steps": "t.number, c.step, c.intermediate_value, c.intermediate_value_type "
        "FROM trials t JOIN trial_intermediate_values c USING (trial_id)",
        "attributes": "t.number, c.key, c.value_json FROM trials t JOIN trial_user_attributes c USING (trial_id)",
    }
    found = {}
    with database.read() as connection:
        for name, query in queries.items():
            statement = text(f"SELECT {query} JOIN studies s ON s.study_id = t.study_id WHERE s.study_name = :study")
            found[name] = sorted(tuple(row) for row in connection.execute(statement, {"study": study}))
    return found


def written_by_optuna(database: Database, templates: Sequence[FrozenTrial]) -> str:
    with optuna_storage(database) as storage:
        number = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "by-optuna")
        for template in templates:
            storage.create_new_trial(number, template)
    return "by-optuna"


FINISHED = 1_700_000_060.5
LIVES = (
    arm(0),
    arm(1, is_final=True, finished_at_s=FINISHED),
    arm(2, is_final=True, finished_at_s=FINISHED, state=ArmState.DEAD),
    arm(3, is_final=True, finished_at_s=FINISHED, state=ArmState.OUT),
    arm(4, score=None, objectives={}, n_calls=0, n_cases=0),
    arm(5, is_final=True, finished_at_s=FINISHED, configuration={"model": None, "n": 9, "temperature": 1.0}),
)


def test_trials_read_by_optuna_equal_the_arms(database: Database) -> None:
    study, journal = journal_of(database)

    journal.record_arms(LIVES)

    trials = as_optuna_reads(database, study)
    states = [TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4, 5]
    assert [trial.state for trial in trials] == [*states, TrialState.COMPLETE]
    assert [trial.values for trial in trials] == [None, [0.51], [0.52], None, None, [0.55]]
    assert trials[1].user_attrs["metric.latency_ms"] == 412.5
    assert trials[1].params["temperature"] == 0.3
    assert trials[5].params == {"model": None, "n": 9, "temperature": 1.0}
    assert trials[0].intermediate_values == {4: 0.5}
    for trial in trials:
        trial._validate()


def test_the_rows_are_those_that_optuna_would_have_written(database: Database) -> None:
    study, journal = journal_of(database)
    journal.record_arms(LIVES)
    templates = as_optuna_reads(database, study)

    other = written_by_optuna(database, templates)

    assert rows(database, study) == rows(database, other)


def test_the_best_trial_is_the_best_arm_that_is_alive(database: Database) -> None:
    study, journal = journal_of(database)
    finished: dict[str, Any] = {"is_final": True, "finished_at_s": FINISHED}

    journal.record_arms([arm(0, **finished), arm(1, **finished), arm(2, state=ArmState.DEAD, **finished)])

    with optuna_storage(database) as storage:
        loaded = optuna.load_study(study_name=study, storage=storage)
        assert loaded.best_trial.number == 1
        assert loaded.best_params["model"] == "mini"
        assert loaded.user_attrs == {"digest": "d"}


def test_a_later_record_of_an_arm_replaces_the_earlier_and_keeps_its_history(database: Database) -> None:
    study, journal = journal_of(database)
    journal.record_arms([arm(1), arm(0)])

    journal.record_arms([arm(0, n_calls=8, score=0.7), arm(2), arm(0, n_calls=8, score=0.8)])
    journal.record_arms(
        [arm(0, n_calls=9, score=0.9, is_final=True, finished_at_s=FINISHED, objectives={"quality": 1.0})]
    )

    trials = as_optuna_reads(database, study)
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert trials[0].state is TrialState.COMPLETE
    assert trials[0].value == 0.9
    assert trials[0].intermediate_values == {4: 0.5, 8: 0.8, 9: 0.9}
    assert "metric.latency_ms" not in trials[0].user_attrs
    assert trials[0].datetime_complete == datetime.fromtimestamp(FINISHED, UTC).astimezone().replace(tzinfo=None)
    assert trials[1].value is None


def test_a_baseline_outside_the_space_is_a_valid_trial(database: Database) -> None:
    study, journal = journal_of(database)

    journal.record_arms([arm(0, configuration=BASELINE, is_final=True, finished_at_s=FINISHED)])

    trials = as_optuna_reads(database, study)
    trials[0]._validate()
    assert trials[0].params == {"model": "large", "max_tokens": 2048, "n": 13, "temperature": 0.33, "rate": 0.5}
    assert trials[0].user_attrs["param.unknown"] == [1]


def test_optuna_goes_on_from_our_trials(database: Database) -> None:
    study, journal = journal_of(database)
    finished = {"is_final": True, "finished_at_s": FINISHED}
    configurations = [{"model": model, "n": n} for model in ("mini", "nano", None) for n in (1, 3, 5, 7, 9)]
    journal.record_arms([arm(n, configuration=given, **finished) for n, given in enumerate(configurations)])

    with optuna_storage(database) as storage:
        sampler = optuna.samplers.TPESampler(seed=1)
        loaded = optuna.load_study(study_name=study, storage=storage, sampler=sampler)
        trial = loaded.ask({name: loaded.trials[0].distributions[name] for name in ("model", "n")})
        loaded.tell(trial, 0.5)
        importances = optuna.importance.get_param_importances(loaded)

    assert trial.number == 15
    assert importances.keys() == {"model", "n"}


def test_a_writer_that_lost_its_lease_changes_no_trial(database: Database) -> None:
    study, journal = journal_of(database)
    journal.record_arms([arm(0)])
    Leases(database).claim(study, "heir", ttl_s=30.0, now_s=1000.0)

    with pytest.raises(LeaseLost):
        journal.record_arms([arm(0, score=0.9)])

    assert as_optuna_reads(database, study)[0].user_attrs["score"] == 0.5


def test_ten_thousand_arms_take_seconds_and_a_twentieth_each_of_what_optuna_takes(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    study, journal = journal_of(database)
    records = [arm(number) for number in range(10_000)]
    journal.record_arms(records[:20])
    templates = as_optuna_reads(database, study)
    start_s = time.process_time()

    for first in range(20, len(records), 499):
        journal.record_arms(records[first : first + 499])
    insert_ms = (time.process_time() - start_s) * 1000 / (len(records) - 20)
    start_s = time.process_time()
    journal.record_arms([arm(number, score=0.1, n_calls=9) for number in range(0, 10_000, 10)])
    replace_ms = (time.process_time() - start_s) * 1000 / (len(records) / 10)
    start_s = time.process_time()
    written_by_optuna(database, templates)
    optuna_ms = (time.process_time() - start_s) * 1000 / len(templates)

    with capsys.disabled():
        figures = f"{insert_ms:.3f} ms CPU a new trial, {replace_ms:.3f} ms a replaced one"
        sys.stdout.write(f"\n{database.engine.dialect.name}: {figures}; Optuna itself {optuna_ms:.1f} ms\n")
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM trials")).scalar_one() == 10_000 + len(templates)
    assert insert_ms < 1.0
    assert max(insert_ms, replace_ms) < optuna_ms / 20
