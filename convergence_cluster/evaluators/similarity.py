"""How close the meaning of an answer is to that of a reference, by a model of embeddings."""

import math
from collections.abc import Mapping, Sequence

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError, TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.asserting import Subject
from convergence_cluster.evaluators.expectations import as_texts
from convergence_cluster.evaluators.helping import Helper, Retries
from convergence_cluster.evaluators.rendering import insertion_bytes

_MAX_KEPT = 10_000


class Similarity:
    """Compares by the cosine of embeddings, negative ones counting as 0. Keeps the references' embeddings."""

    def __init__(self, helper: Helper, *, max_answer_bytes: int, max_retries: int) -> None:
        self._helper = helper
        self._max_answer_bytes = max_answer_bytes
        self._max_retries = max_retries
        self._known: dict[str, Sequence[float]] = {}

    def bound_usd(self, references: str, case: TestCase) -> float | None:
        """Return the most that comparing one answer can cost, retries included; `references` before any insertion."""
        n_inserted = (1 + references.count("{{")) * insertion_bytes(case)
        n_bytes = self._max_answer_bytes + len(references.encode()) + n_inserted
        each_usd = self._helper.bound_usd(n_bytes)
        return None if each_usd is None else (1 + self._max_retries) * each_usd

    async def grade(self, subject: Subject, value: Json, assertion: Mapping[str, Json]) -> float:
        """Return the similarity to the nearest reference, in [0, 1].

        Raises:
            TransientError: no embeddings could be had.
            ProviderStopError: there will never be any.
            PermanentError: there is no reference, or the endpoint does not answer this.
        """
        references = as_texts(value)
        if not references:
            raise PermanentError("the list of references is empty")
        answer = subject.answer.text.encode()[: self._max_answer_bytes].decode(errors="ignore").strip()
        if not answer:
            return 0.0
        missing = [text for text in dict.fromkeys(references) if text not in self._known]
        texts = [answer, *missing]
        ours, *theirs = await self._helper.ask(
            {"input": texts},
            key=subject.key(assertion),
            n_bytes=sum(len(text.encode()) for text in texts),
            scoring=subject.scoring,
            retries=Retries(self._max_retries),
            read=lambda found: _vectors(found, len(texts)),
        )
        known = {**self._known, **dict(zip(missing, theirs, strict=True))}
        if len(known) <= _MAX_KEPT:
            self._known = known
        return max(_cosine(ours, known[text]) for text in references)


def _vectors(answer: Answer, n: int) -> Sequence[Sequence[float]]:
    data = answer.raw.get("data") if isinstance(answer.raw, Mapping) else None
    try:
        rows = sorted(data, key=lambda row: row["index"]) if isinstance(data, list) else []
        vectors = [[float(x) for x in row["embedding"]] for row in rows]
    except (TypeError, KeyError, ValueError):
        vectors = []
    if len(vectors) != n or len({len(vector) for vector in vectors}) > 1 or not all(vectors):
        raise TransientError("its answer has no embedding for each text under `data[].embedding`")
    return vectors


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    norm = math.hypot(*a) * math.hypot(*b)
    if len(a) != len(b) or not norm:
        return 0.0
    return min(1.0, max(0.0, math.fsum(x * y for x, y in zip(a, b, strict=True)) / norm))
