"""`python -m tests.manifests.validate`: builds every overlay and says whether a cluster would take it, and should."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO

import kubernetes_validate

from tests.manifests import keda, policies
from tests.manifests.rendering import OVERLAYS, BuildError, Object, name_of, overlay

VERSIONS = ("1.33", "1.35", "1.37")
_OWN = ("keda.sh/",)
"""Objects of these groups are checked against our own schema."""


def against_kubernetes(objects: Sequence[Object], version: str) -> Iterator[str]:
    """Yield what a version of Kubernetes refuses; unknown fields too."""
    for each in objects:
        if each["apiVersion"].startswith(_OWN):
            continue
        try:
            with warnings.catch_warnings(), redirect_stderr(StringIO()):
                warnings.simplefilter("ignore")
                kubernetes_validate.validate(each, version, strict=True)
        except (
            kubernetes_validate.ValidationError,
            kubernetes_validate.SchemaNotFoundError,
            kubernetes_validate.InvalidSchemaError,
        ) as error:
            yield f"Kubernetes {version}: {name_of(each)}: {str(error).splitlines()[0]}"


def all_problems(objects: Sequence[Object]) -> list[str]:
    """Return everything that is wrong with the objects of an overlay."""
    return [
        *(problem for version in VERSIONS for problem in against_kubernetes(objects, version)),
        *(f"KEDA: {problem}" for problem in keda.problems(objects)),
        *policies.broken(objects),
    ]


def main() -> int:
    """Print a line an overlay; return 1 if anything is wrong."""
    code = 0
    checked = f"Kubernetes {', '.join(VERSIONS)}; KEDA; {len(policies.POLICIES)} policies"
    for name in OVERLAYS:
        try:
            objects = overlay(name)
            problems = all_problems(objects)
        except BuildError as error:
            objects, problems = (), [str(error)]
        verdict = f"{len(problems)} problems" if problems else "ok"
        lines = [f"{name:18} {len(objects):2} objects; {checked}: {verdict}", *(f"  {each}" for each in problems)]
        sys.stdout.write("\n".join(lines) + "\n")
        code |= bool(problems)
    return code


if __name__ == "__main__":
    sys.exit(main())
