"""A study as something that is worked on a round at a time, so that one thread can drive one study or many."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.search import StopReason

Ended = TypeVar("Ended")
POLL_S = 0.25
"""The longest time between two rounds."""

Rounds: TypeAlias = Generator[None, Sequence[CallOutcome], StopReason | None]
"""A study at work: takes what finished, at least every `POLL_S` seconds; ends with why it stopped."""


def drive(
    rounds: Generator[None, Sequence[CallOutcome], Ended], collect: Callable[[float], Sequence[CallOutcome]]
) -> Ended:
    """Run a study to its end with an executor's `collect`; what that raises is raised where the study is."""
    try:
        next(rounds)
        while True:
            try:
                arrived = collect(POLL_S)
            except BaseException as error:  # noqa: BLE001 - the study decides what it means
                rounds.throw(error)
            else:
                rounds.send(arrived)
    except StopIteration as end:
        ended: Ended = end.value
        return ended
