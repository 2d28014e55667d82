"""The names of what computes a metric, in all the spellings that users bring."""

from typing import Final

from convergence_cluster.spec.assertions import NOT, SET, type_problem
from convergence_cluster.spec.problems import suggestion

ASSERT: Final = "assert"
"""The function that counts assertions."""

CUSTOM: Final = "custom"

COMPARING: Final = (
    "exact",
    "contains",
    "contains_any",
    "contains_all",
    "icontains",
    "icontains_any",
    "icontains_all",
    "starts_with",
    "regex",
    "levenshtein",
    "token_sort",
    "token_set",
    "json_schema",
    "length",
    "numeric",
)
"""Functions of the answer's text and what is expected; each also with `not_` before it."""

ASSERTED: Final = (
    "is-json",
    "contains-json",
    "is-xml",
    "contains-xml",
    "is-refusal",
    "word-count",
    "rouge-n",
    "bleu",
    "python",
    "llm-rubric",
    "similar",
)
"""Types of assertions that may stand alone as a metric; each also with `not-` before it."""

EVERY_DRAW: Final = "pass^k"
"""The function that asks whether several draws all pass."""

CONSISTENCY: Final = "consistency"
"""The function that asks how alike several draws are."""

REPEATED: Final = (EVERY_DRAW, CONSISTENCY)
"""Functions of several draws of one configuration on one case."""

_ALIASES: Final = {
    "exact_match": "exact",
    "equals": "exact",
    "similarity": "levenshtein",
    "token_ratio": "token_sort",
    "assert_set": ASSERT,
    "llm_judge": "llm_rubric",
}


def function_of(written: str) -> str | None:
    """Return a function's own name for a spelling of it, or None where there is no such function."""
    bare = written.replace("-", "_")
    is_opposite = bare.startswith("not_")
    bare = bare.removeprefix("not_")
    bare = _ALIASES.get(bare, bare)
    if bare in COMPARING:
        return f"not_{bare}" if is_opposite else bare
    asserted = bare.replace("_", "-")
    if asserted in ASSERTED:
        return f"{NOT}{asserted}" if is_opposite else asserted
    if bare in {"pass^k", "pass_k", "pass_hat_k"}:
        bare = EVERY_DRAW
    return bare if bare in {ASSERT, CUSTOM, *REPEATED} and not is_opposite else None


def function_problem(written: str) -> str | None:
    """Return what is wrong with the name of a function, or None."""
    if function_of(written) is not None:
        return None
    if "no such type" not in (type_problem(written) or "no such type"):
        return type_problem(written)
    names = [*COMPARING, *_ALIASES, *ASSERTED, ASSERT, SET, CUSTOM, *REPEATED]
    return f"{written!r}: no such function{suggestion(written, names)}"
