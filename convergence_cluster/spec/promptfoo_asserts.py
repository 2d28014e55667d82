"""promptfoo's assertions as a study's; most are the same, some are put into a judge's words, some have no equal."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import JUDGED, NOT, SET, TYPES, Assertion, bare_type, type_problem
from convergence_cluster.spec.promptfoo_remarks import Place, Source

_KEPT: Final = ("type", "value", "threshold", "weight", "metric")
_SILENT: Final = ("assert", "description", "provider")
_AS_RUBRIC: Final = {
    "factuality": "The answer agrees with this on every fact, and may say more: {value}",
    "model-graded-factuality": "The answer agrees with this on every fact, and may say more: {value}",
    "model-graded-closedqa": "The answer meets this criterion: {value}",
    "g-eval": "{value}",
    "answer-relevance": "The answer is about what the input asks, all of it and nothing else.",
    "context-faithfulness": "Everything that the answer claims follows from the context in the input.",
}
_ALIASES: Final = {"similar:cosine": "similar", "agent-rubric": JUDGED, "word-count": "word-count"}
_IN_TABLE: Final = re.compile(r"\A(?P<type>[a-z][a-z:-]*?)(?:\((?P<threshold>[\d.]+)\))?:\s*(?P<value>.*)\Z", re.DOTALL)


class AssertImport:
    """Reads assertions and notes which models they need."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.uses_judge = False
        self.uses_embeddings = False
        self.graders: list[Json] = []
        """The models that assertions themselves name as their graders."""

    def read(self, given: Json, place: Place) -> list[dict[str, Json]]:
        """Return the assertions of a list that a study can have."""
        found = []
        for index, item in enumerate(given if isinstance(given, list) else []):
            carried = self._one(self._source.resolved(item), (*place, index))
            found += [] if carried is None else [carried]
        return found

    def from_cell(self, cell: str, place: Place) -> list[dict[str, Json]]:
        """Return the assertion of a table's cell: `contains: x`, `similar(0.8): x`, or a text that is to be equal."""
        text = cell.strip()
        match = _IN_TABLE.match(text)
        kind = match["type"] if match else ""
        kind = {"fn": "javascript", "eval": "javascript", "grade": JUDGED}.get(kind, kind)
        if match is None or (bare_type(kind) not in {*TYPES, *_AS_RUBRIC} and type_problem(kind) is not None):
            if match is not None and kind == "javascript":
                self._source.remarks.add(place, f"{text[:40]!r}: JavaScript is not run here; not carried over")
                return []
            return self.read([{"type": "equals", "value": text}], place)
        value: Json = match["value"].strip() or None
        if kind.endswith(("-any", "-all")) and isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        threshold = {} if match["threshold"] is None else {"threshold": float(match["threshold"])}
        if bare_type(kind) in {"latency", "cost"} and isinstance(value, str):
            threshold, value = {"threshold": float(value)}, None
        return self.read([{"type": kind, "value": value, **threshold}], place)

    def _one(self, given: Json, place: Place) -> dict[str, Json] | None:
        remarks = self._source.remarks
        if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
            remarks.add(place, "no assertion with a type; not carried over")
            return None
        kept = {key: given[key] for key in _KEPT if given.get(key) is not None}
        kept["type"] = self._kind(kept, given["type"], place)
        for key in given:
            if key not in (*_KEPT, *_SILENT):
                cure = "; put what it asks for into value" if key == "rubricPrompt" else ""
                remarks.add((*place, key), f"not carried over{cure}")
        if given["type"] == SET:
            kept["assert"] = self.read(given.get("assert"), (*place, "assert"))
            if not kept["assert"]:
                remarks.add(place, "a set without any member that could be carried over")
                return None
        return self._checked(kept, given, place)

    def _kind(self, kept: dict[str, Json], written: str, place: Place) -> str:
        """Return the study's type; a grader of promptfoo's becomes a rubric in `kept`."""
        bare = bare_type(written)
        bare = _ALIASES.get(bare, bare)
        if bare in _AS_RUBRIC:
            value = kept.get("value", "")
            value = "\n".join(f"- {item}" for item in value) if isinstance(value, list) else value
            kept["value"] = _AS_RUBRIC[bare].format(value=value)
            self._source.remarks.add(place, f"{written}: carried over as llm-rubric; read its wording")
            bare = JUDGED
        return f"{NOT}{bare}" if written.startswith(NOT) else bare

    def _checked(self, kept: dict[str, Json], given: Mapping[str, Json], place: Place) -> dict[str, Json] | None:
        problem = type_problem(kept["type"])
        if problem is not None:
            self._source.remarks.add(place, f"{problem}; not carried over")
            return None
        try:
            document = Assertion.model_validate(kept).document()
        except ValidationError as error:
            reasons = "; ".join(details["msg"] for details in error.errors(include_url=False))
            self._source.remarks.add(place, f"{kept['type']}: {reasons}; not carried over")
            return None
        self.uses_judge |= bare_type(kept["type"]) == JUDGED
        self.uses_embeddings |= bare_type(kept["type"]) == "similar"
        if given.get("provider") is not None and bare_type(kept["type"]) in {JUDGED, "similar"}:
            self.graders.append(given["provider"])
        return document
