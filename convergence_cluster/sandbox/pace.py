"""A real rate limit, for clients that must keep to one: a bucket that holds one second's worth of requests."""


class Pace:
    """Admits so many requests a second; 0 admits all. Time is passed in, in seconds of a monotonic clock."""

    def __init__(self, requests_per_s: float) -> None:
        self._rate = requests_per_s
        self._room = max(requests_per_s, 1.0)
        self._tokens = self._room
        self._at_s: float | None = None

    def wait_s(self, now_s: float) -> float:
        """Admit a request and return 0, or return after how many seconds one would be admitted."""
        if self._rate <= 0.0:
            return 0.0
        since_s = 0.0 if self._at_s is None else now_s - self._at_s
        self._at_s = now_s
        self._tokens = min(self._room, self._tokens + since_s * self._rate)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate
