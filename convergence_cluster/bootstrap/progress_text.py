"""Progress of a study as JSON text, for those who watch it from elsewhere."""

import json
from dataclasses import fields
from typing import Any

from convergence_cluster.bootstrap.answers import parse_recommendation
from convergence_cluster.bootstrap.housekeeping import Progress


def dump_progress(progress: Progress) -> str:
    """Return progress as text."""
    return json.dumps({"progress": progress}, default=_document)


def dump_failure(message: str) -> str:
    """Return as text why the coordinator could not go on with a study."""
    return json.dumps({"failure": message})


def parse_progress(text: str) -> Progress | None:
    """Return the progress that `dump_progress` wrote, or None where it is something else."""
    found = json.loads(text).get("progress")
    if found is None:
        return None
    return Progress(**{**found, "recommendation": parse_recommendation(found["recommendation"])})


def parse_failure(text: str) -> str | None:
    """Return the message that `dump_failure` wrote, or None where it is something else."""
    found = json.loads(text).get("failure")
    return None if found is None else str(found)


def _document(value: Any) -> dict[str, object]:
    """Return what JSON makes of a dataclass; `asdict`, which copies all below it first, takes five times as long."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
