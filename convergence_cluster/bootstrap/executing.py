"""Where a study's calls run: in this process, or, for many workers, in a process of their own."""

import os
from collections.abc import Mapping

from convergence_cluster.bootstrap.caching import local_store
from convergence_cluster.bootstrap.runner import Alone, RunnerFactory
from convergence_cluster.coordinator.protocols import Executor
from convergence_cluster.dispatch.in_child import ChildExecutor
from convergence_cluster.dispatch.in_process import InProcessExecutor
from convergence_cluster.domain.clock import Clock
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack
from convergence_cluster.trials.protocols import Meter

_MANY = 32
"""From so many workers on, starting a process (about a second) pays: one interpreter carries some 1,200 calls/s."""
_MODULE = "convergence_cluster.bootstrap.child"


def build_executor(study: LoadedStudy, *, environ: Mapping[str, str], meter: Meter, clock: Clock) -> Executor:
    """Return the executor that fits the number of workers and the platform."""
    parallelism = study.spec.optimization.execution.parallel_workers
    if parallelism >= _MANY and os.name == "posix":
        return ChildExecutor(_MODULE, pack(study), environ=environ, meter=meter)
    store = local_store(environ, clock)
    factory = RunnerFactory(study, environ=environ, meter=meter, clock=clock, surroundings=Alone(open_store=store))
    return InProcessExecutor(open_runner=factory.open, close_runner=factory.close, parallelism=parallelism)
