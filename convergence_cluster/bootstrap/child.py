"""The process that runs a study's calls beside the coordinator: `python -m convergence_cluster.bootstrap.child FD`."""

import os
import sys

from convergence_cluster.bootstrap.caching import local_store
from convergence_cluster.bootstrap.collecting import collect_seldom
from convergence_cluster.bootstrap.runner import Alone, RunnerFactory
from convergence_cluster.dispatch.in_child import ChildEnd
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.metering.retry import silence_stamina
from convergence_cluster.spec.portable import unpack


def main() -> None:
    """Serve the parent at the inherited socket."""
    silence_stamina()
    end, order = ChildEnd.open(int(sys.argv[1]))
    study = unpack(order)
    clock = SystemClock()
    store = local_store(os.environ, clock)
    factory = RunnerFactory(study, environ=os.environ, meter=end, clock=clock, surroundings=Alone(open_store=store))
    collect_seldom()
    end.serve(
        open_runner=factory.open,
        close_runner=factory.close,
        parallelism=study.spec.optimization.execution.parallel_workers,
    )


if __name__ == "__main__":
    main()
