"""What earlier studies learned, kept and handed on."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from convergence_cluster.bootstrap.searching import dump_legacy, parse_legacy
from convergence_cluster.domain.errors import ConvergenceError, NotFound
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.legacy import LegacyStore
from convergence_cluster.storage.legacy_files import (
    Imported,
    audit_rows,
    export_document,
    import_file,
    winner_rows,
)
from convergence_cluster.storage.legacy_records import Family, LegacyArm, LegacyStudy, parameters_of

FAMILY = Family(
    name="support-bot",
    provider="openai",
    endpoint="https://user:secret@API.openai.com:443/v1/chat/completions/?key=secret",
    metrics=("quality", "latency_ms"),
)
SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("mini", "nano")),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0, step=0.1),
    )
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LegacyStore]:
    database = open_database(f"sqlite:///{tmp_path}/legacy.db")
    yield LegacyStore(database)
    database.close()


def arm(model: str, temperature: float, score: float, **changes: Any) -> LegacyArm:
    return LegacyArm(configuration={"model": model, "temperature": temperature}, score=score, n_calls=10, **changes)


def study(number: int, *arms: LegacyArm, policy: Mapping[str, Any] | None = None) -> LegacyStudy:
    return LegacyStudy(
        id=f"bot-{number}",
        origin="convergence",
        parameters=parameters_of(SPACE),
        policy=policy or {},
        n_calls=100,
        finished_at_s=1000.0 * number,
        arms=arms,
    )


def test_the_next_study_starts_from_the_best_of_the_earlier_ones(store: LegacyStore) -> None:
    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8), arm("nano", 0.2, 0.4), policy={"mutation": [1, 2]}))
    store.save(FAMILY, study(2, arm("nano", 0.9, 0.5), arm("nano", 0.1, 0.1)))

    inheritance = store.inherit(FAMILY, SPACE, now_s=2000.0 + 3 * 86_400, limit=2)

    best = [elite.configuration for elite in inheritance.legacy.elites]
    assert best == [{"model": "nano", "temperature": 0.9}, {"model": "mini", "temperature": 0.2}]
    assert [elite.weight for elite in inheritance.legacy.elites] == pytest.approx([1.0, 0.8])
    assert inheritance.legacy.policy == {"mutation": [1, 2]}
    assert inheritance.summary == (
        "Starting from 2 configurations that 2 earlier studies of support-bot found good in 200 calls, "
        "the last 3 days ago."
    )


def test_it_says_when_there_is_nothing_to_start_from(store: LegacyStore) -> None:
    inheritance = store.inherit(FAMILY, SPACE, now_s=1.0)

    assert inheritance.legacy.elites == ()
    assert "starting from nothing" in inheritance.summary


def test_it_says_how_many_were_fitted_to_an_edited_space(store: LegacyStore) -> None:
    store.save(FAMILY, study(1, arm("mini", 0.25, 0.8), arm("mini", 0.9, 0.8)))

    summary = store.inherit(FAMILY, SPACE, now_s=1030.0).summary

    assert summary.endswith("the last less than a minute ago. 1 of them were fitted to the edited search space.")


def test_it_says_how_many_more_were_measured(store: LegacyStore) -> None:
    store.save(FAMILY, study(1, *(arm("mini", n / 10, 0.8) for n in range(4))))

    summary = store.inherit(FAMILY, SPACE, now_s=1030.0, limit=3).summary

    assert summary.endswith("the last less than a minute ago. What was measured of 1 other counts as well.")


def test_scores_are_worked_out_again_under_todays_weights(store: LegacyStore) -> None:
    arms = (arm("mini", 0.1, 0.9, metrics={"quality": 0.2}), arm("nano", 0.1, 0.1, metrics={"quality": 0.7}))
    store.save(FAMILY, study(1, *arms))

    best = store.inherit(FAMILY, SPACE, now_s=1.0, limit=1, rescore=lambda metrics: metrics.get("quality"))

    assert best.legacy.elites[0].configuration["model"] == "nano"
    assert best.legacy.elites[0].score == 0.7


def test_what_breaks_a_bound_is_no_elite_while_anything_keeps_it(store: LegacyStore) -> None:
    dear, cheap = arm("mini", 0.1, 0.9, metrics={"cost": 3.0}), arm("nano", 0.2, 0.5, metrics={"cost": 1.0})
    store.save(FAMILY, study(1, cheap))
    store.save(FAMILY, study(2, dear))

    def elites(limit: float) -> list[str]:
        found = store.inherit(FAMILY, SPACE, now_s=1.0, keeps=lambda metrics: metrics["cost"] <= limit).legacy
        assert [known.configuration["model"] for known in found.arms] == ["mini"]
        return [str(elite.configuration["model"]) for elite in found.elites]

    assert elites(2.0) == ["nano"]
    assert elites(0.5) == elites(4.0) == ["mini", "nano"]


def test_all_that_was_measured_is_handed_on_with_what_the_cases_add(store: LegacyStore) -> None:
    cases = {"a": 0.9, "b": 0.7}
    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8, deviation=0.02, cases=cases), arm("nano", 0.2, 0.1)))

    legacy = store.inherit(FAMILY, SPACE, now_s=1.0, limit=1, cases=("b", "a")).legacy

    assert [known.score for known in legacy.arms] == [0.8, 0.1]
    assert legacy.arms[0].variance == pytest.approx(0.0004)
    assert [known.effect for known in legacy.cases] == pytest.approx([-0.1, 0.1])
    assert legacy.arms[0].cases == ((0, 0.7), (1, 0.9))
    assert parse_legacy(dump_legacy(legacy)) == legacy


def test_a_memory_of_an_older_release_is_still_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/legacy.db"
    database = open_database(url)
    LegacyStore(database).save(FAMILY, study(1, arm("mini", 0.2, 0.8)))
    exported = export_document(LegacyStore(database))
    with database.write() as connection:
        connection.execute(text("ALTER TABLE convergence_legacy_arms DROP COLUMN deviation"))
        connection.execute(text("UPDATE convergence_schema SET version = 2"))
    database.close()

    again = open_database(url)

    assert LegacyStore(again).inherit(FAMILY, SPACE, now_s=1.0).legacy.arms[0].score == 0.8
    assert export_document(LegacyStore(again)) == exported
    again.close()


def test_an_export_of_an_older_release_is_still_read(store: LegacyStore, tmp_path: Path) -> None:
    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8)))
    document = export_document(store)
    document["version"] = 1
    del document["families"][0]["studies"][0]["arms"][0]["deviation"]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    import_file(store, path)

    assert store.studies(FAMILY.id)[0].arms[0].deviation is None


def test_a_family_is_its_api_and_metrics_and_holds_no_secret(store: LegacyStore) -> None:
    same = Family(
        name="support-bot",
        provider="http",
        endpoint="http://api.openai.com/v1/chat/completions",
        metrics=("latency_ms", "quality"),
    )
    other = Family(name="support-bot", provider="openai", endpoint=FAMILY.endpoint, metrics=("quality",))

    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8)))

    assert same.id == FAMILY.id
    assert other.id != FAMILY.id
    assert store.inherit(other, SPACE, now_s=1.0).legacy.elites == ()
    assert "secret" not in json.dumps(export_document(store))


def test_saving_a_study_again_replaces_it(store: LegacyStore) -> None:
    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8)))
    store.save(FAMILY, study(1, arm("nano", 0.2, 0.8)))

    record = store.find("support-bot")

    assert record.n_studies == 1
    assert [one.configuration["model"] for one in store.studies(record.family.id)[0].arms] == ["nano"]


def test_a_legacy_that_is_not_there_is_answered_with_those_there_are(store: LegacyStore) -> None:
    store.save(FAMILY, study(1))

    assert store.find(FAMILY.id[:5]).family.name == "support-bot"
    with pytest.raises(NotFound, match="support-bot"):
        store.find("nope")


def test_an_export_imports_into_an_equal_store(store: LegacyStore, tmp_path: Path) -> None:
    store.save(FAMILY, study(1, arm("mini", 0.2, 0.8, metrics={"quality": 0.5}, cases={"a": 0.8}), policy={"x": 1}))
    store.save(FAMILY, study(2))
    exported = export_document(store)
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported), encoding="utf-8")
    database = open_database(f"sqlite:///{tmp_path}/other.db")
    other = LegacyStore(database)

    first = import_file(other, path)
    second = import_file(other, path)

    assert first == second == Imported(n_families=1, n_studies=2, n_arms=1)
    assert export_document(other) == exported
    database.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"format": "x", "version": 1}', b'{"format": "convergence-legacy", "version": 99}', b"\xff"],
)
def test_a_file_that_is_no_legacy_is_refused_by_name(store: LegacyStore, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(content)

    with pytest.raises(ConvergenceError, match=r"thing\.bin"):
        import_file(store, path)
    with pytest.raises(ConvergenceError, match=r"missing\.json cannot be read"):
        import_file(store, tmp_path / "missing.json")


def test_winners_and_audit_have_the_predecessors_columns(store: LegacyStore) -> None:
    learned = study(
        1, arm("mini", 0.2, 0.8, cases={"a": 0.9, "b": 0.7}), arm("nano", 0.2, 0.6, cases={"a": 0.2, "b": 1.0})
    )
    bare = study(2, arm("mini", 0.5, 0.3))

    winners = list(winner_rows(FAMILY, [learned, bare]))
    audit = list(audit_rows(FAMILY, learned))

    assert winners[0] == ("a", "support-bot", '{"model":"mini","temperature":0.2}', 0.9, "1970-01-01T00:16:40+00:00")
    assert [(row[0], row[3]) for row in winners] == [("a", 0.9), ("all", 0.3), ("b", 1.0)]
    assert len(audit) == 4
    assert audit[3][1:] == ("bot-1", "bot-1-1", "support-bot", "b", '{"model":"nano","temperature":0.2}', 1.0, True)


SCHEMA = """
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, name TEXT, api_name TEXT, api_endpoint TEXT, created_at TIMESTAMP,
    updated_at TIMESTAMP, config_fingerprint TEXT, metadata JSON);
