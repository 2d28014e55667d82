"""Ctrl-C: the first one drains, the second one stops, and afterwards everything is as before."""

import signal
import threading
from typing import Any, cast

import pytest

from convergence_cluster.bootstrap.interrupting import interruptible
from convergence_cluster.coordinator.coordinating import Coordinator


class Stoppable:
    def __init__(self) -> None:
        self.n_stops = 0

    def stop(self) -> None:
        self.n_stops += 1


def coordinator() -> tuple[Any, Stoppable]:
    stoppable = Stoppable()
    return cast("Coordinator", stoppable), stoppable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_softly_and_the_second_at_once(number: signal.Signals) -> None:
    stopping, stoppable = coordinator()

    with interruptible(stopping):
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)

    assert stoppable.n_stops == 1


def test_handlers_are_put_back() -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))

    with interruptible(coordinator()[0]):
        assert signal.getsignal(signal.SIGINT) is not before[0]

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_study_on_another_thread_leaves_signals_alone() -> None:
    seen: list[object] = []

    def run() -> None:
        with interruptible(coordinator()[0]):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert seen == [signal.getsignal(signal.SIGINT)]
