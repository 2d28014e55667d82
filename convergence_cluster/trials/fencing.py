"""A limiter for work that may be taken away while it waits."""

from collections.abc import Callable

from convergence_cluster.trials.protocols import Limiter


class Fenced:
    """Gives a turn only to who still owns the work: what a limiter granted too late is given back unused."""

    def __init__(self, limiter: Limiter, still_mine: Callable[[], None]) -> None:
        self._limiter = limiter
        self._still_mine = still_mine

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for a turn and return the seconds waited.

        Raises:
            LeaseLost: `still_mine` says so; there is nothing to release.
        """
        waited_s = await self._limiter.acquire(n_tokens)
        try:
            self._still_mine()
        except BaseException:
            self._limiter.release()
            self._limiter.correct(-n_tokens)
            raise
        return waited_s

    def release(self) -> None:
        """Give back the place in flight."""
        self._limiter.release()

    def correct(self, n_tokens: int) -> None:
        """Book `n_tokens` more than `acquire` was told (negative: fewer)."""
        self._limiter.correct(n_tokens)

    def pause(self, seconds: float) -> None:
        """Hold back every call that is not on the wire yet."""
        self._limiter.pause(seconds)

    def adopt(self, *, rpm: float | None = None, tpm: float | None = None) -> None:
        """Keep for a minute to what the provider says it allows, where nobody set a limit."""
        self._limiter.adopt(rpm=rpm, tpm=tpm)