CREATE TABLE runs (run_id TEXT PRIMARY KEY, session_id TEXT, timestamp TIMESTAMP, api_name TEXT, api_endpoint TEXT,
    config JSON, test_case_ids JSON, aggregate_score REAL, aggregate_metrics JSON, duration_ms REAL, cost_usd REAL,
    generation INTEGER, metadata JSON);
CREATE TABLE test_case_results (result_id TEXT PRIMARY KEY, run_id TEXT, test_case_id TEXT, config JSON, score REAL,
    metrics JSON, latency_ms REAL, cost_usd REAL, response_text TEXT, full_response JSON, success BOOLEAN, error TEXT);
"""


def old_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(SCHEMA)
        for session in ("s1", "s2"):
            old.execute(
                "INSERT INTO sessions(session_id, api_name, api_endpoint) VALUES (?, 'support-bot', ?)",
                (session, "https://api.openai.com/v1/chat/completions"),
            )
        results = [
            ("r1", "s1", {"model": "mini", "temperature": 0.2}, "a", 0.8, 1),
            ("r1", "s1", {"model": "mini", "temperature": 0.2}, "b", 0.6, 1),
            ("r2", "s1", {"temperature": 0.2, "model": "mini"}, "a", 1.0, 1),
            ("r3", "s1", {"model": "nano", "temperature": 0.5}, "a", 0.0, 0),
        ]
        for n, (run, session, config, case, score, success) in enumerate(results):
            old.execute(
                "INSERT OR IGNORE INTO runs(run_id, session_id, timestamp) VALUES (?, ?, ?)",
                (run, session, f"2025-11-02T10:00:0{n}"),
            )
            old.execute(
                "INSERT INTO test_case_results(result_id, run_id, test_case_id, config, score, metrics, success) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    str(n),
                    run,
                    case,
                    json.dumps(config),
                    score,
                    json.dumps({"quality": score, "latency_ms": 400.0}),
                    success,
                ),
            )


def test_the_predecessors_database_is_imported_without_its_failures(store: LegacyStore, tmp_path: Path) -> None:
    old_database(tmp_path / "legacy_old.db")

    imported = import_file(store, tmp_path / "legacy_old.db")

    assert imported == Imported(n_families=1, n_studies=1, n_arms=1)
    learned = store.studies(FAMILY.id)[0]
    assert learned.id == "legacy-s1"
    assert learned.finished_at_s == 1_762_077_602.0
    assert len(learned.arms) == 1
    kept = learned.arms[0]
    assert kept.configuration == {"model": "mini", "temperature": 0.2}
    assert kept.n_calls == 3
    assert kept.cases == pytest.approx({"a": 0.9, "b": 0.6})
    assert kept.score == pytest.approx(0.75)
    assert kept.metrics == pytest.approx({"quality": 0.8, "latency_ms": 400.0})
    assert len(store.inherit(FAMILY, SPACE, now_s=1.0).legacy.elites) == 1


def test_another_sqlite_file_is_refused(store: LegacyStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE x (y)")

    with pytest.raises(ConvergenceError, match=r"other\.db is not a legacy\.db"):
        import_file(store, tmp_path / "other.db")
