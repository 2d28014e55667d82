"""Legacy out of and into files: our JSON, the predecessor's CSV columns, the predecessor's database."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.storage.encoding import dumps
from convergence_cluster.storage.legacy import LegacyStore
from convergence_cluster.storage.legacy_records import Family, LegacyArm, LegacyStudy

FORMAT = "convergence-legacy"
FORMAT_VERSION = 2
"""2 added how uncertain each score was."""

WINNER_COLUMNS = ("test_case_id", "api_name", "best_config", "best_score", "updated_at")
"""Of the predecessor's `winners_<api>.csv`."""
AUDIT_COLUMNS = ("timestamp", "session_id", "run_id", "api_name", "test_case_id", "config", "score", "success")
"""Of the predecessor's `audit_<session>.csv`."""

_SQLITE_MAGIC = b"SQLite format 3\0"
_ALL_CASES = "all"
"""The test case id of an arm of which only the mean over all cases is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What a file brought in."""

    n_families: int
    n_studies: int
    n_arms: int


def export_document(store: LegacyStore) -> Json:
    """Return everything the store holds as one JSON value."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "families": [family_document(store, record.family) for record in store.families()],
    }


def family_document(store: LegacyStore, family: Family) -> Json:
    """Return everything the store holds of one family as one JSON value."""
    return {"family": asdict(family), "studies": [asdict(study) for study in store.studies(family.id)]}


def winner_rows(family: Family, studies: Sequence[LegacyStudy]) -> Iterator[tuple[object, ...]]:
    """Yield for each test case the configuration that did best on it, in the order of `WINNER_COLUMNS`."""
    best: dict[str, tuple[float, LegacyArm, LegacyStudy]] = {}
    for study in studies:
        for arm in study.arms:
            for case, score in _cases(arm).items():
                if case not in best or score > best[case][0]:
                    best[case] = (score, arm, study)
    for case, (score, arm, study) in sorted(best.items()):
        yield (case, family.name, dumps(arm.configuration), score, _iso(study.finished_at_s))


def audit_rows(family: Family, study: LegacyStudy) -> Iterator[tuple[object, ...]]:
    """Yield one row per arm and test case, in the order of `AUDIT_COLUMNS`."""
    for number, arm in enumerate(study.arms):
        for case, score in _cases(arm).items():
            yield (
                _iso(study.finished_at_s),
                study.id,
                f"{study.id}-{number}",
                family.name,
                case,
                dumps(arm.configuration),
                score,
                True,
            )


def import_file(store: LegacyStore, path: Path) -> Imported:
    """Take in a file that `export_document` wrote, or the predecessor's `legacy.db`. Importing twice changes nothing.

    Raises:
        ConvergenceError: the file cannot be read, or is neither; nothing was stored.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConvergenceError(f"{path} cannot be read: {error.strerror}.") from error
    found = _predecessor(path) if content.startswith(_SQLITE_MAGIC) else _document(path, content)
    for family, study in found:
        store.save(family, study)
    return Imported(
        n_families=len({family.id for family, _ in found}),
        n_studies=len(found),
        n_arms=sum(len(study.arms) for _, study in found),
    )


def _document(path: Path, content: bytes) -> list[tuple[Family, LegacyStudy]]:
    try:
        document = json.loads(content)
        if document["format"] != FORMAT or document["version"] > FORMAT_VERSION:
            raise ConvergenceError(
                f"{path} is {document['format']!r} version {document['version']}; "
                f"this release reads {FORMAT!r} up to version {FORMAT_VERSION}."
            )
        return [
            (_family(group["family"]), _study(study)) for group in document["families"] for study in group["studies"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConvergenceError(
            f"{path} is neither a legacy export ({FORMAT!r} JSON) nor a legacy.db; make one with "
            "`convergence legacy export`."
        ) from error


def _family(value: Mapping[str, Any]) -> Family:
    return Family(**{**value, "metrics": tuple(value["metrics"])})


def _study(value: Mapping[str, Any]) -> LegacyStudy:
    arms = tuple(LegacyArm(**{**arm, "score": float(arm["score"])}) for arm in value["arms"])
    return LegacyStudy(**{**value, "arms": arms})


def _predecessor(path: Path) -> list[tuple[Family, LegacyStudy]]:
    """Read the predecessor's database: one study per session, one arm per configuration.

    A failed call has the score 0 there, which was never a measurement: results without success are left out.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            sessions = connection.execute("SELECT session_id, api_name, api_endpoint FROM sessions").fetchall()
            return [found for session in sessions if (found := _session(connection, session, path.name)) is not None]
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ConvergenceError(f"{path} is not a legacy.db that this release can read: {error}.") from error


def _session(connection: sqlite3.Connection, session: sqlite3.Row, origin: str) -> tuple[Family, LegacyStudy] | None:
    rows = connection.execute(
        "SELECT t.config, t.test_case_id, t.score, t.metrics, r.timestamp FROM test_case_results t "
        "JOIN runs r ON r.run_id = t.run_id WHERE r.session_id = ? AND t.success AND t.score IS NOT NULL "
        "ORDER BY t.rowid",
        (session["session_id"],),
    ).fetchall()
    if not rows:
        return None
    by_configuration: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        by_configuration[canonical_json(json.loads(row["config"]))].append(row)
    arms = tuple(_old_arm(group) for group in by_configuration.values())
    family = Family(
        name=session["api_name"] or "",
        provider="http",
        endpoint=session["api_endpoint"] or "",
        metrics=tuple(sorted({name for arm in arms for name in arm.metrics})),
    )
    study = LegacyStudy(
        id=f"legacy-{session['session_id']}",
        origin=origin,
        parameters=_seen_values(arms),
        policy={},
        n_calls=len(rows),
        finished_at_s=max(_seconds(row["timestamp"]) for row in rows),
        arms=arms,
    )
    return family, study


def _old_arm(rows: Sequence[sqlite3.Row]) -> LegacyArm:
    by_case: dict[str, list[float]] = defaultdict(list)
    by_metric: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_case[row["test_case_id"]].append(float(row["score"]))
        for name, value in json.loads(row["metrics"] or "{}").items():
            if isinstance(value, int | float):
                by_metric[name].append(float(value))
    cases = {case: _mean(scores) for case, scores in by_case.items()}
    return LegacyArm(
        configuration=json.loads(rows[0]["config"]),
        score=_mean(list(cases.values())),
        n_calls=len(rows),
        metrics={name: _mean(values) for name, values in by_metric.items()},
        cases=cases,
    )


def _seen_values(arms: Sequence[LegacyArm]) -> Json:
    seen: dict[str, dict[str, Json]] = defaultdict(dict)
    for arm in arms:
        for name, value in arm.configuration.items():
            seen[name][canonical_json(value)] = value
    return [{"name": name, "values": list(values.values())} for name, values in seen.items()]


def _cases(arm: LegacyArm) -> Mapping[str, float]:
    return arm.cases or {_ALL_CASES: arm.score}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def _seconds(timestamp: str | None) -> float:
    if not timestamp:
        return 0.0
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
