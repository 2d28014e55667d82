"""Whose calls go next: studies of one priority share by turns, whatever their number of calls."""

from collections import deque
from collections.abc import Mapping

from convergence_cluster.domain.identity import StudyId

QUANTUM = 16
"""Calls that a study may send at its turn."""


class DeficitRoundRobin:
    """Deficit round robin over studies, with calls as the unit.

    A study that has nothing to send when its turn comes loses what it saved up, so an idle study gathers no claim.
    Source: Shreedhar and Varghese, "Efficient fair queueing using deficit round robin", 1996.
    """

    def __init__(self) -> None:
        self._turns: deque[StudyId] = deque()
        self._deficits: dict[StudyId, int] = {}

    def share(self, waiting: Mapping[StudyId, int], room: int) -> dict[StudyId, int]:
        """Return how many of its waiting calls each study sends now, at most `room` in all."""
        self._admit(waiting)
        left = {study: n for study, n in waiting.items() if n > 0}
        shares: dict[StudyId, int] = {}
        while room > 0 and left:
            study = self._turns[0]
            if study not in left:
                self._deficits[study] = 0
                self._turns.rotate(-1)
                continue
            if self._deficits[study] <= 0:
                self._deficits[study] += QUANTUM
            n = min(left[study], self._deficits[study], room)
            shares[study] = shares.get(study, 0) + n
            self._deficits[study] -= n
            left[study] -= n
            room -= n
            if left[study] == 0:
                del left[study]
                self._deficits[study] = 0
            if study not in left or self._deficits[study] <= 0:
                self._turns.rotate(-1)
        return shares

    def _admit(self, waiting: Mapping[StudyId, int]) -> None:
        if waiting.keys() == self._deficits.keys():
            return
        self._turns = deque(study for study in self._turns if study in waiting)
        self._turns.extend(study for study in waiting if study not in self._deficits)
        self._deficits = {study: self._deficits.get(study, 0) for study in self._turns}
