"""The custom evaluator's file: found and looked at, never run."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.files import read_text
from convergence_cluster.spec.problems import Problem, suggestion
from convergence_cluster.spec.schema_evaluation import CustomEvaluator

DEFAULT_MODULE: Final = "evaluator"
DEFAULT_FUNCTION: Final = "score_response"
_PATH: Final = ("evaluation", "custom_evaluator")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorSource:
    """Where the function is that scores answers, and its module's text."""

    path: Path
    function: str
    source: str


def find_evaluator(section: CustomEvaluator, directory: Path) -> tuple[EvaluatorSource | None, list[Problem]]:
    """Return the evaluator that a study names, or `evaluator.py` beside it where it names none, and what is wrong."""
    if section.is_used:
        assert section.module is not None
        return find_function(section.module, section.function, directory, _PATH)
    if section.enabled is None and (directory / f"{DEFAULT_MODULE}.py").is_file():
        found, problems = find_function(DEFAULT_MODULE, DEFAULT_FUNCTION, directory, _PATH)
        return found, [problem for problem in problems if problem.line]
    return None, []


def find_function(
    module: str, function: str, directory: Path, at: tuple[str, ...]
) -> tuple[EvaluatorSource | None, list[Problem]]:
    """Return a function that a study names at a section, and what is wrong."""
    relative = Path(*module.removesuffix(".py").split(".")).with_suffix(".py") if "/" not in module else Path(module)
    relative = relative if relative.suffix == ".py" else relative.with_suffix(".py")
    folders = [directory, *(Path(entry) for entry in sys.path)]
    path = next((folder / relative for folder in folders if (folder / relative).is_file()), None)
    if path is None:
        near = suggestion(relative.name, [entry.name for entry in directory.glob("*.py")])
        return None, [Problem(path=(*at, "module"), message=f"no file {relative} beside the study file{near}")]
    try:
        source = read_text(path, path.name)
        tree = ast.parse(source)
    except SpecError as error:
        return None, [Problem(path=(*at, "module"), message=str(error))]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error)
        return None, [Problem(path=(), file=path.name, line=line, message=f"not valid Python: {reason}")]
    names = _defined(tree)
    if function not in names:
        message = f"{path.name} defines no {function!r}{suggestion(function, names)}"
        return None, [Problem(path=(*at, "function"), message=message)]
    return EvaluatorSource(path=path, function=function, source=source), []


def _defined(tree: ast.Module) -> list[str]:
    """Return the names that a module defines at its top level and that may be functions."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node in tree.body:
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign) and node in tree.body:
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names
