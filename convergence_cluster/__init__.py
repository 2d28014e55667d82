"""Convergence Cluster: the best configuration of an API for as few paid calls as possible.

`optimize(study)` runs a study in this process and returns a typed result. Names are resolved on first use, so that
importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

__all__ = ["Study", "StudyResult", "__version__", "load_study", "optimize"]


def __getattr__(name: str) -> Any:
    """Return a public name of the Python API, importing what it needs only now."""
    if name in __all__:
        return getattr(import_module("convergence_cluster.api"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
